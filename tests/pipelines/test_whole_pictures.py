"""Whole pictures at several scales: their pixels against OpenCV, their order, and pictures that cannot be used."""

import json
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from object_store.faults import Reset, WrongBytes, on_first
from PIL import Image

from pipelines.bad_samples import TooManyBadSamplesError
from pipelines.settings import ReadSettings
from pipelines.whole_pictures import WholePictureLoader, WholePictureSettings
from sharding.coco import read_coco
from sharding.convert import ConversionSettings, convert
from sharding.dataset import BrokenShardError, open_dataset
from sharding.retry import RetryPolicy
from sharding.storage import open_folder

pytestmark = pytest.mark.timeout(60)

SIZES = [(150, 190), (240, 160), (200, 333), (128, 128), (97, 103), (60, 300), (1, 1)]
SCALES = (1.0, 0.5, 2.0)
PATIENT = RetryPolicy(attempts=6, first_wait_s=0.01, longest_wait_s=0.1, timeout_s=1.0)
SIDEWAYS = 6  # EXIF's word for "turn me by 90°"


def shaded(seed, size):
    """A smooth picture."""
    noise = np.random.default_rng(seed).normal(size=(*size, 3))
    smooth = cv2.GaussianBlur(noise, (0, 0), 5).reshape(*size, 3)
    return np.clip(128 + 60 * smooth / max(smooth.std(), 1e-9), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def split(write_split, painted, encode):
    """Pictures of all SIZES; every second one is a JPEG that EXIF says to turn."""
    exif = Image.Exif()
    exif[274] = SIDEWAYS
    pictures = []
    for number, size in enumerate(SIZES):
        options = ("JPEG", {"exif": exif, "quality": 95}) if number % 2 else ("PNG", {})
        data = encode(shaded(number, size), options[0], **options[1])
        pictures.append(painted(data, size, [], "jpg" if number % 2 else "png"))
    return write_split(pictures)


@pytest.fixture(scope="module")
def decoded(split):
    """RGB pictures as OpenCV reads them from the raw files."""
    folder, flags = split.folder.local.parent, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return [np.ascontiguousarray(cv2.imread(str(folder / name), flags)[:, :, ::-1]) for name in split.file_names()]


@pytest.fixture
def make(split):
    """make(image_rows=all, dataset=split, **WholePictureSettings); closed after the test."""
    made = []

    def make_loader(image_rows=None, dataset=split, **options):
        options = {"short_side": 128, "scales": SCALES} | options
        rows = range(dataset.num_images) if image_rows is None else image_rows
        made.append(WholePictureLoader(dataset, rows, WholePictureSettings(**options)))
        return made[-1]

    yield make_loader
    for loader in made:
        loader.close()


def pixels(picture):
    return [pixels.permute(1, 2, 0).cpu().numpy() for pixels in picture.inputs]


@pytest.mark.parametrize("fit", ["short", "long"])
def test_inputs_equal_opencv_at_every_scale(make, decoded, device, fit):
    found = list(make(fit=fit, device=device))
    assert [picture.image_row for picture in found] == list(range(len(SIZES)))
    assert [picture.image_id for picture in found] == [100 + row for row in range(len(SIZES))]
    for picture, source in zip(found, decoded, strict=True):
        for scale, made in zip(SCALES, pixels(picture), strict=True):
            height, width = made.shape[:2]
            assert (height % 32, width % 32) == (0, 0)
            inside, outside, expected = by_opencv(source, scale * picture.image_to_input, (height, width))
            difference = np.abs(made.astype(int) - expected)
            # On a GPU nvJPEG decodes, which differs a little from libjpeg-turbo.
            assert difference[inside].max(initial=0) <= (1 if device.type == "cpu" else 6)
            assert not made[outside].any()
            assert inside.any() or source.shape[0] == 1
    sides = [min(picture.inputs[0].shape[1:]) for picture in found]
    assert sides == [128] * len(SIZES)
    assert (found[2].inputs[0].shape[2] == 128) == (fit == "long")


def by_opencv(picture, image_to_input, size):
    """Which px have their source inside the picture, which more than a px outside, and OpenCV's warp."""
    expected = cv2.warpAffine(picture, image_to_input, size[::-1], flags=cv2.INTER_LINEAR)
    x, y = np.meshgrid(np.arange(size[1]), np.arange(size[0]))
    source = np.stack([x, y, np.ones_like(x)], axis=-1) @ cv2.invertAffineTransform(image_to_input).T
    last = np.array(picture.shape[1::-1]) - 1
    inside = ((source >= 0) & (source <= last)).all(axis=-1)
    outside = ((source < -1.01) | (source > last + 1.01)).any(axis=-1)
    return inside, outside, expected.astype(int)


@pytest.mark.parametrize("fit", ["short", "long"])
def test_a_painted_dot_lies_where_the_matrix_puts_it(write_split, painted, encode, make, device, fit):
    places = {(150, 201): (40.3, 101.6), (199, 150): (101.0, 33.5), (60, 500): (433.2, 20.0)}
    pictures = []
    for size, (x, y) in places.items():
        columns, rows = np.meshgrid(np.arange(size[1]), np.arange(size[0]))
        dot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 6.0**2))
        picture = np.repeat(np.round(255 * dot)[:, :, None], 3, axis=2).astype(np.uint8)
        pictures.append(painted(encode(picture, "PNG"), size))
    split = write_split(pictures)
    for picture, place in zip(make(dataset=split, fit=fit, device=device), places.values(), strict=True):
        for scale, made in zip(SCALES, pixels(picture), strict=True):
            mass = np.maximum(made[:, :, 0].astype(float) - 30, 0)
            rows, columns = np.mgrid[: made.shape[0], : made.shape[1]]
            found = np.array([(mass * columns).sum(), (mass * rows).sum()]) / mass.sum()
            np.testing.assert_allclose(found, scale * (picture.image_to_input @ [*place, 1.0]), atol=0.05)


def test_inputs_are_channels_last_and_stay_when_later_ones_are_made(make, device):
    loader = make([3, 0, 1, 2] * 10, device=device)
    held = [(picture, [pixels.clone() for pixels in picture.inputs]) for picture in loader]
    loader.close()
    assert len(held) == 40
    for picture, copies in held:
        assert all(torch.equal(now, then) for now, then in zip(picture.inputs, copies, strict=True))
        for tensor in picture.inputs:
            assert tensor.dtype == torch.uint8
            assert tensor.device.type == device.type
            assert tensor[None].is_contiguous(memory_format=torch.channels_last)


def same(one, other):
    return (
        one.image_row == other.image_row
        and np.array_equal(one.image_to_input, other.image_to_input)
        and all(torch.equal(a, b) for a, b in zip(one.inputs, other.inputs, strict=True))
    )


@pytest.mark.parametrize(("threads", "prefetch"), [(1, 1), (2, 3), (6, 2)])
def test_a_picture_does_not_depend_on_its_company(make, threads, prefetch):
    rows = [5, 2, 2, 0, 4, 3, 1, 0, 5, 5, 3]
    alone = {row: next(iter(make([row]))) for row in set(rows)}
    found = list(make(rows, threads=threads, prefetch=prefetch))
    assert [picture.image_row for picture in found] == rows
    assert all(same(picture, alone[picture.image_row]) for picture in found)


def test_one_scale_equals_the_same_scale_among_others(make):
    for alone, among in zip(make(scales=(2.0,)), make(), strict=True):
        assert torch.equal(alone.inputs[0], among.inputs[2])
        assert np.array_equal(alone.image_to_input, among.image_to_input)


def test_every_iteration_starts_at_the_first_picture_and_disturbs_no_other(make):
    loader = make([4, 1, 0, 3, 2, 5, 1, 2, 3, 0])
    for _, picture in zip(range(3), loader, strict=False):
        assert picture.image_row in (4, 1, 0)
    assert [picture.image_row for picture in loader] == loader.image_rows.tolist()
    assert all(same(one, other) for one, other in zip(loader, loader, strict=True))


def test_no_pictures(make):
    loader = make([])
    assert len(loader) == 0
    assert list(loader) == []
    assert loader.bad_samples.count == 0
    loader.close()


@pytest.mark.parametrize("row", [-1, len(SIZES)])
def test_a_row_that_the_split_does_not_have(make, row):
    with pytest.raises(ValueError, match=rf"has {len(SIZES)} pictures, no image row {row}"):
        make([0, row])


def readers():
    return [thread for thread in threading.enumerate() if thread.name == "posestream-reader"]


@pytest.mark.parametrize("how", ["close", "break", "drop"])
def test_leaving_early_ends_the_reading(make, split, how):
    before = len(readers())
    loader = WholePictureLoader(split, list(range(6)) * 100, WholePictureSettings(128))
    assert len(loader) == 600
    iteration = iter(loader)
    next(iteration)
    assert len(readers()) == before + 1
    if how == "close":
        loader.close()
    elif how == "break":
        del iteration
    else:
        del loader, iteration
    assert len(readers()) == before


def test_the_last_picture_ends_the_reading_too(make):
    before = len(readers())
    list(make())
    assert len(readers()) == before


PICTURES, BAD = 10, 5


@pytest.fixture(params=["undecodable", "damaged"])
def bad_split(request, tmp_path, encode):
    """Ten pictures, one of which only the decoder or only its crc32 finds wrong."""
    images = []
    for number in range(PICTURES):
        data = encode(np.full((48, 64, 3), 20 * number + 10, dtype=np.uint8), "PNG")
        cut = request.param == "undecodable" and number == BAD
        (tmp_path / f"{number}.png").write_bytes(data[: len(data) // 2] if cut else data)
        images.append({"id": 100 + number, "file_name": f"{number}.png", "width": 64, "height": 48})
    (tmp_path / "annotations.json").write_text(json.dumps({"images": images, "annotations": []}))
    out = open_folder(tmp_path / "split")
    convert(read_coco(tmp_path / "annotations.json"), out, ConversionSettings(tmp_path, "split", check_images=False))
    split = open_dataset(tmp_path / "split")
    if request.param == "damaged":
        offset, size = (int(split.image_column(name).all()[BAD]) for name in ("offset", "size"))
        path = Path(split.folder.path) / split.tar_name(0)
        data = bytearray(path.read_bytes())
        data[offset + size // 2] ^= 255
        path.write_bytes(data)
    return split


def test_a_picture_that_cannot_be_used_is_an_error_that_names_it(bad_split, make):
    seen = []
    with pytest.raises(BrokenShardError, match=r"split-000000.tar: 000000000105: "):
        seen.extend(make(dataset=bad_split, threads=1))
    assert [picture.image_row for picture in seen] == [0, 1, 2, 3]  # those of the batch before


def test_a_picture_that_is_skipped_is_counted_and_changes_no_other(bad_split, make):
    loader = make(dataset=bad_split, on_bad_sample="skip", max_bad_share=0.1)
    for _ in range(2):
        found = list(loader)
        assert [picture.image_row for picture in found] == [row for row in range(PICTURES) if row != BAD]
        assert len(loader) == PICTURES
        for picture in found:
            middle = picture.inputs[0][:, 64, 64].tolist()
            assert middle == [20 * picture.image_row + 10] * 3
        assert loader.bad_samples.count == 1
    (location,) = loader.bad_samples.reasons
    assert location.endswith("split-000000.tar: 000000000105")


def test_too_many_that_cannot_be_used(bad_split, make):
    with pytest.raises(TooManyBadSamplesError, match="1 of 10 samples"):
        list(make(dataset=bad_split, on_bad_sample="skip", max_bad_share=0.05))


@pytest.mark.parametrize("fault", [Reset(500), WrongBytes()])
@pytest.mark.parametrize("cached", [False, True])
def test_the_same_pictures_from_object_storage_under_faults(split, make, object_store, tmp_path, cached, fault):
    uri = object_store.put_folder(Path(split.folder.path), "painted")
    remote = open_dataset(uri, PATIENT)
    object_store.proxy.reset_counts()
    object_store.proxy.script = on_first(2, fault)
    reading = ReadSettings(cache=tmp_path / "cache" if cached else None, connections=2, ahead_bytes=40_000)
    rows = [5, 2, 2, 0, 4, 3, 1, 0, 5, 5, 3, 6]
    expected = list(make(rows))
    loader = make(rows, dataset=remote, reading=reading)
    for _ in range(3):
        assert all(same(one, other) for one, other in zip(loader, expected, strict=True))
    assert sum(object_store.proxy.faults.values()) == 2

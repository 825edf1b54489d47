"""Pictures that cannot be used: an error that names them, or rows with nobody in them and everything else as before."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.bottomup import BottomUpLoader, BottomUpSettings
from pipelines.bottomup_augmentation import BottomUpAugmentation
from pipelines.bottomup_samples import BottomUpSamples
from sharding.coco import read_coco
from sharding.convert import ConversionSettings, convert
from sharding.dataset import BrokenShardError, open_dataset
from sharding.storage import open_folder

pytestmark = pytest.mark.timeout(60)

PICTURES, BAD = 10, 5
HEIGHT, WIDTH = 48, 64
SPECS = BottomUpAugmentation(scale_min=0.75, scale_max=1.5, max_rotation=30, flip_probability=0.5)


def write_split(folder, encode, undecodable):
    """Pictures 100 to 109, in each one a person and a crowd that covers all; one may end in the middle."""
    images, annotations = [], []
    for number in range(PICTURES):
        data = encode(np.full((HEIGHT, WIDTH, 3), 20 * number + 10, dtype=np.uint8), "PNG")
        (folder / f"{number}.png").write_bytes(data[: len(data) // 2] if undecodable and number == BAD else data)
        images.append({"id": 100 + number, "file_name": f"{number}.png", "width": WIDTH, "height": HEIGHT})
        row = {"image_id": 100 + number, "category_id": 1, "bbox": [0, 0, WIDTH, HEIGHT]}
        everything = {"size": [HEIGHT, WIDTH], "counts": [0, HEIGHT * WIDTH]}
        annotations.append({**row, "id": 2 * number + 1, "keypoints": [9, 9, 2] * 17})
        annotations.append({**row, "id": 2 * number + 2, "iscrowd": 1, "segmentation": everything})
    (folder / "annotations.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    out = open_folder(folder / "split")
    convert(read_coco(folder / "annotations.json"), out, ConversionSettings(folder, "split", check_images=False))
    return open_dataset(folder / "split")


@pytest.fixture(params=["undecodable", "damaged"])
def damaged_split(request, tmp_path, encode):
    """A picture that was never whole, which only the decoder finds, or one with a flipped byte, which crc32 finds."""
    split = write_split(tmp_path, encode, request.param == "undecodable")
    if request.param == "damaged":
        offset, size = (int(split.image_column(name).all()[BAD]) for name in ("offset", "size"))
        path = Path(split.folder.path) / split.tar_name(0)
        data = bytearray(path.read_bytes())
        data[offset + size // 2] ^= 255
        path.write_bytes(data)
    return split


def make_loader(split, **options):
    options = {"crop_size": (32, 32), "batch_size": 3, "shuffle": "none"} | options
    return BottomUpLoader(BottomUpSamples([split]), BottomUpSettings(**options))


@pytest.mark.parametrize("prefetch", [1, 3])
def test_good_batches_come_first_then_an_error_that_names_shard_and_key(damaged_split, prefetch):
    loader, seen = make_loader(damaged_split, prefetch=prefetch), []
    with pytest.raises(BrokenShardError, match=r"split-000000.tar: 000000000105: "):
        seen.extend(loader)
    assert [batch.image_ids.tolist() for batch in seen] == [[100, 101, 102]]
    assert loader.state_dict()["step"] == 1


@pytest.mark.parametrize("prefetch", [1, 3])
@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_a_picture_that_is_skipped_has_nobody_in_it_and_changes_no_other(
    damaged_split, tmp_path_factory, encode, batch_size, prefetch
):
    options = {"batch_size": batch_size, "prefetch": prefetch, "augmentation": SPECS}
    sound = make_loader(write_split(tmp_path_factory.mktemp("sound"), encode, undecodable=False), **options)
    loader = make_loader(damaged_split, on_bad_sample="skip", max_bad_share=0.1, **options)
    for batch, expected in zip(loader, sound, strict=True):
        good = expected.valid & (expected.image_ids != 100 + BAD)
        assert torch.equal(batch.valid, good)
        for name in ("image_ids", "image_to_crop", "annotated"):
            assert torch.equal(getattr(batch, name), getattr(expected, name)), name
        for name in ("crops", "ignore"):
            assert torch.equal(getattr(batch, name)[good], getattr(expected, name)[good]), name
        assert not batch.ignore[~good].any()
        kept = good[expected.person_image]
        for name in ("person_image", "instance_ids", "keypoints", "visibility", "box_corners", "areas"):
            assert torch.equal(getattr(batch, name), getattr(expected, name)[kept]), name
    assert loader.bad_samples.count == 1
    (location,) = loader.bad_samples.reasons
    assert location.endswith("split-000000.tar: 000000000105")

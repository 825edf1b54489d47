"""Crops against OpenCV's decoder and warpAffine."""

import cv2
import numpy as np
import pytest
import torch

from pipelines.augmentation import Augmentation
from pipelines.dali_graph import CropGraph, GraphInput

CROP_SIZE = (128, 96)
CASES = {
    # box of a person in a picture of 240 x 320, and what is varied
    "inside": ([110, 60, 90, 120], Augmentation(rotation_factor=20, scale_factor=0.1, flip_probability=0.5)),
    "across the border": ([-30, -40, 200, 180], Augmentation(rotation_factor=45, scale_factor=0.3)),
    "far corner": ([250, 150, 120, 140], Augmentation(rotation_factor=45, translation_factor=0.2)),
    "enlarged": ([150, 110, 16, 20], Augmentation(rotation_factor=45, flip_probability=0.5)),
    "not turned": ([100, 50, 60, 150], Augmentation()),
}


def photograph(seed, height=240, width=320):
    """Smooth shading in three channels, steepest about ten grey levels per pixel."""
    noise = np.random.default_rng(seed).normal(size=(height, width, 3))
    fine, coarse = cv2.GaussianBlur(noise, (0, 0), 5), cv2.GaussianBlur(noise, (0, 0), 40)
    return np.clip(128 + 45 * fine / fine.std() + 25 * coarse / coarse.std(), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def photographs(write_split, painted, encode):
    """A split in which every second picture is a PNG; picture i holds the box of the i-th case."""
    keypoints = np.tile([100.0, 100.0, 2.0], (17, 1))
    pictures = []
    for number, (box, _) in enumerate(CASES.values()):
        format, extension = ("PNG", "png") if number % 2 else ("JPEG", "jpg")
        pictures.append(painted(encode(photograph(number), format), (240, 320), [(box, keypoints)], extension))
    return write_split(pictures)


@pytest.fixture(scope="module")
def decoded(photographs):
    """image id → RGB picture as OpenCV reads it from the raw file."""
    folder = photographs.folder.local.parent
    names = [name for sidecar in photographs.sidecars for name in sidecar.column("file_name").to_pylist()]
    ids = photographs.image_column("image_id").all()
    return {int(i): cv2.imread(str(folder / name))[:, :, ::-1] for i, name in zip(ids, names, strict=True)}


@pytest.mark.parametrize("convention", ["hrnet", "unbiased"])
@pytest.mark.parametrize("case", list(CASES))
def test_crops_equal_opencv(photographs, decoded, make_annotated_loader, device, case, convention):
    augmentation = CASES[case][1]
    loader = make_annotated_loader(
        photographs,
        crop_size=CROP_SIZE,
        batch_size=1,
        shuffle="none",
        convention=convention,
        augmentation=augmentation,
        device=device,
    )
    inside_px = outside_px = 0
    for epoch in range(4):
        loader.load_state_dict({"step": epoch * len(loader) + list(CASES).index(case)})
        batch = next(iter(loader))
        image_id = int(batch.image_ids[0])
        assert image_id == 100 + list(CASES).index(case)
        crop = batch.crops[0].cpu().permute(1, 2, 0).numpy()
        inside, outside, expected = by_opencv(decoded[image_id], batch.image_to_crop[0].numpy())
        difference = np.abs(crop.astype(int) - expected)
        # On a GPU nvJPEG decodes, which differs a little from libjpeg-turbo.
        assert difference[inside].max() <= (1 if device.type == "cpu" else 6)
        assert not crop[outside].any()
        inside_px, outside_px = inside_px + inside.sum(), outside_px + outside.sum()
    assert inside_px > 4 * 2000
    assert (outside_px > 500) == (case in ("across the border", "far corner"))


def by_opencv(picture, image_to_crop):
    """Which crop px have their source inside the picture, which more than a pixel outside, and OpenCV's crop."""
    height, width = CROP_SIZE
    crop_to_image = cv2.invertAffineTransform(image_to_crop)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    expected = cv2.warpAffine(np.ascontiguousarray(picture), crop_to_image, (width, height), flags=flags)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    source = np.stack([x, y, np.ones_like(x)], axis=-1) @ crop_to_image.T
    last = np.array(picture.shape[1::-1]) - 1
    inside = ((source >= 0) & (source <= last)).all(axis=-1)
    outside = ((source < -1.01) | (source > last + 1.01)).any(axis=-1)
    return inside, outside, expected.astype(int)


def test_a_quarter_pixel_shift_is_a_quarter_pixel_shift(device, encode):
    """On a ramp of 4 grey levels per pixel the crop is the ramp at the shifted places, so px centres are integers."""
    ramp = np.tile((4 * np.arange(60, dtype=np.uint8))[None, :, None], (20, 1, 3))
    data = np.frombuffer(encode(ramp, "PNG"), dtype=np.uint8)
    inputs = iter([GraphInput([data], np.zeros(1, np.int64), np.array([[[1.0, 0.0, 10.25], [0.0, 1.0, 3.0]]]))] * 9)
    graph = CropGraph(lambda: next(inputs), 1, (8, 30), device, threads=1)
    crop = graph.run()[0].cpu().numpy()
    np.testing.assert_array_equal(crop, np.broadcast_to(4 * (np.arange(30) + 10.25), (3, 8, 30)))


def test_pictures_are_fanned_out_to_their_instances(device, encode):
    """Two pictures for five instances, in any order."""
    grey = [np.full((6, 6, 3), value, dtype=np.uint8) for value in (50, 200)]
    data = [np.frombuffer(encode(picture, "PNG"), dtype=np.uint8) for picture in grey]
    owners = np.array([1, 0, 0, 1, 0])
    identity = np.tile(np.eye(3)[:2], (5, 1, 1))
    inputs = iter([GraphInput(data, owners, identity)] * 9)
    crops = CropGraph(lambda: next(inputs), 5, (6, 6), device, threads=1).run().cpu()
    assert crops.shape == (5, 3, 6, 6)
    assert crops.dtype == torch.uint8
    assert crops.is_contiguous(memory_format=torch.channels_last)
    assert crops.amin((1, 2, 3)).tolist() == crops.amax((1, 2, 3)).tolist() == [200, 50, 50, 200, 50]


def test_crops_stay_when_later_ones_are_made(device, encode):
    """Tensors are views of DALI's memory, which must not be used again while they live, nor go with the graph."""
    values = range(20, 220, 10)
    grey = [np.frombuffer(encode(np.full((40, 40, 3), value, np.uint8), "PNG"), dtype=np.uint8) for value in values]
    identity = np.tile(np.eye(3)[:2], (4, 1, 1))
    inputs = iter([GraphInput([data], np.zeros(4, np.int64), identity) for data in grey])
    graph = CropGraph(lambda: next(inputs), 4, (40, 40), device, threads=2)
    crops = [graph.run() for _ in range(len(values) - 4)]
    graph.close()
    for value, held in zip(values, crops, strict=False):
        assert held.cpu().unique().tolist() == [value]

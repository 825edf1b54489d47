"""The flip test: heatmaps of a mirrored crop brought back onto those of the crop."""

import numpy as np
import pytest
import torch

from pose.heatmaps import HeatmapCodec, flip_back, flip_shift, shift_right
from pose.skeletons import COCO_17

# stride, crop size, heatmap size
STRIDES = [
    (4, (128, 96), (32, 24)),
    (2, (128, 96), (64, 48)),
    (1, (64, 48), (64, 48)),
    (4 / 3, (64, 80), (48, 60)),
    (0.8, (48, 64), (60, 80)),
]


def mirrored_maps(codec, keypoints):
    """What a perfect network says to the mirrored crop: its left wrist is the right one, at W − 1 − x."""
    seen = keypoints[:, list(COCO_17.flip_indices)].clone()
    seen[..., 0] = codec.crop_size[1] - 1 - seen[..., 0]
    return codec.encode(seen, torch.ones(seen.shape[:2]))[0]


def centroids(maps):
    """(B, K, 2) heatmap px."""
    y, x = torch.meshgrid(torch.arange(maps.shape[2]), torch.arange(maps.shape[3]), indexing="ij")
    mass = maps.double()
    return torch.stack([(mass * x).sum((2, 3)), (mass * y).sum((2, 3))], dim=-1) / mass.sum((2, 3))[..., None]


def interior(codec, margin=8):
    rng = np.random.default_rng(3)
    height, width = codec.heatmap_size
    points = rng.uniform([margin, margin], [width - 1 - margin, height - 1 - margin], (6, 17, 2))
    return torch.from_numpy(points) * torch.tensor(codec.crop_px_per_heatmap_px)


@pytest.mark.parametrize(("stride", "crop_size", "heatmap_size"), STRIDES)
def test_flipped_maps_lie_on_the_straight_ones(stride, crop_size, heatmap_size):
    """Exactly up to stride 2; a quarter heatmap px too far right at stride 4, as in the public code."""
    codec = HeatmapCodec(crop_size, heatmap_size, 1.5, "exact", "dark")
    assert codec.crop_px_per_heatmap_px == pytest.approx((stride, stride))
    keypoints = interior(codec)
    back = flip_back(mirrored_maps(codec, keypoints), COCO_17.flip_indices, flip_shift(stride, "hrnet"))
    error = centroids(back) - keypoints / stride
    assert error[..., 0].numpy() == pytest.approx(0.25 if stride == 4 else 0, abs=2e-3)
    assert error[..., 1].numpy() == pytest.approx(0, abs=2e-3)


@pytest.mark.parametrize(("stride", "crop_size", "heatmap_size"), STRIDES)
def test_the_flip_test_decodes_to_the_keypoints(stride, crop_size, heatmap_size):
    """The mean of both maps, as the evaluation decodes it."""
    codec = HeatmapCodec(crop_size, heatmap_size, 2.0, "exact", "dark")
    keypoints = interior(codec, margin=9)
    straight, _ = codec.encode(keypoints, torch.ones(keypoints.shape[:2]))
    back = flip_back(mirrored_maps(codec, keypoints), COCO_17.flip_indices, flip_shift(stride, "hrnet"))
    decoded, _ = codec.decode((straight + back) / 2)
    expected = keypoints + torch.tensor([0.5 if stride == 4 else 0.0, 0.0])
    assert (decoded - expected).abs().max() < 0.1


@pytest.mark.parametrize(("stride", "crop_size", "heatmap_size"), STRIDES)
def test_exactly_shifted_maps_equal_the_straight_ones(stride, crop_size, heatmap_size):
    """Up to the error of linear interpolation, shift·(1 − shift)/2 times the largest second derivative, 1/sigma²: so
    plug-ins with finer maps, whose Gaussians are as wide in the crop, lose nothing by the flip test."""
    codec = HeatmapCodec(crop_size, heatmap_size, 8 / stride, "exact")
    keypoints = interior(codec)
    shift = flip_shift(stride, "hrnet", "exact")
    assert shift == pytest.approx(1 - 1 / stride)
    straight, _ = codec.encode(keypoints, torch.ones(keypoints.shape[:2]))
    back = flip_back(mirrored_maps(codec, keypoints), COCO_17.flip_indices, shift)
    # The outermost column that the shift uncovers has no counterpart.
    error = (back - straight)[..., 1:-1].abs().max()
    assert error <= abs(shift) * (1 - abs(shift)) / (2 * codec.sigma**2) + 1e-5


@pytest.mark.parametrize(("stride", "crop_size", "heatmap_size"), STRIDES)
def test_unbiased_maps_need_no_shift(stride, crop_size, heatmap_size):
    codec = HeatmapCodec(crop_size, heatmap_size, 2.0, "exact", convention="unbiased")
    keypoints = interior(codec, margin=2)
    assert flip_shift(stride, "unbiased") == 0
    back = flip_back(mirrored_maps(codec, keypoints), COCO_17.flip_indices, 0.0)
    straight, _ = codec.encode(keypoints, torch.ones(keypoints.shape[:2]))
    np.testing.assert_allclose(back, straight, atol=1e-4)


def test_shifts_of_the_specification():
    expected = {4: 1, 3: 1, 2: 0.5, 4 / 3: 0.25, 1: 0, 0.8: -0.25}
    assert {stride: flip_shift(stride, "hrnet") for stride in expected} == pytest.approx(expected)


def test_shift_one_is_the_public_code():
    """flip_back and SHIFT_HEATMAP of the HRNet code, in numpy."""
    maps = np.random.default_rng(0).normal(size=(2, 17, 5, 7)).astype(np.float32)
    expected = maps[:, :, :, ::-1].copy()
    for left, right in [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)]:
        kept = expected[:, left].copy()
        expected[:, left] = expected[:, right]
        expected[:, right] = kept
    expected[:, :, :, 1:] = expected.copy()[:, :, :, 0:-1]
    np.testing.assert_array_equal(flip_back(torch.from_numpy(maps), COCO_17.flip_indices, 1.0).numpy(), expected)


@pytest.mark.parametrize("shift", [-1, -0.25, 0, 0.25, 0.5, 1])
def test_shift_right_interpolates_between_columns(shift):
    """Against linear interpolation at x − shift; beyond the edge, the edge's value."""
    row = np.random.default_rng(1).normal(size=9)
    expected = np.interp(np.arange(9) - shift, np.arange(9), row)
    np.testing.assert_allclose(shift_right(torch.from_numpy(row)[None], shift)[0], expected, atol=1e-12)


def test_flipping_back_twice_without_a_shift_changes_nothing():
    maps = torch.rand(2, 17, 6, 4)
    kept = maps.clone()
    assert torch.equal(flip_back(flip_back(maps, COCO_17.flip_indices, 0), COCO_17.flip_indices, 0), maps)
    assert torch.equal(maps, kept)

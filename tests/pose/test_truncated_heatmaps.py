"""Heatmaps centred on floor(x), floor(y), as public associative-embedding code draws and reads them."""

import math

import numpy as np
import pytest
import torch

from pose.heatmaps import HeatmapCodec
from pose.person_heatmaps import encode_persons


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0])
def test_encode_equals_loops(sigma):
    codec = HeatmapCodec((64, 48), (32, 24), sigma, encoding="truncated")
    keypoints = np.random.default_rng(0).uniform(-30, 90, (40, 2, 2))
    expected, kept = np.zeros((40, 2, 32, 24)), np.zeros((40, 2))
    for b, k in np.ndindex(40, 2):
        center_x, center_y = math.floor(keypoints[b, k, 0] / 2), math.floor(keypoints[b, k, 1] / 2)
        for y, x in np.ndindex(32, 24):
            if max(abs(x - center_x), abs(y - center_y)) <= 3 * sigma + 1:
                expected[b, k, y, x] = math.exp(-((x - center_x) ** 2 + (y - center_y) ** 2) / (2 * sigma**2))
                kept[b, k] = 1
    maps, weights = codec.encode(torch.from_numpy(keypoints), torch.ones(40, 2))
    np.testing.assert_allclose(maps.numpy(), expected, atol=1e-6)
    np.testing.assert_array_equal(weights.numpy(), kept)
    assert 0 < kept.sum() < 80


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_reading_returns_to_the_middle_of_the_pixel(stride):
    size = (64, 48)
    codec = HeatmapCodec((64 * stride, 48 * stride), size, encoding="truncated", decoding="quarter")
    pixels = torch.rand(30, 3, 2, generator=torch.Generator().manual_seed(0)) * 30 + 8
    found, peaks = codec.decode(codec.encode(pixels * stride, torch.ones(30, 3))[0])
    torch.testing.assert_close(found, (pixels.floor() + 0.5) * stride)
    assert (peaks == 1).all()
    assert (found - pixels * stride).mean().abs() < 0.1 * stride


def test_the_half_pixel_is_added_to_what_the_map_itself_says():
    maps = torch.zeros(1, 2, 16, 12)
    maps[0, 0, 5, 6:8] = torch.tensor([1.0, 0.5])
    truncated, rounded = (
        HeatmapCodec((64, 48), (16, 12), encoding=encoding).decode(maps)[0] for encoding in ("truncated", "rounded")
    )
    torch.testing.assert_close(truncated[0, 0] - rounded[0, 0], torch.tensor([2.0, 2.0]))
    assert truncated[0, 1].tolist() == [0, 0]


@pytest.mark.parametrize("encoding", ["truncated", "rounded"])
def test_one_person_gets_the_map_that_a_crop_gets(encoding):
    keypoints = torch.rand(5, 4, 2, generator=torch.Generator().manual_seed(1)) * torch.tensor([24, 32])
    crop, _ = HeatmapCodec((32, 24), (32, 24), encoding=encoding).encode(keypoints, torch.ones(5, 4))
    picture = encode_persons(keypoints, torch.ones(5, 4) > 0, torch.arange(5), 5, (32, 24), 2.0, encoding)
    torch.testing.assert_close(picture, crop)

"""Keypoints → heatmaps, against loops over keypoints and pixels."""

import math

import numpy as np
import pytest
import torch

from pose.heatmaps import HeatmapCodec

# crop size, heatmap size: strides 4, 2, 1, 4/3, 0.8, and one that differs along x and y
SIZES = [
    ((128, 96), (32, 24)),
    ((64, 48), (32, 24)),
    ((40, 56), (40, 56)),
    ((32, 48), (24, 36)),
    ((32, 24), (40, 30)),
    ((64, 48), (16, 40)),
]


def strides(codec):
    one = 1 if codec.convention == "unbiased" else 0
    return [(codec.crop_size[axis] - one) / (codec.heatmap_size[axis] - one) for axis in (1, 0)]


def rounded_by_loops(keypoints, weights, codec):
    """Specs 0.3, "Target", one keypoint and one pixel at a time."""
    height, width = codec.heatmap_size
    maps, kept = np.zeros((*weights.shape, height, width)), np.zeros(weights.shape)
    for b, k in np.ndindex(weights.shape):
        if not weights[b, k] > 0:
            continue
        mu_x, mu_y = (math.floor(keypoints[b, k, axis] / strides(codec)[axis] + 0.5) for axis in (0, 1))
        for y, x in np.ndindex(height, width):
            if abs(x - mu_x) <= 3 * codec.sigma and abs(y - mu_y) <= 3 * codec.sigma:
                maps[b, k, y, x] = math.exp(-((x - mu_x) ** 2 + (y - mu_y) ** 2) / (2 * codec.sigma**2))
                kept[b, k] = weights[b, k]
    return maps, kept


def exact_by_loops(keypoints, weights, codec):
    """The Gaussian at the unrounded place over the whole map; the weight follows the ±3 sigma window as before."""
    height, width = codec.heatmap_size
    maps, kept = np.zeros((*weights.shape, height, width)), np.zeros(weights.shape)
    for b, k in np.ndindex(weights.shape):
        if not weights[b, k] > 0:
            continue
        mu_x, mu_y = (keypoints[b, k, axis] / strides(codec)[axis] for axis in (0, 1))
        reach = 3 * codec.sigma
        if mu_x + reach < 0 or mu_y + reach < 0 or mu_x - reach > width - 1 or mu_y - reach > height - 1:
            continue
        kept[b, k] = weights[b, k]
        for y, x in np.ndindex(height, width):
            maps[b, k, y, x] = math.exp(-((x - mu_x) ** 2 + (y - mu_y) ** 2) / (2 * codec.sigma**2))
    return maps, kept


LOOPS = {"rounded": rounded_by_loops, "exact": exact_by_loops}


@pytest.mark.parametrize(("crop_size", "heatmap_size"), SIZES)
@pytest.mark.parametrize("encoding", ["rounded", "exact"])
@pytest.mark.parametrize("convention", ["hrnet", "unbiased"])
@pytest.mark.parametrize("sigma", [1.0, 2.0])
def test_encode_equals_loops(crop_size, heatmap_size, encoding, convention, sigma):
    codec = HeatmapCodec(crop_size, heatmap_size, sigma, encoding=encoding, convention=convention)
    rng = np.random.default_rng(0)
    # Quarter pixels off any rounding border; reaching far enough outside to lose some windows.
    size = np.array(crop_size[::-1])
    keypoints = np.round(rng.uniform(-0.4 * size, 1.4 * size, (3, 9, 2)) * 4) / 4 + 0.0107
    weights = rng.choice([0.0, 1.0, 1.5], (3, 9))
    expected, kept = LOOPS[encoding](keypoints, weights, codec)
    assert 0 < (kept > 0).sum() < (weights > 0).sum()
    maps, new_weights = codec.encode(torch.from_numpy(keypoints), torch.from_numpy(weights))
    np.testing.assert_allclose(maps.numpy(), expected, atol=2e-5)
    np.testing.assert_array_equal(new_weights.numpy(), kept)


@pytest.mark.parametrize("axis", [0, 1])
def test_weights_at_the_border(axis):
    """Stride 4, sigma 2: the window reaches 6 px, so 6 px outside the outermost pixel centre it still touches."""
    codec = HeatmapCodec((256, 192), (64, 48))
    last = 47 if axis == 0 else 63
    for heatmap_px, touches in [(-7, False), (-6, True), (0, True), (last + 6, True), (last + 7, False)]:
        keypoints = torch.full((1, 1, 2), 80.0)
        keypoints[0, 0, axis] = 4 * heatmap_px
        maps, weights = codec.encode(keypoints, torch.ones(1, 1))
        assert (weights.item() > 0) == touches == (maps.max().item() > 0)


def test_rounding_is_half_up():
    codec = HeatmapCodec((256, 192), (64, 48))
    keypoints = torch.tensor([[[9.9, 10.0], [10.0, 13.9], [14.0, 0.0]]])  # 2.475, 2.5 → 2, 3; 2.5, 3.475; 3.5
    maps, _ = codec.encode(keypoints, torch.ones(1, 3))
    places = [divmod(int(place), 48)[::-1] for place in maps.flatten(2).argmax(2)[0]]
    assert places == [(2, 3), (3, 3), (4, 0)]
    assert (maps.flatten(2).amax(2) == 1).all()


@pytest.mark.parametrize("encoding", ["rounded", "exact"])
@pytest.mark.parametrize("nothing", [float("nan"), float("inf"), 1e30, 0.0])
def test_unlabelled_keypoints_do_no_harm_whatever_their_values(encoding, nothing):
    codec = HeatmapCodec((64, 48), (16, 12), encoding=encoding)
    keypoints = torch.tensor([[[20.0, 30.0], [nothing, nothing]]])
    maps, weights = codec.encode(keypoints, torch.tensor([[1.0, 0.0]]))
    alone, _ = codec.encode(keypoints[:, :1], torch.ones(1, 1))
    assert torch.equal(maps[:, :1], alone)
    assert not maps[0, 1].any()
    assert weights.tolist() == [[1, 0]]


@pytest.mark.parametrize("encoding", ["rounded", "exact"])
def test_maps_come_multiplied_out_or_not_and_with_any_peak(encoding):
    sizes = {"crop_size": (64, 48), "heatmap_size": (16, 12), "encoding": encoding}
    keypoints = torch.rand(3, 5, 2, generator=torch.Generator().manual_seed(0)) * 70 - 10
    maps, weights = HeatmapCodec(**sizes).encode(keypoints, torch.ones(3, 5))
    high, same_weights = HeatmapCodec(**sizes, peak=255.0).encode_axes(keypoints, torch.ones(3, 5))
    assert (high.along_y.shape, high.along_x.shape) == ((3, 5, 16), (3, 5, 12))
    torch.testing.assert_close(high.dense(), 255 * maps)
    assert torch.equal(same_weights, weights)


@pytest.mark.parametrize("encoding", ["rounded", "exact"])
@pytest.mark.parametrize("sigma", [0.7, 1.0, 7 / 3, 8.0])
def test_maps_hold_no_numbers_that_slow_a_processor_down(encoding, sigma):
    """Zeros and normal numbers only, also where a network's error is multiplied by them."""
    codec = HeatmapCodec((256, 192), (256, 192), sigma, encoding=encoding)
    maps, _ = codec.encode(torch.tensor([[[20.3, 200.6], [96.0, 128.0]]]), torch.ones(1, 2))
    assert maps[maps != 0].abs().min() >= torch.finfo(torch.float32).tiny


def test_labelled_but_far_away_gives_an_empty_map():
    codec = HeatmapCodec((64, 48), (16, 12), encoding="exact")
    maps, weights = codec.encode(torch.tensor([[[1e9, 20.0], [20.0, -1e9]]]), torch.ones(1, 2))
    assert not maps.any()
    assert not weights.any()


def test_weights_are_not_changed_in_place_and_other_dtypes_pass():
    codec = HeatmapCodec((64, 48), (16, 12))
    weights = torch.tensor([[2.0, 1.0]])
    keypoints = torch.tensor([[[20, 30], [500, 30]]], dtype=torch.float64)
    maps, new_weights = codec.encode(keypoints, weights)
    assert weights.tolist() == [[2, 1]]
    assert new_weights.tolist() == [[2, 0]]
    assert maps.dtype == torch.float32


def test_empty_batch():
    maps, weights = HeatmapCodec((64, 48), (16, 12)).encode(torch.zeros(0, 17, 2), torch.zeros(0, 17))
    assert maps.shape == (0, 17, 16, 12)
    assert weights.shape == (0, 17)

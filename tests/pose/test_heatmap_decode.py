"""Heatmaps → keypoints, against the public decoders restated on single maps, and encode ∘ decode."""

import cv2
import numpy as np
import pytest
import torch

from pose.heatmap_offsets import blur_kernel_size
from pose.heatmaps import HeatmapCodec

# crop size, heatmap size: strides 4, 2, 1, 4/3, 0.8, and one that differs along x and y
SIZES = [
    ((256, 192), (64, 48)),
    ((128, 96), (64, 48)),
    ((64, 80), (64, 80)),
    ((64, 80), (48, 60)),
    ((48, 64), (60, 80)),
    ((256, 96), (64, 48)),
]

# sigma: side of DARK's blur kernel, as its configurations have it for 1, 2, 3; at 4, that of PoseReNet's finer maps.
KERNELS = {1.0: 3, 2.0: 11, 3.0: 11, 4.0: 25}


def argmax_of(heatmap):
    y, x = divmod(int(np.argmax(heatmap)), heatmap.shape[1])
    return x, y


def quarter_by_hand(heatmap):
    """get_final_preds of the HRNet code, before the scaling."""
    height, width = heatmap.shape
    x, y = argmax_of(heatmap)
    place = np.array([x, y], dtype=float)
    if 1 < x < width - 1 and 1 < y < height - 1:
        difference = [heatmap[y, x + 1] - heatmap[y, x - 1], heatmap[y + 1, x] - heatmap[y - 1, x]]
        place += np.sign(difference) * 0.25
    return place


def dark_by_hand(heatmap, kernel):
    """gaussian_blur and taylor of the DARK code: blur on a zero border, restore the maximum, log, one Newton step."""
    height, width = heatmap.shape
    border = (kernel - 1) // 2
    padded = np.zeros((height + 2 * border, width + 2 * border))
    padded[border:-border, border:-border] = heatmap
    blurred = cv2.GaussianBlur(padded, (kernel, kernel), 0)[border:-border, border:-border]
    log = np.log(np.maximum(blurred * (heatmap.max() / blurred.max()), 1e-10))
    x, y = argmax_of(heatmap)
    place = np.array([x, y], dtype=float)
    if 1 < x < width - 2 and 1 < y < height - 2:
        dx = 0.5 * (log[y, x + 1] - log[y, x - 1])
        dy = 0.5 * (log[y + 1, x] - log[y - 1, x])
        dxx = 0.25 * (log[y, x + 2] - 2 * log[y, x] + log[y, x - 2])
        dxy = 0.25 * (log[y + 1, x + 1] - log[y - 1, x + 1] - log[y + 1, x - 1] + log[y - 1, x - 1])
        dyy = 0.25 * (log[y + 2, x] - 2 * log[y, x] + log[y - 2, x])
        if dxx * dyy - dxy**2 != 0:
            place -= np.linalg.inv(np.array([[dxx, dxy], [dxy, dyy]])) @ np.array([dx, dy])
    return place


def by_hand(heatmap, decoding, sigma):
    if decoding == "argmax":
        return np.array(argmax_of(heatmap), dtype=float)
    return quarter_by_hand(heatmap) if decoding == "quarter" else dark_by_hand(heatmap, KERNELS[sigma])


def network_like_maps(count, size, sigma, seed):
    """Bumps of all shapes at all places, borders and corners included, over noise: (count, 1, H, W)."""
    rng = np.random.default_rng(seed)
    height, width = size
    y, x = np.mgrid[:height, :width]
    maps = np.empty((count, 1, height, width), dtype=np.float32)
    for number in range(count):
        center = rng.uniform([-1, -1], [width, height])
        if number % 4 == 0:  # within three pixels of a border, where the rules change
            axis = number // 4 % 2
            center[axis] = rng.uniform(0, 3.5) if number % 8 else (width, height)[axis] - 1 - rng.uniform(0, 3.5)
        wide, high = rng.uniform(0.8, 1.4, 2) * sigma
        bump = np.exp(-((x - center[0]) ** 2) / (2 * wide**2) - (y - center[1]) ** 2 / (2 * high**2))
        maps[number, 0] = rng.uniform(0.2, 1.1) * bump + 0.004 * rng.normal(size=size)
    return maps


@pytest.mark.parametrize("decoding", ["argmax", "quarter", "dark"])
@pytest.mark.parametrize("sigma", KERNELS)
def test_decode_equals_the_public_code(decoding, sigma):
    size = (40, 30)
    maps = network_like_maps(300, size, sigma, seed=int(sigma))
    expected = np.array([4 * by_hand(heatmap, decoding, sigma) for heatmap in maps[:, 0]])
    codec = HeatmapCodec((160, 120), size, sigma, decoding=decoding)
    keypoints, peaks = codec.decode(torch.from_numpy(maps))
    np.testing.assert_allclose(keypoints[:, 0], expected, atol=2e-3)
    np.testing.assert_array_equal(peaks[:, 0].numpy(), maps.max(axis=(1, 2, 3)))


@pytest.mark.parametrize("convention", ["hrnet", "unbiased"])
@pytest.mark.parametrize(("crop_size", "heatmap_size"), SIZES)
def test_exact_encoding_and_dark_are_inverses(crop_size, heatmap_size, convention):
    codec = HeatmapCodec(crop_size, heatmap_size, 2.0, "exact", "dark", convention)
    keypoints = interior_points(codec, margin=9, count=200)
    maps, weights = codec.encode(keypoints, torch.ones(keypoints.shape[:2]))
    decoded, peaks = codec.decode(maps)
    assert (decoded - keypoints).abs().max() < 0.1
    assert (weights == 1).all()
    assert peaks.min() > 0.85


@pytest.mark.parametrize("sigma", [1.0, 1.5, 3.0, 4.0, 6.0])
def test_exact_encoding_and_dark_are_inverses_at_every_sigma(sigma):
    codec = HeatmapCodec((128, 96), (64, 48), sigma, "exact", "dark")
    keypoints = interior_points(codec, margin=min(4 * sigma + 1, 20), count=200)
    decoded, _ = codec.decode(codec.encode(keypoints, torch.ones(keypoints.shape[:2]))[0])
    assert (decoded - keypoints).abs().max() < 0.1


@pytest.mark.parametrize("convention", ["hrnet", "unbiased"])
@pytest.mark.parametrize(("crop_size", "heatmap_size"), SIZES)
def test_rounded_encoding_and_quarter_agree_to_half_a_heatmap_pixel(crop_size, heatmap_size, convention):
    codec = HeatmapCodec(crop_size, heatmap_size, 2.0, "rounded", "quarter", convention)
    keypoints = interior_points(codec, margin=2, count=200)
    decoded, _ = codec.decode(codec.encode(keypoints, torch.ones(keypoints.shape[:2]))[0])
    error = (decoded - keypoints).abs() / torch.tensor(codec.crop_px_per_heatmap_px)
    assert error.max() <= 0.5 + 1e-4
    assert error.max() > 0.4  # it is quantised: nothing else compensates for it


def test_exact_encoding_and_quarter_agree_to_a_quarter_heatmap_pixel():
    codec = HeatmapCodec((256, 192), (64, 48), 2.0, "exact", "quarter")
    keypoints = interior_points(codec, margin=3, count=200)
    decoded, _ = codec.decode(codec.encode(keypoints, torch.ones(keypoints.shape[:2]))[0])
    assert (decoded - keypoints).abs().max() <= 4 * 0.25 + 1e-3


def interior_points(codec, margin, count):
    """(4, count / 4, 2) crop px, at least `margin` heatmap px inside."""
    per_px = np.array(codec.crop_px_per_heatmap_px)
    high = (np.array(codec.heatmap_size[::-1]) - 1 - margin) * per_px
    points = np.random.default_rng(5).uniform(margin * per_px, high, (4, count // 4, 2))
    return torch.from_numpy(points.astype(np.float32))


def test_crop_px_per_heatmap_px():
    sizes = {"crop_size": (256, 192), "heatmap_size": (64, 48)}
    assert HeatmapCodec(**sizes).crop_px_per_heatmap_px == (4, 4)
    assert HeatmapCodec(**sizes, convention="unbiased").crop_px_per_heatmap_px == (191 / 47, 255 / 63)


@pytest.mark.parametrize("decoding", ["argmax", "quarter", "dark"])
def test_scores_are_relative_to_the_peak(decoding):
    maps = torch.from_numpy(network_like_maps(40, (20, 14), 2.0, seed=4))
    one, peaks = HeatmapCodec((80, 56), (20, 14), decoding=decoding).decode(maps)
    same, scores = HeatmapCodec((80, 56), (20, 14), decoding=decoding, peak=255.0).decode(255 * maps)
    torch.testing.assert_close(same, one, rtol=0, atol=2e-3)
    torch.testing.assert_close(scores, peaks)


@pytest.mark.parametrize("size", [(16, 12), (64, 48), (17, 13), (1, 5), (40, 30)])
def test_of_equal_values_the_first_is_the_largest(size):
    rng = np.random.default_rng(2)
    maps = rng.integers(0, 9, (5, 7, *size)).astype(np.float32)
    keypoints, peaks = HeatmapCodec(size, size, decoding="argmax").decode(torch.from_numpy(maps))
    expected = np.array([argmax_of(heatmap) for heatmap in maps.reshape(-1, *size)]).reshape(5, 7, 2)
    np.testing.assert_array_equal(keypoints, expected * (maps.max(axis=(2, 3)) > 0)[..., None])
    np.testing.assert_array_equal(peaks, maps.max(axis=(2, 3)))


@pytest.mark.parametrize(("sigma", "size"), [(0.5, 3), (1, 3), (1.5, 7), (2, 11), (3, 11), (4, 25), (6, 37), (8, 51)])
def test_blur_kernels_have_the_published_size_or_the_targets_sigma(sigma, size):
    assert blur_kernel_size(sigma) == size


@pytest.mark.parametrize("decoding", ["argmax", "quarter", "dark"])
@pytest.mark.parametrize("value", [-1.0, 0.0])
def test_maps_without_a_positive_value_decode_to_the_origin(decoding, value):
    maps = torch.full((2, 3, 16, 12), value)
    maps[0, 0] -= torch.rand(16, 12)
    maps[1, 1, 8, 6] = 0.7
    keypoints, peaks = HeatmapCodec((64, 48), (16, 12), decoding=decoding).decode(maps)
    assert keypoints[1, 1].tolist() == pytest.approx([24, 32], abs=1e-3)
    keypoints[1, 1] = 0
    assert not keypoints.any()
    assert peaks[0, 1] == value


@pytest.mark.parametrize("decoding", ["argmax", "quarter", "dark"])
def test_flat_and_tiny_maps_decode_to_finite_places(decoding):
    codec = HeatmapCodec((12, 8), (3, 2), decoding=decoding)
    keypoints, _ = codec.decode(torch.full((1, 2, 3, 2), 0.5))
    assert torch.isfinite(keypoints).all()


def test_half_precision_maps_decode_in_single_precision():
    codec = HeatmapCodec((64, 48), (16, 12), encoding="exact", decoding="dark")
    maps, _ = codec.encode(torch.tensor([[[21.7, 30.2]]]), torch.ones(1, 1))
    keypoints, peaks = codec.decode(maps.half())
    assert keypoints.dtype == peaks.dtype == torch.float32
    assert keypoints[0, 0].tolist() == pytest.approx([21.7, 30.2], abs=0.1)


def test_channels_last_maps_decode_alike():
    maps = torch.from_numpy(network_like_maps(30, (20, 14), 2.0, seed=9).reshape(6, 5, 20, 14))
    codec = HeatmapCodec((80, 56), (20, 14), decoding="dark")
    assert torch.equal(codec.decode(maps)[0], codec.decode(maps.contiguous(memory_format=torch.channels_last))[0])

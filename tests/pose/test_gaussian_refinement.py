import numpy as np
import pytest
import torch
from scipy.optimize import curve_fit
from torch import Tensor

from pose.gaussian_refinement import refine
from pose.scored_poses import ScoredPoses

Peaks = list[tuple[float, float, float, float]]
"""x, y, height, sigma."""


def _map(peaks: Peaks, size: tuple[int, int] = (90, 130)) -> Tensor:
    y, x = torch.meshgrid(torch.arange(float(size[0])), torch.arange(float(size[1])), indexing="ij")
    maps = [height * torch.exp(-((x - a) ** 2 + (y - b) ** 2) / (2 * sigma**2)) for a, b, height, sigma in peaks]
    return torch.stack(maps).amax(0)


def _poses(keypoints: list[list[float]], heat: float = 0.5, center: float = 1.0) -> ScoredPoses:
    """One keypoint a person."""
    count = len(keypoints)
    return ScoredPoses(torch.tensor(keypoints)[:, None], torch.full((count, 1), heat), torch.full((count,), center))


def _random_peaks(seed: int, sigma: tuple[float, float], margin: float = 0) -> Peaks:
    """On a grid: far enough apart that each window sees one, except by their flanks."""
    drawn = np.random.default_rng(seed)
    places = [(x, y) for x in np.arange(margin, 126, 26) for y in np.arange(margin, 86, 22)]
    return [
        (x + drawn.uniform(0, 3), y + drawn.uniform(0, 3), drawn.uniform(0.2, 1), drawn.uniform(*sigma))
        for x, y in places
    ]


def _by_scipy(heatmap: np.ndarray, x: int, y: int) -> np.ndarray:
    """Height, x, y, sigma."""
    rows = np.arange(max(0, y - 6), min(heatmap.shape[0], y + 7))
    columns = np.arange(max(0, x - 6), min(heatmap.shape[1], x + 7))
    at_y, at_x = np.meshgrid(rows, columns, indexing="ij")

    def gaussian(at: np.ndarray, height: float, x0: float, y0: float, sigma: float) -> np.ndarray:
        values: np.ndarray = height * np.exp(-((at[0] - x0) ** 2 + (at[1] - y0) ** 2) / (2 * sigma**2))
        return values

    window = heatmap[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(float)
    start = (heatmap[y, x], x, y, 2.0)
    found: np.ndarray = curve_fit(gaussian, np.stack([at_x.ravel(), at_y.ravel()]), window.ravel(), start, maxfev=300)[
        0
    ]
    return found


@pytest.mark.parametrize("sigma", [1.5, 2.0, 4.0, 8.0])
def test_a_gaussian_between_pixels_is_found(sigma: float) -> None:
    heatmaps = _map([(60.3, 40.7, 0.8, sigma)])[None]
    refined = refine(_poses([[60.0, 41.0]]), heatmaps)
    torch.testing.assert_close(refined.keypoints[0, 0], torch.tensor([60.3, 40.7]), atol=2e-3, rtol=0)
    torch.testing.assert_close(refined.heat[0, 0], torch.tensor(0.8), atol=1e-3, rtol=0)


def _agreement(heatmap: Tensor, peaks: Peaks, margin: int) -> tuple[np.ndarray, Tensor]:
    """Distance to scipy's fits, px, and which keypoints moved at all."""
    starts = [[float(round(x)), float(round(y))] for x, y, _, _ in peaks]
    refined = refine(_poses(starts), heatmap[None])
    expected = np.array([_by_scipy(heatmap.numpy(), int(x), int(y)) for x, y in starts])
    distance = np.hypot(*(refined.keypoints[:, 0].numpy() - expected[:, 1:3]).T)
    close = distance < 0.02
    np.testing.assert_allclose(refined.heat[:, 0].numpy()[close], expected[close, 0], atol=1e-3)
    return distance, (refined.keypoints != _poses(starts).keypoints).any(-1)[:, 0]


@pytest.mark.parametrize("seed", range(4))
def test_smooth_peaks_agree_with_scipy(seed: int) -> None:
    peaks = _random_peaks(seed, (1.5, 8.0), margin=7)
    distance, moved = _agreement(_map(peaks), peaks, 6)
    assert bool(moved.all())
    assert distance.max() < 0.02


@pytest.mark.parametrize("seed", range(4))
def test_peaks_at_the_border_agree_with_scipy(seed: int) -> None:
    peaks = [peak for peak in _random_peaks(seed, (1.5, 3.0), margin=1) if peak[0] < 5 or peak[1] < 5]
    distance, _ = _agreement(_map(peaks), peaks, 6)
    assert distance.max() < 0.02


@pytest.mark.parametrize("seed", range(4))
def test_noisy_peaks_agree_with_scipy(seed: int) -> None:
    peaks = _random_peaks(seed, (1.5, 8.0), margin=7)
    noise = torch.randn(90, 130, generator=torch.Generator().manual_seed(seed))
    distance, moved = _agreement(_map(peaks) + 0.05 * noise, peaks, 6)
    assert (distance[moved] < 0.02).mean() > 0.95
    assert moved.float().mean() > 0.9


def test_all_keypoints_are_refined_each_on_its_own_map() -> None:
    heatmaps = torch.stack([_map([(60.3, 40.7, 0.8, 4)]), _map([(30.6, 20.2, 0.6, 4), (90.4, 60.4, 0.5, 4)])])
    keypoints = torch.tensor([[[60.0, 41], [31, 20]], [[60, 41], [90, 60]]])
    refined = refine(ScoredPoses(keypoints, torch.full((2, 2), 0.5), torch.ones(2)), heatmaps)
    expected = torch.tensor([[[60.3, 40.7], [30.6, 20.2]], [[60.3, 40.7], [90.4, 60.4]]])
    torch.testing.assert_close(refined.keypoints, expected, atol=1e-2, rtol=0)
    torch.testing.assert_close(refined.heat, torch.tensor([[0.8, 0.6], [0.8, 0.5]]), atol=1e-2, rtol=0)
    assert keypoints[0, 0].tolist() == [60, 41]


def test_low_scores_stay() -> None:
    heatmaps = _map([(60.3, 40.7, 0.8, 4)])[None]
    for heat, center, moves in ((0.5, 0.1, False), (0.5, 0.11, True)):
        start = _poses([[60.0, 41.0]], heat, center)
        assert bool((refine(start, heatmaps).keypoints != start.keypoints).any()) == moves


@pytest.mark.parametrize("place", [[0.0, 40.0], [129.0, 40.0], [60.0, 0.0], [60.0, 89.0], [-4.0, 40.0], [300.0, 95.0]])
def test_keypoints_on_and_beyond_the_border_stay(place: list[float]) -> None:
    start = _poses([place])
    torch.testing.assert_close(refine(start, torch.rand(1, 90, 130)).keypoints, start.keypoints)


@pytest.mark.parametrize("heatmap", ["zero", "constant", "ramp", "pit"])
def test_where_there_is_no_peak_keypoints_stay(heatmap: str) -> None:
    x = torch.arange(130.0).expand(90, 130)
    maps = {"zero": x * 0, "constant": x * 0 + 0.5, "ramp": x / 130, "pit": 1 - _map([(60.0, 41.0, 0.9, 3)])}
    start = _poses([[60.0, 41.0]])
    refined = refine(start, maps[heatmap][None])
    torch.testing.assert_close(refined.keypoints, start.keypoints)
    torch.testing.assert_close(refined.heat, start.heat)


@pytest.mark.parametrize(("distance", "moves"), [(5.8, True), (6.2, False)])
def test_a_center_outside_the_window_is_not_taken(distance: float, moves: bool) -> None:
    start = _poses([[60.0, 41.0]])
    refined = refine(start, _map([(60 + distance, 41.0, 0.8, 6)])[None])
    assert bool((refined.keypoints != start.keypoints).any()) == moves


def test_nobody() -> None:
    poses = ScoredPoses(torch.zeros(0, 17, 2), torch.zeros(0, 17), torch.zeros(0))
    assert refine(poses, torch.zeros(17, 40, 40)).keypoints.shape == (0, 17, 2)


def test_the_nearest_pixel_is_the_start() -> None:
    """A keypoint that absorbed nothing lies between pixels."""
    heatmaps = _map([(60.3, 40.7, 0.8, 4)])[None]
    refined = refine(_poses([[58.6, 42.4]]), heatmaps)
    torch.testing.assert_close(refined.keypoints[0, 0], torch.tensor([60.3, 40.7]), atol=2e-3, rtol=0)

import pytest
import torch
from torch import Tensor

from pose.absorption import absorb, absorbed_alone, without_absorption
from pose.candidates import Candidates, find_candidates
from pose.pose_cues import PoseCues


def _heatmaps(peaks: list[dict[tuple[int, int], float]], size: tuple[int, int] = (120, 200)) -> Tensor:
    maps = torch.zeros(len(peaks), *size)
    for one, found in zip(maps, peaks, strict=True):
        for (x, y), value in found.items():
            one[y, x] = value
    return maps


def keypoint_candidates(heatmaps: Tensor) -> Candidates:
    return find_candidates(heatmaps[None], 30, 5, 0.01)


def _cues(keypoints: list[list[list[float]]], scores: list[float]) -> PoseCues:
    return PoseCues(torch.tensor(keypoints).float(), torch.tensor(scores))


def test_keypoints_move_to_the_nearest_peak_of_their_own_type() -> None:
    heatmaps = _heatmaps([{(10, 20): 0.5, (100, 20): 0.9}, {(40, 50): 0.3}])
    poses = absorb(_cues([[[60, 20], [10, 20]]], [0.5]), heatmaps, keypoint_candidates(heatmaps))
    assert poses.keypoints.tolist() == [[[100, 20], [40, 50]]]
    torch.testing.assert_close(poses.heat, torch.tensor([[0.9, 0.3]]))
    torch.testing.assert_close(poses.keypoint_scores, torch.tensor([[0.45, 0.15]]))
    torch.testing.assert_close(poses.scores, torch.tensor([0.3]))


def test_seventy_five_px_are_too_far() -> None:
    heatmaps = _heatmaps([{(100, 60): 0.5}])
    poses = absorb(_cues([[[25.0, 60]], [[25.1, 60]]], [1, 1]), heatmaps, keypoint_candidates(heatmaps))
    assert poses.keypoints.tolist() == [[[25, 60]], [[100, 60]]]
    assert poses.heat.tolist() == [[0], [0.5]]


def test_a_keypoint_that_stays_has_the_heat_of_where_it_is() -> None:
    """Row y, column x: the map is no square, and its values are different along both."""
    y, x = torch.meshgrid(torch.arange(120.0), torch.arange(200.0), indexing="ij")
    heatmaps = (1e-3 * x + 1e-6 * y)[None]
    poses = absorb(_cues([[[110.5, 30.25]]], [1]), heatmaps, keypoint_candidates(heatmaps))
    torch.testing.assert_close(poses.heat, torch.tensor([[0.1105 + 30.25e-6]]))


def test_several_persons_may_take_one_peak() -> None:
    heatmaps = _heatmaps([{(100, 60): 0.5}])
    poses = absorb(_cues([[[90, 60]], [[120, 60]]], [1, 0.5]), heatmaps, keypoint_candidates(heatmaps))
    assert poses.keypoints.tolist() == [[[100, 60]]] * 2
    assert poses.scores.tolist() == [0.5, 0.25]


def test_low_peaks_attract_nothing() -> None:
    heatmaps = _heatmaps([{(100, 60): 0.01}])
    poses = absorb(_cues([[[90, 60]]], [1]), heatmaps, keypoint_candidates(heatmaps))
    assert poses.keypoints.tolist() == [[[90, 60]]]


def test_all_heat_zero() -> None:
    heatmaps = torch.zeros(2, 120, 200)
    cues = _cues([[[90, 60], [-5, 300]]], [0.5])
    poses = absorb(cues, heatmaps, keypoint_candidates(heatmaps))
    torch.testing.assert_close(poses.keypoints, cues.keypoints)
    assert poses.scores.tolist() == [0]


def test_outside_the_map_absorption_reads_the_edge_and_regression_nothing() -> None:
    heatmaps = torch.full((1, 120, 200), 0.005)
    outside = _cues([[[-3, 60]], [[199.5, 60]], [[90, 130]]], [1, 1, 1])
    torch.testing.assert_close(absorb(outside, heatmaps, keypoint_candidates(heatmaps)).heat, torch.full((3, 1), 0.005))
    assert without_absorption(outside, heatmaps).heat.tolist() == [[0], [0], [0]]


def test_regression_alone_stays_and_reads_between_pixels() -> None:
    heatmaps = _heatmaps([{(100, 60): 0.8}, {(40, 50): 0.3}])
    cues = _cues([[[100.5, 60.25], [40, 50]]], [0.5])
    poses = without_absorption(cues, heatmaps)
    torch.testing.assert_close(poses.keypoints, cues.keypoints)
    torch.testing.assert_close(poses.heat, torch.tensor([[0.8 * 0.5 * 0.75, 0.3]]))


@pytest.mark.parametrize("way", ["absorb", "regression"])
def test_nobody(way: str) -> None:
    heatmaps = _heatmaps([{(100, 60): 0.5}] * 3)
    cues = PoseCues(torch.zeros(0, 3, 2), torch.zeros(0))
    found = (
        absorb(cues, heatmaps, keypoint_candidates(heatmaps)) if way == "absorb" else without_absorption(cues, heatmaps)
    )
    assert found.keypoints.shape == (0, 3, 2)
    assert found.heat.shape == (0, 3)
    assert found.scores.shape == (0,)


def test_only_the_thirty_highest_peaks_attract() -> None:
    peaks = {(6 * i + 3, 60): 0.1 + 0.01 * i for i in range(32)}
    heatmaps = _heatmaps([peaks])
    poses = absorb(_cues([[[3, 60]]], [1]), heatmaps, keypoint_candidates(heatmaps))
    assert poses.keypoints.tolist() == [[[15, 60]]]


def test_annotated_poses_show_nothing_that_the_heatmaps_do_not_hold() -> None:
    heatmaps = torch.zeros(3, 40, 40)
    heatmaps[0, 10, 12], heatmaps[1, 20, 14] = 0.8, 0.6
    candidates = find_candidates(heatmaps[None], 5, 5, 0.01)
    cues = PoseCues(torch.tensor([[[11.0, 9], [15, 21], [30, 30]], [[38.0, 38], [38, 38], [38, 38]]]), torch.ones(2))
    poses = absorbed_alone(cues, candidates, max_distance=10)
    assert poses.keypoints.tolist() == [[[12, 10], [14, 20], [13, 15]]]  # nobody is near the second pose
    assert poses.heat[0].tolist() == pytest.approx([0.8, 0.6, 0])

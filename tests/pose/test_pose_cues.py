import pytest
import torch
from torch import Tensor

from pose.pose_cues import PoseMap, cues_from_annotations, find_cues, peak_window, poses_from_offsets


def _center(size: tuple[int, int], peaks: dict[tuple[int, int], float]) -> Tensor:
    center = torch.zeros(size)
    for (x, y), value in peaks.items():
        center[y, x] = value
    return center


def _poses(size: tuple[int, int], keypoints: int = 17) -> Tensor:
    """Keypoint k of the pose that position (x, y) stands for lies at (x + k, y − k)."""
    offsets = torch.arange(keypoints).repeat_interleave(2).float() * torch.tensor([1.0, -1.0]).repeat(keypoints)
    return poses_from_offsets(offsets[:, None, None].expand(-1, *size).clone())


def test_offsets_point_from_the_position_to_the_keypoint() -> None:
    poses = _poses((5, 7))
    assert poses[:4, 3, 6].tolist() == [6, 3, 7, 2]
    assert poses_from_offsets(torch.zeros(2, 3, 34, 5, 7))[1, 2, :2, 4, 5].tolist() == [5, 4]


def test_poses_are_read_at_the_peaks_and_are_in_input_px() -> None:
    cues = find_cues([PoseMap(_center((20, 30), {(4, 7): 0.5, (20, 3): 0.9}), _poses((20, 30)), 4.0)])
    assert cues.keypoints.shape == (2, 17, 2)
    torch.testing.assert_close(cues.center_scores, torch.tensor([0.9, 0.5]))
    assert cues.keypoints[:, 0].tolist() == [[80, 12], [16, 28]]
    assert cues.keypoints[1, 3].tolist() == [4 * (4 + 3), 4 * (7 - 3)]


def test_nobody_gives_no_cue() -> None:
    cues = find_cues([PoseMap(torch.full((20, 30), 0.01), _poses((20, 30)), 4.0)])
    assert cues.keypoints.shape == (0, 17, 2)
    assert cues.center_scores.shape == (0,)
    assert find_cues([PoseMap(torch.full((20, 30), -1.0), _poses((20, 30)), 4.0)]).keypoints.shape == (0, 17, 2)


def test_one_keypoint() -> None:
    cues = find_cues([PoseMap(_center((20, 30), {(4, 7): 0.5}), _poses((20, 30), 1), 4.0)])
    assert cues.keypoints.tolist() == [[[16, 28]]]


def test_at_most_thirty_of_a_scale_are_found_the_best_ones() -> None:
    peaks = {(2 + 4 * column, 2 + 4 * row): 0.1 + 0.01 * (5 * column + row) for column in range(8) for row in range(5)}
    cues = find_cues([PoseMap(_center((20, 34), peaks), _poses((20, 34)), 4.0)])
    torch.testing.assert_close(cues.center_scores, torch.tensor(sorted(peaks.values(), reverse=True)[:30]))


def test_centers_in_one_window_are_one_cue() -> None:
    cues = find_cues([PoseMap(_center((20, 30), {(4, 7): 0.5, (5, 7): 0.4}), _poses((20, 30)), 4.0)])
    torch.testing.assert_close(cues.center_scores, torch.tensor([0.5]))


@pytest.mark.parametrize(
    ("size", "window"), [((200, 200), 3), ((160, 240), 3), ((200, 202), 5), ((300, 300), 5), ((300, 301), 7)]
)
def test_the_window_grows_with_the_map(size: tuple[int, int], window: int) -> None:
    assert peak_window(*size) == window


def test_the_window_decides_what_is_a_peak() -> None:
    near = {(40, 40): 0.5, (42, 40): 0.4}  # 2 px apart: both are the highest of 3 px, one of 5
    for size, expected in (((100, 100), 2), ((250, 250), 1)):
        assert len(find_cues([PoseMap(_center(size, near), _poses(size), 4.0)]).center_scores) == expected


def test_other_scales_only_fill_in() -> None:
    """Their highest centre gets 0.001 of scale 1's highest, the others in proportion; the threshold goes along."""
    whole = PoseMap(_center((20, 30), {(4, 7): 0.8, (20, 3): 0.02}), _poses((20, 30)), 4.0)
    double = PoseMap(_center((40, 60), {(8, 14): 0.4, (30, 30): 0.2, (50, 8): 0.0049}), _poses((40, 60)), 2.0, False)
    cues = find_cues([double, whole])
    torch.testing.assert_close(cues.center_scores, torch.tensor([0.0008, 0.0004, 0.8, 0.02]))
    assert cues.keypoints[:, 0].tolist() == [[16, 28], [60, 60], [16, 28], [80, 12]]


def test_an_empty_other_scale_adds_nothing() -> None:
    whole = PoseMap(_center((20, 30), {(4, 7): 0.8}), _poses((20, 30)), 4.0)
    empty = PoseMap(torch.zeros(40, 60), _poses((40, 60)), 2.0, False)
    assert len(find_cues([whole, empty]).center_scores) == 1


def test_scale_one_is_needed_once() -> None:
    one = PoseMap(torch.zeros(20, 30), _poses((20, 30)), 4.0)
    with pytest.raises(ValueError, match=r"one map of scale 1; got \[True, True\]"):
        find_cues([one, one])
    with pytest.raises(ValueError, match="one map of scale 1"):
        find_cues([])


def test_annotations_as_cues() -> None:
    keypoints = torch.tensor([[[10.0, 20], [30, 40], [999, 999]], [[5, 5], [6, 6], [7, 7]], [[1, 2], [0, 0], [0, 0]]])
    visibility = torch.tensor([[2, 1, 0], [0, 0, 0], [2, 0, 0]])
    cues = cues_from_annotations(keypoints, visibility)
    assert cues.keypoints.tolist() == [[[10, 20], [30, 40], [20, 30]], [[1, 2]] * 3]
    assert cues.center_scores.tolist() == [1, 1]
    assert cues_from_annotations(keypoints[:0], visibility[:0]).keypoints.shape == (0, 3, 2)

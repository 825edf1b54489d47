"""Many persons on one picture."""

import numpy as np
import pytest

from pose.drawing import LEFT, RIGHT, Picture
from pose.drawing_poses import draw_poses, line_width, person_color
from pose.skeletons import COCO_17, SKELETONS


def gray(height: int = 240, width: int = 180) -> Picture:
    return np.full((height, width, 3), 128, np.uint8)


def arms(x: float = 40) -> tuple[np.ndarray, np.ndarray]:
    """Both forearms upright, the left one at x, the right one 60 px beside it; nothing else is certain."""
    keypoints, scores = np.zeros((1, 17, 2)), np.zeros((1, 17))
    for side, column in (("left", x), ("right", x + 60)):
        for name, row in (("elbow", 30), ("wrist", 210)):
            k = COCO_17.index(f"{side}_{name}")
            keypoints[0, k], scores[0, k] = (column, row), 1
    return keypoints, scores


def test_sides_have_their_colours_and_the_given_picture_stays() -> None:
    picture = gray()
    drawn = draw_poses(picture, *arms(), COCO_17)
    assert (picture == 128).all()
    assert np.abs(drawn[120, 40].astype(int) - LEFT).max() < 15
    assert np.abs(drawn[120, 100].astype(int) - RIGHT).max() < 15
    assert (drawn[120, 60:80] == 128).all()


def test_the_less_certain_the_fainter() -> None:
    keypoints, scores = arms()

    def contrast(score: float) -> float:
        drawn = draw_poses(gray(), keypoints, scores * score, COCO_17)
        return float(np.abs(drawn[120, 40].astype(int) - 128).sum())

    strengths = [contrast(score) for score in (0.1, 0.2, 0.4, 0.6, 0.8, 1.0)]
    assert strengths[0] == 0
    assert strengths[1] > 20
    assert np.all(np.diff(strengths[:5]) > 5)
    assert strengths[5] == strengths[4]


def test_neighbouring_persons_have_other_rims_and_the_first_lies_on_top() -> None:
    first, scores = arms(40)
    second, _ = arms(40)
    both = draw_poses(gray(), np.concatenate([first, second]), np.concatenate([scores, scores]), COCO_17)
    rim = both[30, 37:44].reshape(-1, 3).astype(int)
    assert np.abs(rim - person_color(0)).max(1).min() < 20 < np.abs(rim - person_color(1)).max(1).min()
    colors = np.array([person_color(number) for number in range(8)], float)
    distances = np.abs(colors[:, None] - colors[None]).sum(2) + 1000 * np.eye(8)
    assert distances.min() > 30


@pytest.mark.parametrize("name", SKELETONS)
@pytest.mark.parametrize("size", [(1, 1), (3, 2000), (2000, 3), (40, 40), (1500, 2000)])
def test_pictures_of_any_size_and_points_anywhere(name: str, size: tuple[int, int]) -> None:
    skeleton = SKELETONS[name]
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(-1, 2, (5, skeleton.num_keypoints, 2)) * size[::-1]
    keypoints[1] = 1e12
    keypoints[2] = np.nan
    keypoints[3] = -1e7
    drawn = draw_poses(np.zeros((*size, 3), np.uint8), keypoints, np.ones(keypoints.shape[:2]), skeleton)
    assert drawn.shape == (*size, 3)
    assert drawn.dtype == np.uint8


def test_lines_fit_the_picture_and_the_person() -> None:
    assert line_width((100, 100)) == 1
    assert line_width((4000, 3000)) > line_width((400, 300)) >= 1
    small = np.array([[0, 0], [30, 60]])
    assert line_width((4000, 3000), small) < line_width((4000, 3000), small * 50)


def test_nobody_leaves_the_picture_as_it_is() -> None:
    assert (draw_poses(gray(), np.zeros((0, 17, 2)), np.zeros((0, 17)), COCO_17) == 128).all()

"""Pictures of skeletons."""

import numpy as np
import pytest

from pose.drawing import LEFT, MIDDLE, RIGHT, Picture, decode_picture, draw_skeleton, encode_picture, tile
from pose.errors import UserError
from pose.skeletons import COCO_17, SKELETONS, Skeleton


def gray(height: int = 120, width: int = 90) -> Picture:
    return np.full((height, width, 3), 128, np.uint8)


def only(*names: str, skeleton: Skeleton = COCO_17) -> np.ndarray:
    return np.isin(skeleton.keypoint_names, names)


def places() -> np.ndarray:
    """Every keypoint at its own spot, 17 px apart."""
    return np.array([[10 + 17 * (k % 5), 10 + 17 * (k // 5)] for k in range(17)], float)


def test_the_given_picture_stays_as_it_is() -> None:
    picture = gray()
    drawn = draw_skeleton(picture, places(), np.ones(17, bool), COCO_17)
    assert (picture == 128).all()
    assert drawn.shape == picture.shape
    assert drawn.dtype == np.uint8
    assert (drawn != 128).any()


def test_a_keypoint_is_drawn_at_its_pixel_in_the_colour_of_its_side() -> None:
    for name, color in (("left_wrist", LEFT), ("right_wrist", RIGHT), ("nose", MIDDLE)):
        keypoints = places()
        x, y = keypoints[COCO_17.index(name)].astype(int)
        drawn = draw_skeleton(gray(), keypoints, only(name), COCO_17)
        assert tuple(drawn[y, x]) == color
        rows, columns = np.nonzero((drawn != 128).any(axis=2))
        assert (rows.min() + rows.max()) / 2 == y
        assert (columns.min() + columns.max()) / 2 == x
        assert len({LEFT, RIGHT, MIDDLE}) == 3


def test_a_limb_needs_both_ends_and_takes_its_sides_colour() -> None:
    keypoints = np.zeros((17, 2))
    keypoints[COCO_17.index("left_elbow")] = 20, 20
    keypoints[COCO_17.index("left_wrist")] = 20, 100
    keypoints[COCO_17.index("nose")] = 70, 20
    keypoints[COCO_17.index("right_eye")] = 70, 100
    drawn = draw_skeleton(gray(), keypoints, only("left_elbow", "left_wrist", "nose", "right_eye"), COCO_17)
    assert tuple(drawn[60, 20]) == LEFT
    assert tuple(drawn[60, 70]) == RIGHT  # from the middle to the right
    assert (drawn[60, 40:50] == 128).all()
    one_end = draw_skeleton(gray(), keypoints, only("left_elbow", "nose"), COCO_17)
    assert (one_end[60] == 128).all()


@pytest.mark.parametrize("name", SKELETONS)
def test_nothing_shown_draws_nothing_even_where_hidden_points_are_undefined(name: str) -> None:
    skeleton = SKELETONS[name]
    count = skeleton.num_keypoints
    drawn = draw_skeleton(gray(), np.full((count, 2), np.nan), np.zeros(count, bool), skeleton)
    assert (drawn == 128).all()


def test_points_far_outside_are_no_obstacle() -> None:
    keypoints = places()
    keypoints[COCO_17.index("left_wrist")] = 1e30, -1e30
    keypoints[COCO_17.index("right_wrist")] = -np.inf, 5
    keypoints[COCO_17.index("nose")] = -300, 50
    drawn = draw_skeleton(gray(), keypoints, np.ones(17, bool), COCO_17)
    x, y = places()[COCO_17.index("left_knee")].astype(int)
    assert tuple(drawn[y, x]) == LEFT


def test_half_pixels_are_kept() -> None:
    whole = draw_skeleton(gray(), places(), only("nose"), COCO_17)
    half = draw_skeleton(gray(), places() + 0.5, only("nose"), COCO_17)
    assert (whole != half).any()
    nose = places()[0].astype(int)
    window = half[nose[1] - 6 : nose[1] + 8, nose[0] - 6 : nose[0] + 8].astype(int)
    np.testing.assert_allclose(window, window[::-1, ::-1], atol=40)  # centred on the corner between four pixels


def test_thicker_is_thicker() -> None:
    thin, thick = (draw_skeleton(gray(), places(), np.ones(17, bool), COCO_17, thickness=t) for t in (1, 4))
    assert (thick != 128).sum() > 1.5 * (thin != 128).sum()


def test_tiles_stand_in_rows_with_white_between() -> None:
    pictures = [np.full((5, 7, 3), value, np.uint8) for value in (10, 20, 30)]
    sheet = tile(pictures, columns=2, gap=3)
    assert sheet.shape == (2 * 8 + 3, 2 * 10 + 3, 3)
    assert (sheet[3:8, 3:10] == 10).all()
    assert (sheet[3:8, 13:20] == 20).all()
    assert (sheet[11:16, 3:10] == 30).all()
    sheet[3:8, 3:10] = sheet[3:8, 13:20] = sheet[11:16, 3:10] = 255
    assert (sheet == 255).all()


def test_png_brings_back_every_pixel_and_jpeg_nearly() -> None:
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, :30] = 200, 30, 90
    picture[:, 30:] = 20, 130, 250
    for extension in (".png", ".PNG"):
        assert (decode_picture(np.frombuffer(encode_picture(picture, extension), np.uint8)) == picture).all()
    for extension in (".jpg", ".jpeg", ".JPG"):
        data = encode_picture(picture, extension)
        assert data.startswith(b"\xff\xd8")
        found = decode_picture(np.frombuffer(data, np.uint8)).astype(int)
        assert np.abs(found[:, [10, 50]] - picture[:, [10, 50]]).max() < 8


@pytest.mark.parametrize("extension", ["", ".gif", "png", ".svg", ".txt"])
def test_another_extension_is_refused(extension: str) -> None:
    with pytest.raises(ValueError, match=r"\.png or \.jpg, got ") as error:
        encode_picture(gray(), extension)
    assert repr(extension) in str(error.value)
    assert isinstance(error.value, UserError)

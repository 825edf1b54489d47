"""Skeletons drawn on pictures: arrays in, arrays out."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pose.errors import UserError
from pose.skeletons import Skeleton

Picture = NDArray[np.uint8]
Color = tuple[int, int, int]

LEFT, RIGHT, MIDDLE = (66, 165, 245), (255, 112, 67), (102, 187, 106)  # RGB
_SUBPIXEL_BITS = 4


class PictureFormatError(UserError, ValueError):
    """A file name extension that no picture is written with."""


def draw_skeleton(
    picture: Picture, keypoints: NDArray[np.floating], shown: NDArray[np.bool_], skeleton: Skeleton, thickness: int = 2
) -> Picture:
    """A copy of a picture (H, W, 3), RGB, with one person's limbs and keypoints.

    Args:
        keypoints: (K, 2), px of this picture.
        shown: (K,), which of them to draw; a limb needs both ends.
    """
    drawn = picture.copy()
    for start, end in skeleton.limbs:
        if shown[start] and shown[end]:
            color, ends = limb_color(skeleton, start, end), (_fixed(keypoints[start]), _fixed(keypoints[end]))
            cv2.line(drawn, *ends, color, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    radius = (thickness + 1) << _SUBPIXEL_BITS
    for k in np.flatnonzero(shown):
        cv2.circle(drawn, _fixed(keypoints[k]), radius, (255, 255, 255), -1, cv2.LINE_AA, _SUBPIXEL_BITS)
        inner = thickness << _SUBPIXEL_BITS
        cv2.circle(drawn, _fixed(keypoints[k]), inner, side_color(skeleton, int(k)), -1, cv2.LINE_AA, _SUBPIXEL_BITS)
    return drawn


def tile(pictures: list[Picture], columns: int, gap: int = 4) -> Picture:
    """Pictures of one size (H, W, 3) side by side in rows, on white."""
    height, width = pictures[0].shape[:2]
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 255, dtype=np.uint8)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, columns)
        top, left = gap + row * (height + gap), gap + column * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def encode_picture(picture: Picture, extension: str) -> bytes:
    """A picture (H, W, 3), RGB, or for .png (H, W, 4), RGBA, as the bytes of a ".png" or ".jpg" file.

    Raises PictureFormatError for another extension.
    """
    if extension.lower() not in (".png", ".jpg", ".jpeg"):
        raise PictureFormatError(f"pictures are written as .png or .jpg, got {extension!r}")
    if picture.shape[2] == 4 and extension.lower() != ".png":
        raise PictureFormatError("a picture with transparency is written as .png")
    order = cv2.COLOR_RGB2BGR if picture.shape[2] == 3 else cv2.COLOR_RGBA2BGRA
    return cv2.imencode(extension, cv2.cvtColor(picture, order))[1].tobytes()


def decode_picture(data: NDArray[np.uint8]) -> Picture:
    """Encoded bytes → (H, W, 3) RGB, EXIF orientation ignored as everywhere. Raises ValueError."""
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    decoded = cv2.imdecode(data, flags)
    if decoded is None:
        raise ValueError("the bytes are not a picture that OpenCV can decode")
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def side_color(skeleton: Skeleton, keypoint: int) -> Color:
    """The colour of a keypoint: left, right or middle."""
    name, partner = skeleton.keypoint_names[keypoint], skeleton.flip_indices[keypoint]
    if partner == keypoint:
        return MIDDLE
    if not name.startswith(("left_", "right_")):  # sides that names do not tell are at least told apart
        return LEFT if keypoint < partner else RIGHT
    return LEFT if name.startswith("left_") else RIGHT


def limb_color(skeleton: Skeleton, start: int, end: int) -> Color:
    """The colour of the side that either end is of."""
    color = side_color(skeleton, start)
    return side_color(skeleton, end) if color == MIDDLE else color


def _fixed(point: NDArray[np.floating]) -> tuple[int, int]:
    """OpenCV draws between pixels when given fixed-point numbers; far-off points are brought into its range."""
    x, y = np.clip(np.round(np.asarray(point, dtype=np.float64) * (1 << _SUBPIXEL_BITS)), -(2**24), 2**24)
    return int(x), int(y)

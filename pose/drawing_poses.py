"""Many persons on one picture: sides by colour, confidence by opacity, persons by the rims of their keypoints."""

import colorsys
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pose.drawing import Color, Picture, limb_color, side_color
from pose.skeletons import Skeleton

_LINES_ACROSS = 180  # widths of a line along a picture's short side, and
_LINES_ALONG_PERSON = 40  # along a person
_FAINTEST = 0.3
_SUBPIXEL_BITS = 4
_GOLDEN = 0.618034  # of the circle of hues: neighbouring persons look different, however many there are
_FAR_PX = 1 << 14  # points beyond it are brought here; OpenCV counts in fixed point


def draw_poses(
    picture: Picture,
    keypoints: NDArray[np.floating],
    keypoint_scores: NDArray[np.floating],
    skeleton: Skeleton,
    least_score: float = 0.2,
    sure_score: float | None = None,
) -> Picture:
    """A copy of a picture (H, W, 3), RGB, with the skeletons of N persons; the first lies on top.

    Args:
        keypoints: (N, K, 2), px of this picture. keypoint_scores: (N, K).
        least_score: keypoints below it are not drawn. sure_score: from here they are opaque; by default four times
            `least_score`.
    """
    drawn = np.ascontiguousarray(picture).copy()
    sure = 4 * least_score if sure_score is None else sure_score
    certainty = np.clip((keypoint_scores - least_score) / max(sure - least_score, 1e-9), 0, 1)
    opacity = _FAINTEST + (1 - _FAINTEST) * certainty
    shown = (keypoint_scores >= least_score) & np.isfinite(keypoints).all(axis=2)
    for person in reversed(range(len(keypoints))):
        points = np.clip(np.where(shown[person, :, None], keypoints[person], 0), -_FAR_PX, _FAR_PX).astype(np.float64)
        width = line_width(picture.shape[:2], points[shown[person]])
        _draw_person(drawn, _Person(points, shown[person], opacity[person], person_color(person), width), skeleton)
    return drawn


def line_width(picture_size: tuple[int, ...], keypoints: NDArray[np.floating] | None = None) -> int:
    """Of limbs, px: by the size (height, width) of the picture, and not too wide for a person's keypoints (N, 2)."""
    width = min(picture_size[:2]) / _LINES_ACROSS
    if keypoints is not None and len(keypoints):
        width = min(width, float(np.ptp(keypoints, axis=0).max()) / _LINES_ALONG_PERSON)
    return max(1, round(width))


def person_color(number: int) -> Color:
    """A bright colour for each person of a picture."""
    red, green, blue = colorsys.hsv_to_rgb(number * _GOLDEN % 1, 0.55, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)


@dataclass(frozen=True, eq=False)
class _Person:
    """keypoints (K, 2), which of them are shown (K,), how opaque they are (K,), the rims' colour, px of lines."""

    keypoints: NDArray[np.float64]
    shown: NDArray[np.bool_]
    opacity: NDArray[np.float64]
    color: Color
    width: int


def _draw_person(drawn: Picture, person: _Person, skeleton: Skeleton) -> None:
    """Draw into the picture. Limbs with dark edges, so that crossing ones can be told apart."""
    limbs = [limb for limb in skeleton.limbs if person.shown[limb[0]] and person.shown[limb[1]]]
    # The most certain last, so that it is on top.
    for start, end in sorted(limbs, key=lambda limb: person.opacity[list(limb)].min()):
        ends, opacity = person.keypoints[[start, end]], float(person.opacity[[start, end]].min())
        edge = person.width + 2 if person.width > 1 else 0
        for color, width, strength in (((0, 0, 0), edge, 0.5), (limb_color(skeleton, start, end), person.width, 1.0)):
            if width:
                _blend(drawn, ends, color, strength * opacity, width / 2, line=width)
    for k in np.flatnonzero(person.shown):
        center, opacity = person.keypoints[[k]], float(person.opacity[k])
        _blend(drawn, center, person.color, opacity, person.width + 1.5)
        _blend(drawn, center, side_color(skeleton, int(k)), opacity, person.width * 0.75)


def _blend(
    drawn: Picture, points: NDArray[np.float64], color: Color, opacity: float, radius: float, line: int | None = None
) -> None:
    """Mix a line between two points, or a disc around one, into the part of the picture that it covers."""
    low = np.maximum(np.floor(points.min(axis=0) - radius - 2), 0).astype(int)
    high = np.minimum(np.ceil(points.max(axis=0) + radius + 3), drawn.shape[1::-1]).astype(int)
    if (high <= low).any():
        return
    mask = np.zeros((high[1] - low[1], high[0] - low[0]), dtype=np.uint8)
    places = [tuple(np.round((point - low) * (1 << _SUBPIXEL_BITS)).astype(int).tolist()) for point in points]
    if line is not None:
        cv2.line(mask, places[0], places[1], 255, line, cv2.LINE_AA, _SUBPIXEL_BITS)
    else:
        cv2.circle(mask, places[0], round(radius * (1 << _SUBPIXEL_BITS)), 255, -1, cv2.LINE_AA, _SUBPIXEL_BITS)
    region = drawn[low[1] : high[1], low[0] : high[0]]
    touched = mask.nonzero()  # few px of a thin line's rectangle
    share = mask[touched][:, None] * (opacity / 255)
    region[touched] = np.round(region[touched] + share * (np.array(color, np.float64) - region[touched]))

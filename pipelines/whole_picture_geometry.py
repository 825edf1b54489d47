"""Where whole pictures lie in the network's inputs, and how large the inputs are; numbers only, no pixels.

Input px of scale s are s times those of scale 1, without a shift, so one matrix places a picture at all scales.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.bottomup_augmentation import Fit
from pipelines.graph_input import GraphInput
from pose.crop import Floats

Ints = NDArray[np.int64]

_COARSEST_STRIDE = 32  # a network needs inputs that its coarsest maps divide


@dataclass(frozen=True, kw_only=True)
class WholePictureInput(GraphInput):
    """P pictures for the graph, each an instance of its own; `crop_to_image` maps input px of scale 1 → image px.

    Attributes:
        input_sizes: (P, 2) as (height, width), input px at scale 1.
    """

    input_sizes: Ints

    def warp(self, scale: float) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]]]:
        """For each picture at a scale the matrix (3, 3), input px → image px, and the input's (height, width)."""
        matrices = np.tile(np.eye(3), (len(self.input_sizes), 1, 1))
        matrices[:, :2] = self.crop_to_image
        matrices[:, :2, :2] /= scale
        sizes = np.round(self.input_sizes * scale)
        return list(matrices.astype(np.float32)), list(sizes.astype(np.float32))


def place_pictures(
    picture_sizes: NDArray[np.integer], short_side: int, multiple: int, fit: Fit, long_side_limit: int
) -> tuple[Floats, Ints]:
    """image_to_input (P, 2, 3) and the inputs' sizes (P, 2) as (height, width), both at scale 1.

    "short" follows the public HRNet bottom-up code: the picture's short side becomes `short_side`; its long side, less
    any fraction of a px, grows to a `multiple`; the centre, rounded to a px, goes to the input's (W/2, H/2). A picture
    whose long side would exceed `long_side_limit` is shown smaller: that side is at the limit, the short one grows to a
    `multiple`. "long" follows the public associative-embedding code: the long side fits into a square of `short_side`,
    centre on centre.

    Args:
        picture_sizes: (P, 2) as (height, width), image px.
    """
    sizes = picture_sizes.astype(np.float64)
    if fit == "short":
        factor, input_sizes = _fit_short(sizes, short_side, multiple, long_side_limit)
        center = np.floor(sizes / 2 + 0.5)
    else:
        factor, input_sizes = short_side / sizes.max(axis=1), np.full(sizes.shape, short_side)
        center = sizes / 2
    offset = input_sizes / 2 - factor[:, None] * center
    linear = factor[:, None, None] * np.eye(2)
    return np.concatenate([linear, offset[:, ::-1, None]], axis=2), input_sizes


def _fit_short(sizes: Floats, short_side: int, multiple: int, limit: int) -> tuple[Floats, Ints]:
    """Input px per image px (P,), and the inputs' sizes (P, 2)."""
    short, long = sizes.min(axis=1), sizes.max(axis=1)
    factor = short_side / short
    input_long = _grown(factor * long, multiple)
    limited = input_long > limit
    factor = np.where(limited, limit / long, factor)
    input_long = np.minimum(input_long, limit)
    input_short = np.where(limited, _grown(factor * short, multiple), short_side)
    upright = sizes[:, 0] > sizes[:, 1]
    height, width = np.where(upright, input_long, input_short), np.where(upright, input_short, input_long)
    return factor, np.stack([height, width], axis=1)


def _grown(sides: Floats, multiple: int) -> Ints:
    """Sides without fractions of a px → the next `multiple`, at least one."""
    return np.maximum((sides + multiple - 1) // multiple, 1).astype(np.int64) * multiple


def check_sizes(short_side: int, multiple: int, long_side_limit: int, scales: Sequence[float]) -> None:
    """Refuse settings under which an input would not have whole sides that a network can halve often enough.

    Raises:
        ValueError: names the setting and what would do.
    """
    for name, side in (("multiple", multiple), ("short_side", short_side)):
        if side < 1:
            raise ValueError(f"{name} must be at least 1 px, got {side}")
    for name, side in (("short_side", short_side), ("long_side_limit", long_side_limit)):
        if side % multiple:
            raise ValueError(f"{name} must be a multiple of multiple={multiple} px, got {side}")
    if long_side_limit < short_side:
        raise ValueError(f"long_side_limit must be at least short_side={short_side} px, got {long_side_limit}")
    if not scales or len(set(scales)) < len(scales):
        raise ValueError(f"scales must be one or several different numbers, got {tuple(scales)}")
    for scale in scales:
        if not (0 < scale < np.inf):
            raise ValueError(f"scales must be positive and finite, got {scale}")
        steps = multiple * scale / _COARSEST_STRIDE
        if round(steps) < 1 or abs(steps - round(steps)) > 1e-9:
            raise ValueError(
                f"scales: at {scale:g} multiple={multiple} becomes {multiple * scale:g} px, and inputs must be "
                f"multiples of {_COARSEST_STRIDE} px at every scale; choose another scale, or another multiple"
            )

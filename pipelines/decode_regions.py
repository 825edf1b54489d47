"""Which part of a picture to decode for its crops, and matrices that do not notice that the rest is missing.

A crop must not depend on which other crops its picture is decoded for. JPEG regions on a grid of `_GRID_PX`, with
`_MARGIN_PX` around what is shown, decode to the bits of the whole picture. The warp computes coordinates in float32, so
moving a matrix from the picture's origin to the region's would round anew and change a grey level here and there;
matrices of few enough bits move without rounding.
"""

import numpy as np
from numpy.typing import NDArray

from pose.crop import Floats

_GRID_PX = 16  # the largest block in which common JPEGs store colour
_MARGIN_PX = 4  # two for bilinear taps and rounding, two for the colour sample that its neighbour is blended with
_FLOAT32_BITS = 24


def movable_matrices(crop_to_image: Floats, crop_size: tuple[int, int]) -> Floats:
    """Matrices (B, 2, 3) rounded so that moved by whole pixels they lead to the same fractions, in float32.

    All coefficients become multiples of 2^−24 of the farthest coordinate, to the next power of two. The crop's centre
    stays; its corners move by up to 0.007 image px for crops of 256x192 within 1024 px of the picture's origin.

    Args:
        crop_to_image: (B, 2, 3), crop px → image px. crop_size: (height, width), crop px.
    """
    middle, center, reach = _extent(crop_to_image, crop_size)
    farthest = np.maximum(np.abs(center) + reach, 1)
    grid = np.exp2(np.ceil(np.log2(farthest)) - _FLOAT32_BITS)[:, :, None]
    linear = np.round(crop_to_image[:, :, :2] / grid) * grid
    offset = np.round((center - linear @ middle)[:, :, None] / grid) * grid
    return np.concatenate([linear, offset], axis=2)


def decode_regions(
    crop_to_image: Floats, crop_size: tuple[int, int], first: NDArray[np.int64], picture_sizes: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The region of each picture that holds everything its crops show: start and end (P, 2) as (y, x), image px.

    Where nothing of a picture is shown, the region is a part of its border.

    Args:
        crop_to_image: (B, 2, 3), crop px → image px; crops of one picture are neighbours.
        crop_size: (height, width), crop px.
        first: (P,) the first crop of each picture.
        picture_sizes: (P, 2) as (height, width).
    """
    _, center, reach = _extent(crop_to_image, crop_size)
    low = np.minimum.reduceat(center - reach, first)[:, ::-1] - _MARGIN_PX
    high = np.maximum.reduceat(center + reach, first)[:, ::-1] + _MARGIN_PX
    start = np.clip(np.floor(low / _GRID_PX) * _GRID_PX, 0, picture_sizes - 1)
    end = np.clip(np.ceil(high / _GRID_PX) * _GRID_PX, start + 1, picture_sizes)
    return start.astype(np.int64), end.astype(np.int64)


def _extent(crop_to_image: Floats, crop_size: tuple[int, int]) -> tuple[Floats, Floats, Floats]:
    """The crop's centre (2,) in crop px; (B, 2) its place in image px; (B, 2) how far crops reach from there."""
    middle = np.array([(crop_size[1] - 1) / 2, (crop_size[0] - 1) / 2])
    linear = crop_to_image[:, :, :2]
    return middle, linear @ middle + crop_to_image[:, :, 2], np.abs(linear) @ middle

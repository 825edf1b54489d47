"""Pictures that are stored turned or mirrored, as phones do: what EXIF calls orientation, 1 to 8, as geometry.

Sharded splits are used as they are stored, as COCO's tools use them. Only pictures from elsewhere are shown upright,
and not a pixel is moved for that: the matrices of their crops lead to where the pixels are stored.
"""

import numpy as np
from numpy.typing import NDArray

from pose.crop import Floats

AS_STORED = 1

# Upright (x, y) → stored (x, y): whether the axes change places; then which of the stored axes run backwards.
_TURNS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}


def upright_size(stored_size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """(height, width) of the upright picture."""
    return stored_size[::-1] if _TURNS[orientation][0] else stored_size


def upright_to_stored(stored_size: tuple[int, int], orientation: int) -> Floats:
    """(2, 3), px of the upright picture → px as stored.

    Args:
        stored_size: (height, width). orientation: as EXIF numbers it.
    """
    swapped, *backwards = _TURNS[orientation]
    linear = np.eye(2)[::-1] if swapped else np.eye(2)
    signs = np.where(backwards, -1.0, 1.0)
    offset = np.where(backwards, np.array(stored_size[::-1]) - 1.0, 0.0)
    return np.concatenate([signs[:, None] * linear, offset[:, None]], axis=1)


def turned_upright(picture: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Stored pixels (H, W, 3) as the upright picture, as a view."""
    swapped, columns, rows = _TURNS[orientation]
    turned = picture[:: -1 if rows else 1, :: -1 if columns else 1]
    return turned.swapaxes(0, 1) if swapped else turned

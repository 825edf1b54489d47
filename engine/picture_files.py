"""A picture file: its bytes, and what its header says of size and orientation."""

import io
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from pipelines.loose_pictures import LoosePicture
from pipelines.orientation import AS_STORED
from sharding.jpeg_header import ordinary_jpeg_size

_ORIENTATION = 0x0112


def read_picture_file(path: Path, image_id: int, as_stored: bool = False) -> LoosePicture:
    """Read a file and its header, not its pixels.

    Args:
        as_stored: pay no heed to EXIF.
    Raises:
        OSError: it cannot be read. ValueError: it is no picture.
    """
    data = path.read_bytes()
    size = ordinary_jpeg_size(data)
    if size is not None:  # it has no EXIF either
        return LoosePicture(image_id, np.frombuffer(data, np.uint8), size)
    size, orientation = _header(data)
    return LoosePicture(image_id, np.frombuffer(data, np.uint8), size, AS_STORED if as_stored else orientation)


def _header(data: bytes) -> tuple[tuple[int, int], int]:
    """(height, width) as stored, and the orientation."""
    if not data:
        raise ValueError("the file is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of large pictures, and of EXIF that is odd
            with Image.open(io.BytesIO(data)) as image:
                orientation = image.getexif().get(_ORIENTATION, AS_STORED)
                width, height = image.size
                if image.format == "TIFF" and orientation in (5, 6, 7, 8):  # Pillow gives those turned already
                    width, height = height, width
    except UnidentifiedImageError:
        raise ValueError("not a picture of a known kind") from None
    except (SyntaxError, Image.DecompressionBombError, OverflowError) as error:
        raise ValueError(str(error)) from error
    return (height, width), orientation if orientation in range(1, 9) else AS_STORED

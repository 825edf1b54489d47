"""The picture that stands where there is none: one black pixel."""

import io

import numpy as np
from PIL import Image


def _one_pixel_jpeg() -> np.ndarray:
    data = io.BytesIO()
    Image.new("RGB", (1, 1)).save(data, format="JPEG")
    return np.frombuffer(data.getvalue(), dtype=np.uint8)


PLACEHOLDER = _one_pixel_jpeg()

"""What a camera does to the light: blur, exposure, colour cast, vignette, noise."""

import cv2
import numpy as np
from numpy.random import Generator

Array = np.ndarray


def photograph(colour: Array, rng: Generator) -> Array:
    """Scene colours (H, W, 3) float32 RGB 0..255 to a uint8 picture of the same size. No pixel moves."""
    colour = cv2.GaussianBlur(colour, (0, 0), float(rng.uniform(0.45, 0.85)))
    height, width = colour.shape[:2]
    if rng.random() < 0.5:
        colour *= _vignette(height, width, rng.uniform(0.1, 0.45))[:, :, None]
    noise = rng.standard_normal((height, width), dtype=np.float32) * np.float32(rng.uniform(0.5, 6))
    tint = cv2.resize(rng.standard_normal((height // 2, width // 2, 3), dtype=np.float32), (width, height))
    noisy = colour + noise[:, :, None] + tint * np.float32(rng.uniform(0, 5))
    return cv2.LUT(np.clip(noisy, 0, 255).astype(np.uint8), _tone_curves(rng))


def _vignette(height: int, width: int, strength: float) -> Array:
    y, x = np.linspace(-1, 1, height, dtype=np.float32), np.linspace(-1, 1, width, dtype=np.float32)
    return 1 - np.float32(strength) * 0.5 * (y[:, None] ** 2 + x[None, :] ** 2)


def _tone_curves(rng: Generator) -> Array:
    """(1, 256, 3) uint8: exposure, gamma and a white balance that is a little off."""
    level = np.arange(256)[:, None] / 255
    gain = rng.uniform(0.75, 1.25) * rng.normal(1, 0.06, 3)
    curve = rng.uniform(0, 0.06) + np.clip(level, 0, 1) ** rng.uniform(0.7, 1.4) * gain
    return np.clip(curve * 255, 0, 255).astype(np.uint8)[None]

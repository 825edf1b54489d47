"""Pictures without people: walls, floors, furniture, trees, and things that look like limbs but are none."""

import cv2
import numpy as np
from numpy.random import Generator

from sharding.synthetic.canvas import BACKGROUND, Canvas, blank_canvas
from sharding.synthetic.distractors import scatter_distractors
from sharding.synthetic.furniture import FURNITURE
from sharding.synthetic.outfit import cloth_colour

Array = np.ndarray


def paint_background(rng: Generator, size: tuple[int, int], horizon: float, light: Array, ambient: float) -> Canvas:
    """A canvas of `size` (height, width) with everything that lies behind the people; horizon in px from the top."""
    picture = np.empty((*size, 3), np.float32)
    edge = int(np.clip(horizon, 1, size[0] - 1))
    picture[:edge] = _wall(rng, (edge, size[1]))
    picture[edge:] = _floor(rng, (size[0] - edge, size[1]))
    if rng.random() < 0.75:
        picture *= 1 + rng.uniform(0.05, 0.35) * cloud_noise(rng, size)[:, :, None]
    for _ in range(rng.integers(0, 6)):
        FURNITURE[rng.integers(len(FURNITURE))](picture, rng, edge)
    canvas = blank_canvas(picture, light, ambient)
    scatter_distractors(canvas, rng)
    sigma = float(rng.choice([0, rng.uniform(0.5, 1.2), rng.uniform(1.2, 3.5)], p=[0.5, 0.3, 0.2]))
    if sigma > 0:
        canvas.colour[:] = cv2.GaussianBlur(canvas.colour, (0, 0), sigma)
    canvas.depth[:] = np.inf
    canvas.owner[:] = BACKGROUND
    return canvas


def cloud_noise(rng: Generator, size: tuple[int, int]) -> Array:
    """(H, W) float32 around 0 with a spread near 0.5: three to five octaves, the coarsest strongest."""
    total = np.zeros(size, np.float32)
    cell, weight = float(rng.uniform(60, 200)), 0.6
    persistence = rng.uniform(0.4, 0.85)
    for _ in range(rng.integers(3, 6)):
        grid = rng.uniform(-1, 1, (int(size[0] / cell) + 3, int(size[1] / cell) + 3)).astype(np.float32)
        total += np.float32(weight) * cv2.resize(grid, size[::-1], interpolation=cv2.INTER_LINEAR)
        cell, weight = max(cell * 0.45, 2.0), weight * persistence
    return total


def _gradient(rng: Generator, size: tuple[int, int]) -> Array:
    top, bottom = cloth_colour(rng), cloth_colour(rng)
    bottom = top + (bottom - top) * np.float32(rng.uniform(0, 0.6))
    share = np.linspace(0, 1, size[0], dtype=np.float32)[:, None, None]
    return np.broadcast_to(top * (1 - share) + bottom * share, (*size, 3)).copy()


def _wall(rng: Generator, size: tuple[int, int]) -> Array:
    wall = _gradient(rng, size)
    kind = rng.choice(["bare", "bricks", "stripes", "panels", "foliage"], p=[0.35, 0.15, 0.15, 0.15, 0.2])
    x, y = np.arange(size[1], dtype=np.float32), np.arange(size[0], dtype=np.float32)
    strength = np.float32(rng.uniform(0.6, 0.95))
    if kind == "bricks":
        height = rng.uniform(7, 18)
        row = np.floor(y / height)
        column = np.mod(x[None, :] / (height * 2.3) + 0.5 * np.mod(row, 2)[:, None], 1)
        wall[(column < 0.07) | (np.mod(y / height, 1) < 0.14)[:, None]] *= strength
    elif kind == "stripes":
        wall[:, np.sin(x * rng.uniform(0.05, 0.6)) > rng.uniform(-0.3, 0.6)] *= strength
    elif kind == "panels":
        wall[:, np.mod(x / rng.uniform(30, 90), 1) < 0.06] *= strength
        wall[np.mod(y / rng.uniform(30, 120), 1) < 0.05] *= strength
    elif kind == "foliage":
        leaves = np.array([70, 120, 55], np.float32) * np.float32(rng.uniform(0.5, 1.4))
        wall[cloud_noise(rng, size) > rng.uniform(-0.2, 0.3)] = leaves
    return wall


def _floor(rng: Generator, size: tuple[int, int]) -> Array:
    floor = _gradient(rng, size)
    if rng.random() < 0.45:  # tiles or planks in perspective, vanishing at the horizon
        below = np.arange(size[0], dtype=np.float32)[:, None] + 6
        across = (np.arange(size[1], dtype=np.float32)[None, :] - rng.uniform(0, size[1])) / below
        tile = np.mod(across * rng.uniform(1, 4), 1) < 0.5
        if rng.random() < 0.6:
            tile = tile ^ (np.mod(rng.uniform(300, 900) / below, 1) < 0.5)
        floor[tile] *= np.float32(rng.uniform(0.65, 0.95))
    return floor

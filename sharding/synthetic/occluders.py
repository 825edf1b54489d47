"""Foreground things that hide people: boxes, poles, leaves, and the seats that people sit on."""

import cv2
import numpy as np
from numpy.random import Generator

from sharding.synthetic.canvas import THING, Canvas, solid
from sharding.synthetic.outfit import cloth_colour
from sharding.synthetic.surfaces import capsule, ellipsoid

Array = np.ndarray


def paint_occluder(canvas: Canvas, rng: Generator, near_xy: Array, reach: float, depth: float) -> None:
    """One thing around near_xy (px), about `reach` px large, at this depth."""
    kind = rng.choice(["box", "pole", "leaves"], p=[0.45, 0.25, 0.3])
    if kind == "box":
        size = (int(reach * rng.uniform(0.3, 0.9)) + 2, int(reach * rng.uniform(0.3, 1.1)) + 2)
        paint_box(canvas, rng, near_xy - 0.5 * np.array(size[::-1]), size, depth)
    elif kind == "pole":
        lean = rng.normal(0, 0.08) * reach
        ends = [
            np.array([near_xy[0] + sign * lean, edge, depth]) for sign, edge in ((-1, -20), (1, canvas.size[0] + 20))
        ]
        thick, colour = reach * rng.uniform(0.025, 0.09) + 1, cloth_colour(rng)
        canvas.paint(capsule(ends[0], ends[1], (thick, thick), canvas.size), THING, solid(colour))
    else:
        _paint_leaves(canvas, rng, near_xy, reach, depth)


def paint_box(canvas: Canvas, rng: Generator, corner_xy: Array, size: tuple[int, int], depth: float) -> None:
    """A crate, counter or sign of `size` (height, width) px with a grain and a darker rim."""
    base = cloth_colour(rng)
    grain = 1 + 0.12 * np.sin(np.arange(size[0]) * rng.uniform(0.1, 1.2) + rng.uniform(0, 6))
    picture = np.ascontiguousarray(np.broadcast_to(base * grain[:, None, None], (*size, 3)), np.float32)
    cv2.rectangle(picture, (0, 0), (size[1] - 1, size[0] - 1), (base * 0.6).tolist(), int(rng.integers(1, 4)))
    if rng.random() < 0.4:
        cv2.line(picture, (0, 0), (size[1] - 1, size[0] - 1), (base * 0.7).tolist(), 2)
    corner = (round(float(corner_xy[0])), round(float(corner_xy[1])))
    canvas.paint_flat(corner, np.ones(size, bool), depth, THING, picture)


def _paint_leaves(canvas: Canvas, rng: Generator, near_xy: Array, reach: float, depth: float) -> None:
    green = np.array([78, 128, 60], np.float32) * np.float32(rng.uniform(0.5, 1.5))
    for _ in range(rng.integers(6, 16)):
        angle = rng.uniform(0, np.pi)
        frame = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        centre = np.array([*(near_xy + rng.normal(0, 0.25 * reach, 2)), depth])
        half_axes = np.maximum(reach * np.array([rng.uniform(0.06, 0.16), rng.uniform(0.025, 0.06), 0.02]), 1)
        shade = green * np.float32(rng.uniform(0.7, 1.3))
        canvas.paint(ellipsoid(centre, frame, half_axes, canvas.size), THING, solid(shade))

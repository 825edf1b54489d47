"""Flat things behind the people. Each painter takes the picture (H, W, 3) RGB, a generator and the horizon, px."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.random import Generator

from sharding.synthetic.outfit import cloth_colour

Array = np.ndarray


def _corner(rng: Generator, picture: Array) -> tuple[int, int]:
    return int(rng.integers(-20, picture.shape[1])), int(rng.integers(-20, picture.shape[0]))


def _paint_window(picture: Array, rng: Generator, horizon: int) -> None:
    x, y = int(rng.integers(-20, picture.shape[1])), int(rng.integers(-30, max(horizon - 20, 1)))
    width, height = int(rng.integers(30, 110)), int(rng.integers(30, 120))
    frame, glass = cloth_colour(rng).tolist(), cloth_colour(rng).tolist()
    cv2.rectangle(picture, (x, y), (x + width, y + height), glass, -1)
    cv2.rectangle(picture, (x, y), (x + width, y + height), frame, int(rng.integers(2, 7)))
    cv2.line(picture, (x + width // 2, y), (x + width // 2, y + height), frame, int(rng.integers(1, 5)))
    cv2.line(picture, (x, y + height // 2), (x + width, y + height // 2), frame, int(rng.integers(1, 5)))


def _paint_table(picture: Array, rng: Generator, horizon: int) -> None:
    x, y = int(rng.integers(-30, picture.shape[1])), int(rng.integers(horizon - 10, picture.shape[0]))
    width, drop, thick = int(rng.integers(40, 150)), int(rng.integers(25, 80)), int(rng.integers(3, 9))
    colour = cloth_colour(rng)
    for leg in (x + thick, x + width - thick, x + width // 3):
        cv2.line(picture, (leg, y), (leg + int(rng.integers(-6, 7)), y + drop), (colour * 0.7).tolist(), thick)
    cv2.rectangle(picture, (x, y - thick), (x + width, y + thick), colour.tolist(), -1)


def _paint_shelf(picture: Array, rng: Generator, horizon: int) -> None:
    x, y = _corner(rng, picture)
    width, height, boards = int(rng.integers(40, 120)), int(rng.integers(50, 160)), int(rng.integers(2, 6))
    cv2.rectangle(picture, (x, y), (x + width, y + height), (cloth_colour(rng) * 0.5).tolist(), -1)
    for board in range(boards):
        level = y + height * (board + 1) // boards
        for book in range(x, x + width - 6, int(rng.integers(5, 14))):
            tall = int(rng.uniform(0.3, 0.9) * height / boards)
            cv2.rectangle(picture, (book, level - tall), (book + 5, level), cloth_colour(rng).tolist(), -1)
        cv2.line(picture, (x, level), (x + width, level), cloth_colour(rng).tolist(), 2)


def _paint_tree(picture: Array, rng: Generator, horizon: int) -> None:
    x = int(rng.integers(0, picture.shape[1]))
    foot = horizon + int(rng.integers(0, max((picture.shape[0] - horizon) // 2, 1)))
    crown = foot - int(rng.integers(60, 170))
    bark, leaf = np.array([98, 72, 50]) * rng.uniform(0.6, 1.4), np.array([70, 120, 55]) * rng.uniform(0.5, 1.5)
    cv2.line(picture, (x, foot), (x + int(rng.integers(-12, 13)), crown), bark.tolist(), int(rng.integers(4, 18)))
    for offset in rng.normal(0, 24, (9, 2)):
        shade = (leaf * rng.uniform(0.7, 1.3)).tolist()
        centre = (int(x + offset[0] * 1.3), int(crown + offset[1]))
        cv2.ellipse(picture, (centre, rng.uniform(18, 50, 2).tolist(), float(rng.uniform(0, 180))), shade, -1)


def _paint_polygon(picture: Array, rng: Generator, horizon: int) -> None:
    corners = np.array(_corner(rng, picture)) + rng.normal(0, 45, (int(rng.integers(3, 7)), 2))
    cv2.fillPoly(picture, [cv2.convexHull(corners.astype(np.int32))], cloth_colour(rng).tolist())


FURNITURE: tuple[Callable[[Array, Generator, int], None], ...] = (
    _paint_window, _paint_table, _paint_shelf, _paint_tree, _paint_polygon,
)  # fmt: skip

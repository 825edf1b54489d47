"""Paints neck, head, ears, nose, hair and hat: what tells front from back and left from right."""

import numpy as np

from sharding.synthetic.body import SIDES
from sharding.synthetic.canvas import solid
from sharding.synthetic.fabric import head_colour
from sharding.synthetic.outfit import Outfit
from sharding.synthetic.painter import Painter
from sharding.synthetic.proportions import head_half_axes

Array = np.ndarray


def paint_head(painter: Painter, outfit: Outfit) -> None:
    half = head_half_axes(painter.body.proportions)
    width, height, depth = half
    skin = solid(outfit.skin)
    thick = 0.030 * (0.5 + 0.5 * painter.body.proportions.bulk)
    painter.limb("neck", painter.at("thorax"), painter.at("upper_neck"), (thick * 1.15, thick), skin)
    painter.ball("head", painter.at("head_centre"), "head", half, lambda local, normal: head_colour(outfit, local))
    bridge = painter.shifted("head_centre", "head", [0, -0.08 * height, -0.93 * depth])
    painter.limb("nose", bridge, painter.at("nose"), (0.07 * width, 0.17 * width), solid(outfit.skin * 0.93))
    for side in SIDES:
        lobe = np.array([0.13 * width, 0.2 * height, 0.17 * depth])
        painter.ball(f"{side}_ear", painter.at(f"{side}_ear"), "head", lobe, solid(outfit.skin * 0.9))
    _paint_hair(painter, outfit, half)


def _paint_hair(painter: Painter, outfit: Outfit, half: Array) -> None:
    width, height, depth = half

    def strands(local: Array, normal: Array) -> Array:
        return outfit.hair * (1 + 0.2 * np.sin(local[:, :1] * 16))

    if outfit.haircut == "long":
        centre = painter.shifted("head_centre", "head", [0, 0.45 * height, 0.35 * depth])
        painter.ball("hair", centre, "head", np.array([1.12 * width, 1.15 * height, 0.62 * depth]), strands)
    if outfit.haircut == "tail":
        start = painter.shifted("head_centre", "head", [0, -0.3 * height, 1.1 * depth])
        end = start + painter.body.frames["chest"] @ np.array([0, 0.1, 0.025]) * painter.unit
        painter.limb("hair", start, end, (0.018, 0.01), strands)
    if outfit.haircut == "cap":
        brim = painter.shifted("head_centre", "head", [0, -0.36 * height, -0.95 * depth])
        painter.ball("hair", brim, "head", np.array([0.75 * width, 0.06 * height, 0.75 * depth]), solid(outfit.hat))
    if outfit.hood:
        nape = painter.shifted("thorax", "chest", [0, -0.012, 0.052])
        painter.ball("chest", nape, "chest", np.array([0.066, 0.044, 0.036]), solid(outfit.top.base * 0.8))

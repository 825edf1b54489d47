"""Things that resemble limbs, heads and trunks but belong to nobody, so that colour and shape alone do not do."""

import numpy as np
from numpy.random import Generator

from sharding.synthetic.canvas import THING, Canvas, ColourOf
from sharding.synthetic.fabric import weave
from sharding.synthetic.outfit import Fabric, sample_fabric, skin_colour
from sharding.synthetic.rotations import rotate_x, rotate_y, rotate_z
from sharding.synthetic.surfaces import capsule, ellipsoid, frustum

Array = np.ndarray


def scatter_distractors(canvas: Canvas, rng: Generator) -> None:
    for _ in range(rng.integers(1, 7)):
        height, width = canvas.size
        start = np.array([rng.uniform(0, width), rng.uniform(0, height), 0])
        scale = rng.uniform(12, 55)
        kind = rng.random()
        if kind < 0.6:
            _chain(canvas, rng, start, scale)
        elif kind < 0.8:
            _ball(canvas, rng, start, scale)
        else:
            _vase(canvas, rng, start, scale)


def _bare_or_clothed(rng: Generator) -> ColourOf:
    fabric = sample_fabric(rng, plain=0.6)
    if rng.random() < 0.4:
        fabric = Fabric(skin_colour(rng), fabric.accent, "plain", 1, 0)
    return lambda local, normal: weave(fabric, local[:, 0], local[:, 1])


def _chain(canvas: Canvas, rng: Generator, start: Array, scale: float) -> None:
    """Two or three jointed capsules: an arm or a leg without an owner, a pipe, a branch."""
    thick = scale * rng.uniform(0.1, 0.22)
    angle = rng.uniform(0, 360)
    for _ in range(rng.integers(1, 4)):
        end = start + rotate_z(angle) @ [scale * rng.uniform(0.7, 1.3), 0, 0]
        canvas.paint(capsule(start, end, (thick, thick * 0.8), canvas.size), THING, _bare_or_clothed(rng))
        start, thick, angle = end, thick * 0.85, angle + rng.normal(0, 50)


def _any_frame(rng: Generator) -> Array:
    return rotate_z(rng.normal(0, 30)) @ rotate_x(rng.normal(0, 20)) @ rotate_y(rng.uniform(0, 360))


def _ball(canvas: Canvas, rng: Generator, start: Array, scale: float) -> None:
    half_axes = scale * 0.35 * np.array([1, rng.uniform(0.9, 1.4), rng.uniform(0.8, 1.2)])
    canvas.paint(ellipsoid(start, _any_frame(rng), half_axes, canvas.size), THING, _bare_or_clothed(rng))


def _vase(canvas: Canvas, rng: Generator, start: Array, scale: float) -> None:
    """A trunk-like body on its own: a bin, a dress on a stand."""
    radii = (scale * rng.uniform(0.2, 0.5), scale * rng.uniform(0.3, 0.6))
    body = frustum(start, _any_frame(rng), scale * rng.uniform(0.8, 2.0), radii, rng.uniform(0.5, 1), canvas.size)
    canvas.paint(body, THING, _bare_or_clothed(rng))

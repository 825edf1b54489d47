"""Paints body parts given in statures, and signs every pixel with the person and the part."""

from dataclasses import dataclass

import numpy as np

from sharding.synthetic.body import SIDES, Body
from sharding.synthetic.canvas import Canvas, ColourOf
from sharding.synthetic.surfaces import Surface, capsule, ellipsoid

Array = np.ndarray

_LIMB_PARTS = ("upper_arm", "forearm", "hand", "thigh", "shin", "foot")
PARTS = (
    "pelvis", "abdomen", "chest", "neck", "head", "hair", "nose", "left_ear", "right_ear", "luggage",
    *(f"{side}_{part}" for part in _LIMB_PARTS for side in SIDES),
)  # fmt: skip
_PART_INDEX = {name: index for index, name in enumerate(PARTS)}


def owner_id(person: int, part: str) -> int:
    """The number that the canvas carries where this part of this person is seen; always positive."""
    return 1 + person * len(PARTS) + _PART_INDEX[part]


def person_of(owner: Array) -> Array:
    """Person index of every owner id, negative where no person is seen."""
    return (owner - 1) // len(PARTS) - np.asarray(owner < 0)


@dataclass(frozen=True)
class Painter:
    """One person's place in a canvas: parts are given in statures. root (3,): the mid-hip, px in picture and depth."""

    canvas: Canvas
    body: Body
    person: int
    root: Array

    @property
    def unit(self) -> float:
        """px per stature."""
        return self.body.stature

    def at(self, name: str) -> Array:
        return self.root + self.body.points[name]

    def paint(self, part: str, surface: Surface | None, colour_of: ColourOf) -> None:
        self.canvas.paint(surface, owner_id(self.person, part), colour_of)

    def limb(self, part: str, start: Array, end: Array, radii: tuple[float, float], colour_of: ColourOf) -> None:
        scaled = (radii[0] * self.unit, radii[1] * self.unit)
        self.paint(part, capsule(start, end, scaled, self.canvas.size), colour_of)

    def ball(self, part: str, centre: Array, segment: str, half_axes: Array, colour_of: ColourOf) -> None:
        frame = self.body.frames[segment]
        self.paint(part, ellipsoid(centre, frame, half_axes * self.unit, self.canvas.size), colour_of)

    def shifted(self, name: str, segment: str, offset: Array | list[float]) -> Array:
        return self.at(name) + self.body.frames[segment] @ (np.asarray(offset) * self.unit)

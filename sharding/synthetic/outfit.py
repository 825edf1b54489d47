"""What a person wears and looks like: skin, hair, face, clothes. Sampled once per person."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator

Array = np.ndarray

_SKIN = np.array(
    [[244, 208, 183], [232, 190, 158], [222, 172, 135], [198, 144, 104], [166, 112, 76], [128, 84, 56], [92, 60, 42]],
    np.float32,
)
_HAIR = np.array(
    [[28, 22, 20], [52, 34, 24], [86, 54, 32], [136, 88, 46], [196, 158, 92], [150, 146, 142], [120, 46, 26]],
    np.float32,
)
PATTERNS = ("plain", "hoops", "pinstripes", "checks", "blotches")
FRONTS = ("shirt", "jacket", "vneck", "print", "tie", "bib")
HAIRCUTS = ("short", "long", "tail", "bald", "cap")


@dataclass(frozen=True)
class Fabric:
    """A cloth: two colours (3,) RGB 0..255 and how they alternate, `repeats` per body segment."""

    base: Array
    accent: Array
    pattern: str
    repeats: float
    phase: float


@dataclass(frozen=True)
class Outfit:
    """sleeve and trouser are how far down the arm (0..2, 1 = elbow) and the leg (0..2, 1 = knee) cloth reaches."""

    skin: Array
    hair: Array
    haircut: str
    beard: bool
    glasses: bool
    top: Fabric
    bottom: Fabric
    inner: Array
    front: str
    sleeve: float
    trouser: float
    skirt: bool
    shoes: Array
    backpack: Array | None
    hood: bool
    belt: Array
    hat: Array


def cloth_colour(rng: Generator) -> Array:
    """Any hue, greys as often as in a street; (3,) RGB."""
    saturation = rng.choice([rng.uniform(0, 40), rng.uniform(60, 235)])
    hsv = np.array([[[rng.integers(0, 180), saturation, rng.uniform(35, 250)]]]).astype(np.uint8)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(np.float32)


def skin_colour(rng: Generator) -> Array:
    low = rng.integers(0, len(_SKIN) - 1)
    share = np.float32(rng.random())
    return _SKIN[low] * share + _SKIN[low + 1] * (1 - share)


def sample_fabric(rng: Generator, plain: float) -> Fabric:
    pattern = "plain" if rng.random() < plain else str(rng.choice(PATTERNS[1:]))
    return Fabric(cloth_colour(rng), cloth_colour(rng), pattern, rng.uniform(2, 7), rng.random())


def sample_outfit(rng: Generator) -> Outfit:
    hair = _HAIR[rng.integers(len(_HAIR))] * np.float32(rng.uniform(0.8, 1.1))
    return Outfit(
        skin=skin_colour(rng),
        hair=hair,
        haircut=str(rng.choice(HAIRCUTS, p=[0.42, 0.24, 0.12, 0.07, 0.15])),
        beard=rng.random() < 0.15,
        glasses=rng.random() < 0.15,
        top=sample_fabric(rng, plain=0.5),
        bottom=sample_fabric(rng, plain=0.8),
        inner=cloth_colour(rng),
        front=str(rng.choice(FRONTS)),
        sleeve=float(rng.choice([0.08, rng.uniform(0.4, 0.75), 1.94], p=[0.12, 0.4, 0.48])),
        trouser=float(rng.choice([rng.uniform(0.4, 0.85), 1.92], p=[0.3, 0.7])),
        skirt=rng.random() < 0.14,
        shoes=cloth_colour(rng) * np.float32(0.8),
        backpack=cloth_colour(rng) if rng.random() < 0.2 else None,
        hood=rng.random() < 0.2,
        belt=cloth_colour(rng) * np.float32(0.5),
        hat=cloth_colour(rng),
    )

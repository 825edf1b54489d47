"""Unlit colour of every point on clothes and faces, from the point's place on its solid."""

import numpy as np

from sharding.synthetic.outfit import Fabric, Outfit

Array = np.ndarray
_EYE_WHITE = np.array([236, 232, 226], np.float32)
_PUPIL = np.array([34, 26, 24], np.float32)
_LIPS = np.array([172, 74, 72], np.float32)


def weave(fabric: Fabric, across: Array, along: Array) -> Array:
    """Colours (N, 3) of a cloth at (across -1..1, along 0..1) of a segment."""
    if fabric.pattern == "plain":
        return np.broadcast_to(fabric.base, (len(along), 3)).copy()
    stripes = np.sin(2 * np.pi * (along * fabric.repeats + fabric.phase))
    columns = np.sin(2 * np.pi * (across * fabric.repeats * 0.6 + fabric.phase))
    accent = {
        "hoops": stripes > 0.2,
        "pinstripes": columns > 0.45,
        "checks": (stripes > 0.1) ^ (columns > 0.1),
        "blotches": np.sin(across * 7.1 + 5 * along + fabric.phase * 9) * np.sin(along * 11.3 - 4 * across) > 0.25,
    }[fabric.pattern]
    return np.where(accent[:, None], fabric.accent, fabric.base)


def torso_colour(outfit: Outfit, local: Array, bottom: float, top: float) -> Array:
    """Trunk segment that spans heights bottom..top (0 = waistband, 1 = shoulders); local as `frustum` gives it."""
    across, up = local[:, 0], bottom + (top - bottom) * local[:, 1]
    colour = weave(outfit.top, across, up)
    front = local[:, 2] < 0
    x = np.abs(across)
    _FRONT_PAINTERS[outfit.front](colour, outfit, np.where(front, x, 9.0), up)
    if outfit.front != "bib":
        colour[~front & (np.abs(up - 0.86) < 0.012)] *= 0.6  # yoke seam
    if outfit.backpack is not None:
        colour[front & (np.abs(x - 0.56) < 0.09) & (up > 0.3)] = outfit.backpack * 0.75
    colour[up < 0.055] = outfit.belt
    return colour


def _shirt(colour: Array, outfit: Outfit, x: Array, up: Array) -> None:
    colour[x < 0.05] *= 0.72
    colour[(x < 0.045) & (np.mod(up * 7, 1) < 0.4)] = 245 - 0.9 * outfit.top.base.mean()
    colour[(up > 0.93) & (x < 0.42) & (x > 0.08)] = outfit.inner
    colour[(x - 0.5) ** 2 + ((up - 0.68) * 1.4) ** 2 < 0.014] *= 0.8  # breast pockets


def _jacket(colour: Array, outfit: Outfit, x: Array, up: Array) -> None:
    opening = 0.12 + 0.2 * up
    colour[x < opening] = outfit.inner
    colour[np.abs(x - opening) < 0.035] *= 0.45
    colour[(up > 0.9) & (x < 0.2)] = outfit.skin


def _vneck(colour: Array, outfit: Outfit, x: Array, up: Array) -> None:
    depth = (up - 0.72) * 1.3
    colour[x < depth + 0.05] = outfit.inner
    colour[x < depth] = outfit.skin


def _print(colour: Array, outfit: Outfit, x: Array, up: Array) -> None:
    colour[(x < 0.42) & (np.abs(up - 0.66) < 0.15)] = outfit.inner
    colour[(x < 0.2) & (np.abs(up - 0.66) < 0.07)] = outfit.top.accent
    colour[(up > 0.94) & (x < 0.3)] = outfit.skin


def _tie(colour: Array, outfit: Outfit, x: Array, up: Array) -> None:
    colour[(x < 0.2 + 0.25 * (up - 0.5)) & (up > 0.3)] = 240
    colour[(x < 0.06 + 0.05 * (1 - up)) & (up > 0.15)] = outfit.inner * 0.8


def _bib(colour: Array, outfit: Outfit, x: Array, up: Array) -> None:
    colour[(x < 0.5) & (up < 0.68)] = outfit.bottom.base
    colour[(np.abs(x - 0.42) < 0.07) & (up >= 0.68)] = outfit.bottom.base * 0.8
    colour[(x < 0.25) & (np.abs(up - 0.5) < 0.08)] = outfit.bottom.base * 0.7


_FRONT_PAINTERS = {
    "shirt": _shirt, "jacket": _jacket, "vneck": _vneck, "print": _print, "tie": _tie, "bib": _bib,
}  # fmt: skip


def hips_colour(outfit: Outfit, across: Array, up: Array, back: Array) -> Array:
    """Trousers or skirt: a fly and belt buckle in front, two pockets behind. up -1..1 around the hip line."""
    colour = weave(outfit.bottom, across, 0.5 - 0.5 * up)
    colour[(back < 0) & (np.abs(across) < 0.05)] *= 0.6
    colour[(back > 0) & (np.abs(np.abs(across) - 0.45) < 0.17) & (np.abs(up) < 0.3)] *= 0.72
    return colour


def head_colour(outfit: Outfit, local: Array) -> Array:
    """Face and hair on the unit sphere: x to the person's left, y down, z back."""
    x, y, z = local[:, 0], local[:, 1], local[:, 2]
    colour = np.broadcast_to(outfit.skin, (len(x), 3)).copy()
    _paint_face(colour, outfit, np.where(z < 0, np.abs(x), 9.0), y)
    if outfit.haircut == "bald":
        return colour
    hairy = (y < -0.5 + 0.25 * x * x) | ((z > 0.02 + 0.35 * np.maximum(y - 0.1, 0)) & (y < 0.62))
    if outfit.haircut != "short":
        hairy |= (np.abs(x) > 0.86) & (y < 0.3)
    shine = 1 + 0.18 * np.sin(14 * x + 5 * z)
    colour[hairy] = (outfit.hair * shine[:, None])[hairy]
    if outfit.haircut == "cap":
        colour[y < -0.32 - 0.12 * z] = outfit.hat
    return colour


def _paint_face(colour: Array, outfit: Outfit, x: Array, y: Array) -> None:
    colour[(np.abs(x - 0.62) < 0.2) & (np.abs(y - 0.28) < 0.18)] *= np.array([1.0, 0.9, 0.88], np.float32)  # cheeks
    if outfit.beard:
        colour[(y > 0.33) & (x < 1)] = outfit.hair * 0.5 + outfit.skin * 0.5
    colour[(x < 0.26) & (np.abs(y - 0.52 - 0.3 * x * x) < 0.07)] = _LIPS
    colour[(np.abs(x - 0.38) < 0.2) & (np.abs(y + 0.3) < 0.05)] = outfit.hair * 0.7
    eye = ((x - 0.38) / 0.2) ** 2 + ((y + 0.12) / 0.115) ** 2
    colour[eye < 1] = _EYE_WHITE
    colour[((x - 0.38) / 0.11) ** 2 + ((y + 0.12) / 0.115) ** 2 < 1] = _PUPIL
    if outfit.glasses:
        colour[((eye > 1.3) & (eye < 2.9)) | ((np.abs(y + 0.12) < 0.035) & (x > 0.6) & (x < 2))] = 24

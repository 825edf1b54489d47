"""Paints one clothed person into a canvas, part by part."""

import numpy as np

from sharding.synthetic.body import SIDES, Body
from sharding.synthetic.canvas import Canvas, ColourOf, solid
from sharding.synthetic.fabric import hips_colour, torso_colour, weave
from sharding.synthetic.head import paint_head
from sharding.synthetic.outfit import Outfit
from sharding.synthetic.painter import Painter
from sharding.synthetic.surfaces import frustum

Array = np.ndarray


def paint_person(canvas: Canvas, body: Body, outfit: Outfit, person: int, root: Array) -> None:
    """`root` (3,): the mid-hip, px in the picture and depth."""
    painter = Painter(canvas, body, person, root)
    _paint_trunk(painter, outfit)
    paint_head(painter, outfit)
    for side in SIDES:
        _paint_arm(painter, outfit, side)
        _paint_leg(painter, outfit, side)
    if outfit.backpack is not None:
        _paint_backpack(painter, outfit.backpack)


def _paint_trunk(painter: Painter, outfit: Outfit) -> None:
    size, unit = painter.body.proportions, painter.unit
    frames, canvas_size = painter.body.frames, painter.canvas.size
    hips, waist, chest = (size.hip_half + 0.036) * size.bulk, 0.076 * size.bulk, (size.shoulder_half - 0.006)
    deep = 0.66 * (1 + 0.25 * (size.bulk - 1))

    def cloth(low: float, high: float) -> ColourOf:
        return lambda local, normal: torso_colour(outfit, local, low, high)

    def capped(low: float, high: float) -> ColourOf:
        """Ellipsoids grow downwards in local y, trunk heights upwards."""
        return lambda local, normal: torso_colour(outfit, local * np.array([1, -1, 1], np.float32), low, high)

    for part, start, length, radii, heights in (
        ("abdomen", "pelvis", size.abdomen, (hips * 0.97, waist), (0.0, 0.42)),
        ("chest", "waist", size.chest, (waist, chest), (0.42, 0.95)),
    ):
        scaled = (radii[0] * unit, radii[1] * unit)
        segment = frustum(painter.at(start), frames[part], length * unit, scaled, deep, canvas_size)
        painter.paint(part, segment, cloth(*heights))
    painter.ball("chest", painter.at("thorax"), "chest", np.array([chest, 0.036, chest * deep]), capped(0.95, 1.0))
    painter.ball("abdomen", painter.at("waist"), "chest", np.array([waist, 0.03, waist * deep]), capped(0.42, 0.5))
    painter.ball("pelvis", painter.at("pelvis"), "pelvis", np.array([hips, 0.055, hips * deep * 1.04]), _hips(outfit))
    if outfit.skirt:
        _paint_skirt(painter, outfit, hips)


def _hips(outfit: Outfit) -> ColourOf:
    return lambda local, normal: hips_colour(outfit, local[:, 0], -local[:, 1], local[:, 2])


def _paint_skirt(painter: Painter, outfit: Outfit, hips: float) -> None:
    """Only over legs that hang down: a rigid cone would not follow bent hips."""
    thighs = [painter.body.points[f"{side}_knee"] - painter.body.points[f"{side}_hip"] for side in SIDES]
    down = painter.body.frames["pelvis"][:, 1]
    if min(float(thigh @ down) for thigh in thighs) < 0.9 * painter.body.proportions.thigh * painter.unit:
        return
    length = 0.21 * painter.unit
    hem = painter.at("pelvis") + down * length
    radii = (hips * 1.35 * painter.unit, hips * painter.unit)
    cone = frustum(hem, painter.body.frames["pelvis"], length, radii, 0.75, painter.canvas.size)
    painter.paint("pelvis", cone, lambda local, normal: hips_colour(outfit, local[:, 0], local[:, 1], local[:, 2]))


def _covered(outfit: Outfit, reach: float, start: float, sleeve: bool) -> ColourOf:
    """Cloth down to `reach` along the whole limb, skin below; `start` is where this segment begins (0 or 1)."""
    fabric = outfit.top if sleeve else outfit.bottom

    def colour_of(local: Array, normal: Array) -> Array:
        cloth = weave(fabric, local[:, 0], local[:, 1])
        cloth[np.abs(local[:, 1] + start - reach) < 0.045] *= 0.7  # hem
        return np.where((local[:, 1] + start < reach)[:, None], cloth, outfit.skin)

    return colour_of


def _paint_arm(painter: Painter, outfit: Outfit, side: str) -> None:
    bulk = painter.body.proportions.bulk
    shoulder, elbow, wrist = (painter.at(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist"))
    painter.limb(
        f"{side}_upper_arm", shoulder, elbow, (0.036 * bulk, 0.027 * bulk), _covered(outfit, outfit.sleeve, 0, True)
    )
    painter.limb(
        f"{side}_forearm", elbow, wrist, (0.027 * bulk, 0.019 * bulk), _covered(outfit, outfit.sleeve, 1, True)
    )
    palm = wrist + 0.75 * (painter.at(f"{side}_fingertip") - wrist)
    painter.limb(f"{side}_hand", wrist, palm, (0.019, 0.022), solid(outfit.skin))


def _paint_leg(painter: Painter, outfit: Outfit, side: str) -> None:
    bulk = painter.body.proportions.bulk
    hip, knee, ankle = (painter.at(f"{side}_{name}") for name in ("hip", "knee", "ankle"))
    painter.limb(f"{side}_thigh", hip, knee, (0.054 * bulk, 0.039 * bulk), _covered(outfit, outfit.trouser, 0, False))
    painter.limb(f"{side}_shin", knee, ankle, (0.039 * bulk, 0.025 * bulk), _covered(outfit, outfit.trouser, 1, False))
    painter.limb(
        f"{side}_foot", painter.at(f"{side}_heel"), painter.at(f"{side}_toe"), (0.024, 0.019), solid(outfit.shoes)
    )


def _paint_backpack(painter: Painter, colour: Array) -> None:
    def bag(local: Array, normal: Array) -> Array:
        flap = (local[:, 1] < -0.25) ^ (np.abs(local[:, 0]) < 0.08)
        return np.where(flap[:, None], colour * np.float32(0.75), colour)

    centre = painter.shifted("thorax", "chest", [0, 0.11, 0.105])
    painter.ball("luggage", centre, "chest", np.array([0.088, 0.125, 0.055]), bag)

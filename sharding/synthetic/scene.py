"""Composes one photograph: background, people, what hides them, and the truth about each person."""

import cv2
import numpy as np
from numpy.random import Generator

from sharding.synthetic.background import paint_background
from sharding.synthetic.body import Body
from sharding.synthetic.camera import photograph
from sharding.synthetic.canvas import Canvas
from sharding.synthetic.cast import Actor, cast_far_group, cast_people
from sharding.synthetic.figure import paint_person
from sharding.synthetic.keypoints import KEYPOINT_NAMES, look_up_keypoints
from sharding.synthetic.occluders import paint_box, paint_occluder
from sharding.synthetic.painter import person_of
from sharding.synthetic.proportions import head_half_axes
from sharding.synthetic.truth import CrowdRegion, Scene, SyntheticPerson, mask_box_xywh

Array = np.ndarray
_FAR_GROUP_SHARE = 0.1
_OCCLUDER_SHARE = 0.4
_FAR_AWAY = 5000.0


def render_scene(seed: int, index: int, crowd: tuple[int, int] | None = None) -> Scene:
    """Photograph number `index` of the series `seed`: the same one whatever else is rendered.

    With `crowd`, from least to most persons huddle in it.
    """
    rng = np.random.default_rng([seed, index])
    height, width = int(rng.integers(240, 361)), int(rng.integers(320, 481))
    size = (height, width) if rng.random() < 0.8 else (width, height)
    horizon = size[0] * rng.uniform(0.3, 0.7)
    light = np.array([rng.uniform(-1, 1), rng.uniform(-1, -0.2), rng.uniform(-1.2, -0.5)])
    canvas = paint_background(rng, size, horizon, light, ambient=rng.uniform(0.35, 0.6))
    people = cast_people(rng, size, horizon, crowd)
    far_group = cast_far_group(rng, size, horizon, _FAR_AWAY) if rng.random() < _FAR_GROUP_SHARE else []
    paint_actors(canvas, people + far_group, rng)
    for _ in range(rng.integers(1, 3) if people and rng.random() < _OCCLUDER_SHARE else 0):
        _hide_someone(canvas, people, rng)
    return Scene(
        image=photograph(canvas.colour, rng),
        persons=tuple(describe_people(canvas, people)),
        crowds=tuple(_crowd_regions(canvas, len(people), len(far_group))),
        jpeg_quality=int(rng.integers(85, 96)),
    )


def paint_actors(canvas: Canvas, actors: list[Actor], rng: Generator) -> None:
    """Shadows first, then everybody; person number = place in the list."""
    _paint_shadows(canvas, actors, strength=rng.uniform(0.15, 0.6))
    for person, actor in enumerate(actors):
        if actor.pose.seated:
            _paint_seat(canvas, actor, rng)
        paint_person(canvas, actor.body, actor.outfit, person, actor.root)


def _paint_shadows(canvas: Canvas, actors: list[Actor], strength: float) -> None:
    """Soft dark ellipses on the ground; drawn at a quarter of the size because they are blurred anyway."""
    height, width = canvas.size
    shadow = np.zeros((height // 4 + 1, width // 4 + 1), np.float32)
    for actor in actors:
        columns = [point[0] for point in actor.body.points.values()]
        middle = actor.root[0] + (min(columns) + max(columns)) / 2
        length = max(0.3 * actor.body.stature, max(columns) - min(columns))
        box = ((middle / 4, actor.foot_y / 4), (length / 3, actor.body.stature / 30 + 1), 0.0)
        cv2.ellipse(shadow, box, 1.0, -1)
    soft: Array = cv2.resize(cv2.GaussianBlur(shadow, (0, 0), 1.5), (width, height))
    canvas.colour[:] *= 1 - np.float32(strength) * soft[:, :, None]


def _paint_seat(canvas: Canvas, actor: Actor, rng: Generator) -> None:
    """A stool or bench under the hips, just behind the body's middle."""
    stature = actor.body.stature
    top = actor.root[1] + 0.05 * stature
    half_width = stature * rng.uniform(0.14, 0.3)
    size = (max(int(actor.foot_y - top), 2), max(int(2 * half_width), 2))
    paint_box(canvas, rng, np.array([actor.root[0] - half_width, top]), size, actor.root[2] + 0.03 * stature)


def _hide_someone(canvas: Canvas, people: list[Actor], rng: Generator) -> None:
    """A thing in front of one person, and of everybody behind."""
    target = people[rng.integers(len(people))]
    stature = target.body.stature
    near = target.root[:2] + rng.normal(0, [0.15 * stature, 0.25 * stature])
    paint_occluder(canvas, rng, near, 0.6 * stature, depth=target.root[2] - 0.7 * stature)


def describe_people(canvas: Canvas, actors: list[Actor]) -> list[SyntheticPerson]:
    """The truth about everybody of whom at least one pixel is seen."""
    owners = person_of(canvas.owner)
    described = []
    for person, actor in enumerate(actors):
        mask = owners == person
        if mask.any():
            described.append(_describe(canvas, actor, person, mask))
    return described


def _describe(canvas: Canvas, actor: Actor, person: int, mask: Array) -> SyntheticPerson:
    rows = look_up_keypoints(canvas, actor.body, person, actor.root)
    full_box = _full_box_xywh(actor.body, actor.root)
    return SyntheticPerson(
        keypoints={name: (float(x), float(y), int(v)) for name, (x, y, v) in zip(KEYPOINT_NAMES, rows, strict=True)},
        mask=mask,
        area=int(mask.sum()),
        box_xywh=mask_box_xywh(mask),
        full_box_xywh=full_box,
        head_box_xyxy=_head_box_xyxy(actor.body, actor.root),
        height_px=max(full_box[2:]),
        yaw=actor.yaw,
        pose_name=actor.pose.name,
    )


def _full_box_xywh(body: Body, root: Array) -> tuple[float, float, float, float]:
    """Around all skeleton points, widened by the thickness of a limb."""
    points = np.array(list(body.points.values()))[:, :2] + root[:2]
    low = points.min(axis=0) - 0.03 * body.stature
    width, height = points.max(axis=0) + 0.03 * body.stature - low
    return float(low[0]), float(low[1]), float(width), float(height)


def _head_box_xyxy(body: Body, root: Array) -> tuple[float, float, float, float]:
    centre = (root + body.points["head_centre"])[:2]
    half_axes = head_half_axes(body.proportions) * body.stature
    reach = np.sqrt(((body.frames["head"] * half_axes) ** 2).sum(axis=1))[:2]
    low, high = centre - reach, centre + reach
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _crowd_regions(canvas: Canvas, first: int, count: int) -> list[CrowdRegion]:
    """One generous region around the far group, as annotators draw it; nearer people are cut out."""
    owners = person_of(canvas.owner)
    members = (owners >= first) & (owners < first + count)
    if not members.any():
        return []
    mask = cv2.dilate(members.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    mask &= (owners < 0) | (owners >= first)
    return [CrowdRegion(mask=mask, area=int(mask.sum()), box_xywh=mask_box_xywh(mask))]

"""Chooses the people of a photograph: how many, how large, where, in which pose and clothes."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from sharding.synthetic.body import Body, pose_body, root_rotation
from sharding.synthetic.outfit import Outfit, sample_outfit
from sharding.synthetic.poses import Pose, sample_pose
from sharding.synthetic.proportions import sample_proportions

Array = np.ndarray


@dataclass(frozen=True)
class Actor:
    """A person ready to be painted. root (3,): mid-hip, image px and depth px; foot_y: the ground under them, px."""

    body: Body
    outfit: Outfit
    pose: Pose
    yaw: float
    root: Array
    foot_y: float


def make_actor(
    pose: Pose, outfit: Outfit, rng: Generator, stature: float, foot_xy: tuple[float, float], depth: float, yaw: float,
    pitch: float = 0.0, roll: float = 0.0,
) -> Actor:  # fmt: skip
    """Puts a posed person on the ground: the lowest point of the body touches foot_xy, image px."""
    body = pose_body(pose, sample_proportions(rng), root_rotation(pose, yaw, pitch, roll), stature)
    lowest = max(point[1] for point in body.points.values()) + 0.022 * stature
    root = np.array([foot_xy[0], foot_xy[1] - lowest - pose.lift * stature, depth])
    return Actor(body, outfit, pose, yaw, root, foot_xy[1])


def cast_people(
    rng: Generator, size: tuple[int, int], horizon: float, crowd: tuple[int, int] | None = None
) -> list[Actor]:
    """Nobody (4 %), one (28 %), two or three (32 %) or a crowd of up to six (36 %), nearest first.

    With `crowd` always one, of least to most persons.
    """
    if crowd is not None:
        kind, count = "crowd", int(rng.integers(crowd[0], crowd[1] + 1))
    else:
        kind = str(rng.choice(["empty", "single", "few", "crowd"], p=[0.04, 0.28, 0.32, 0.36]))
        if kind == "empty":
            return []
        count = {"single": 1, "few": int(rng.integers(2, 4)), "crowd": int(rng.integers(3, 7))}[kind]
    statures = _statures(rng, kind, count)
    places = _places(rng, kind, size, statures, horizon)
    pitch, roll = rng.uniform(-4, 18), rng.normal(0, 3)
    actors: list[Actor] = []
    depth = 0.0
    for stature, place in zip(statures, places, strict=True):
        pose = sample_pose(rng)
        # A lying body seen along the floor is a lump: look at it from above.
        steepness = rng.uniform(15, 50) if pose.name == "lying" else pitch + rng.normal(0, 3)
        actor = make_actor(
            pose, sample_outfit(rng), rng, stature, place, depth, _yaw(rng), steepness, roll + rng.normal(0, 2)
        )
        actors.append(actor)
        # Far enough behind that two trunks do not run through each other, near enough that arms may mingle.
        depth += stature * rng.uniform(0.4, 1.0)
    return actors


def _statures(rng: Generator, kind: str, count: int) -> list[float]:
    """Pixel heights of people standing upright, largest (nearest) first."""
    if kind == "single":
        return [float(rng.uniform(90, 270))]
    if kind == "few":
        return sorted((float(value) for value in rng.uniform(60, 250, count)), reverse=True)
    nearest = rng.uniform(75, 230)
    return sorted((float(nearest * value) for value in rng.uniform(0.7, 1.05, count)), reverse=True)


def _places(
    rng: Generator, kind: str, size: tuple[int, int], statures: list[float], horizon: float
) -> list[tuple[float, float]]:
    """Foot points (x, y), image px. Crowds huddle; now and then the picture's border cuts people."""
    height, width = size
    middle = rng.uniform(0.25, 0.75) * width
    spread = statures[0] * rng.uniform(0.1, 0.55) * min(4.0, max(1.0, (len(statures) / 6) ** 2))
    sunk = rng.uniform(0.05, 0.45) * statures[0] if rng.random() < 0.22 else 0.0
    ground = max(rng.uniform(horizon, height), 0.9 * statures[0])
    places = []
    for row, stature in enumerate(statures):
        x = middle + rng.normal(0, spread) if kind == "crowd" else rng.uniform(-0.02, 1.02) * width
        # The nearer, the larger and the lower in the picture.
        y = ground - 0.35 * (statures[0] - stature) - row * rng.uniform(0, 4)
        places.append((float(x), float(min(y, height - 2) + sunk)))
    return places


def _yaw(rng: Generator) -> float:
    """Any direction; front and back views, which photographs favour, a little more often."""
    if rng.random() < 0.5:
        return float(rng.uniform(0, 360))
    return float(rng.choice([0.0, 180.0], p=[0.65, 0.35]) + rng.normal(0, 28)) % 360


def cast_far_group(rng: Generator, size: tuple[int, int], horizon: float, depth: float) -> list[Actor]:
    """Six to twelve tiny people close together near the horizon."""
    height, width = size
    stature = rng.uniform(16, 30)
    middle = rng.uniform(0.15, 0.85) * width
    actors = []
    for row in range(rng.integers(6, 13)):
        foot = (middle + rng.normal(0, 1.3 * stature), min(horizon + rng.uniform(0.5, 0.9) * stature, height - 2.0))
        actors.append(
            make_actor(sample_pose(rng), sample_outfit(rng), rng, stature, foot, depth + row * stature, _yaw(rng), 5)
        )
    return actors

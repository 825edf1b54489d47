"""Joint angles of a person, sampled around everyday poses."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator

Array = np.ndarray


@dataclass(frozen=True)
class Pose:
    """Angles in degrees; row 0 of every limb array is the person's left, row 1 the right.

    spine and neck (3,): bend forward, lean to the left, twist.
    shoulders and hips (2, 3): raise forward, raise sideways, turn inwards. elbows and knees (2,): flexion.
    root_tilt: the whole body about its left-right axis, 90 = face down, -90 = on the back.
    root_roll: the whole body about its front-back axis. lift: height of the feet above the ground in statures.
    """

    name: str
    spine: Array
    neck: Array
    shoulders: Array
    elbows: Array
    hips: Array
    knees: Array
    root_tilt: float = 0.0
    root_roll: float = 0.0
    lift: float = 0.0
    seated: bool = False


def _standing(rng: Generator) -> Pose:
    return Pose(
        name="standing",
        spine=rng.normal(0, [5, 4, 6]),
        neck=rng.normal([4, 0, 0], [10, 6, 24]),
        shoulders=rng.normal([2, 10, 5], [12, 6, 20], (2, 3)),
        elbows=rng.uniform(3, 45, 2),
        hips=rng.normal([2, 5, -6], [5, 3, 6], (2, 3)),
        knees=rng.uniform(0, 12, 2),
    )


def _akimbo(rng: Generator) -> Pose:
    arms = rng.normal([-12, 42, 68], [6, 6, 8], (2, 3))
    pose = _standing(rng)
    which = rng.random(2) < 0.8
    return replace(
        pose,
        name="akimbo",
        shoulders=np.where(which[:, None], arms, pose.shoulders),
        elbows=np.where(which, rng.uniform(85, 110, 2), pose.elbows),
    )


def _stride(rng: Generator, name: str, swing: float, elbow: float, knee: float) -> Pose:
    """Legs in opposite phase, each arm with the other leg; the trailing knee is bent."""
    phase = rng.uniform(0, 2 * np.pi) + np.array([0, np.pi])
    leg = np.sin(phase)
    pose = _standing(rng)
    shoulders, hips = pose.shoulders.copy(), pose.hips.copy()
    shoulders[:, 0] = -leg * swing + rng.normal(0, 6, 2)
    hips[:, 0] = leg * swing + rng.normal(4, 4, 2)
    knees = 6 + knee * np.clip(np.cos(phase), 0, 1) + 0.4 * knee * np.clip(-leg, 0, 1)
    elbows = np.clip(rng.normal(elbow, 12, 2), 2, 130)
    return replace(pose, name=name, shoulders=shoulders, hips=hips, knees=knees, elbows=elbows)


def _walking(rng: Generator) -> Pose:
    return _stride(rng, "walking", swing=rng.uniform(15, 32), elbow=22, knee=38)


def _running(rng: Generator) -> Pose:
    pose = _stride(rng, "running", swing=rng.uniform(35, 60), elbow=92, knee=85)
    return replace(pose, root_tilt=rng.uniform(4, 18), lift=rng.uniform(0, 0.08))


def _sitting(rng: Generator) -> Pose:
    return replace(
        _standing(rng),
        name="sitting",
        seated=True,
        spine=rng.normal([8, 0, 0], [8, 4, 8]),
        shoulders=rng.normal([32, 8, 15], [16, 8, 22], (2, 3)),
        elbows=rng.uniform(15, 95, 2),
        hips=rng.normal([86, 8, 0], [8, 8, 8], (2, 3)),
        knees=rng.normal(84, 14, 2),
    )


def _crouching(rng: Generator) -> Pose:
    return replace(
        _standing(rng),
        name="crouching",
        root_tilt=rng.uniform(5, 30),
        spine=rng.normal([25, 0, 0], [10, 5, 8]),
        neck=rng.normal([-15, 0, 0], [10, 6, 20]),
        shoulders=rng.normal([60, 10, 10], [25, 10, 20], (2, 3)),
        elbows=rng.uniform(10, 90, 2),
        hips=rng.normal([115, 14, 0], [10, 8, 8], (2, 3)),
        knees=rng.normal(122, 10, 2),
    )


def _arms_raised(rng: Generator) -> Pose:
    pose = _standing(rng)
    raised = rng.normal([5, 140, -40], [15, 28, 40], (2, 3))
    which = rng.permutation([True, rng.random() < 0.7])
    return replace(
        pose,
        name="arms_raised",
        shoulders=np.where(which[:, None], raised, pose.shoulders),
        elbows=np.where(which, rng.uniform(2, 80, 2), pose.elbows),
    )


def _bending(rng: Generator) -> Pose:
    tilt = rng.uniform(20, 50)
    return replace(
        _standing(rng),
        name="bending",
        root_tilt=tilt,
        spine=rng.normal([35, 0, 0], [12, 5, 10]),
        neck=rng.normal([-10, 0, 0], [14, 6, 15]),
        shoulders=rng.normal([70, 8, 0], [22, 8, 15], (2, 3)),
        hips=rng.normal([tilt, 6, 0], [6, 5, 6], (2, 3)),
        knees=rng.uniform(2, 40, 2),
    )


def _reaching(rng: Generator) -> Pose:
    pose = _walking(rng)
    reach = rng.normal([95, 15, 0], [28, 20, 25], (2, 3))
    which = rng.permutation([True, rng.random() < 0.35])
    return replace(
        pose,
        name="reaching",
        shoulders=np.where(which[:, None], reach, pose.shoulders),
        elbows=np.where(which, rng.uniform(0, 60, 2), pose.elbows),
        spine=rng.normal([12, 0, 0], [8, 8, 14]),
    )


def _jumping(rng: Generator) -> Pose:
    return replace(
        _arms_raised(rng),
        name="jumping",
        hips=rng.normal([35, 16, 0], [25, 10, 10], (2, 3)),
        knees=rng.uniform(15, 100, 2),
        lift=rng.uniform(0.05, 0.25),
    )


def _lying(rng: Generator) -> Pose:
    base = _standing(rng) if rng.random() < 0.5 else _arms_raised(rng)
    return replace(
        base,
        name="lying",
        root_tilt=float(rng.choice([-90, -80, 90])),
        root_roll=rng.normal(0, 12),
        hips=rng.normal([12, 10, 0], [15, 7, 10], (2, 3)),
        knees=rng.uniform(0, 70, 2),
    )


# The weights follow how often people photograph these; lying is rare there too.
ARCHETYPES: dict[Callable[[Generator], Pose], float] = {
    _standing: 0.22, _akimbo: 0.07, _walking: 0.19, _running: 0.10, _sitting: 0.11, _crouching: 0.05,
    _arms_raised: 0.08, _bending: 0.05, _reaching: 0.08, _jumping: 0.03, _lying: 0.02,
}  # fmt: skip


def sample_pose(rng: Generator) -> Pose:
    weights = np.array(list(ARCHETYPES.values()))
    return list(ARCHETYPES)[rng.choice(len(weights), p=weights / weights.sum())](rng)


def neutral_pose() -> Pose:
    """Upright, arms slightly away from the body: for tests and for pictures that must be read easily."""
    limbs = np.tile([0.0, 10.0, 0.0], (2, 1))
    return Pose("neutral", np.zeros(3), np.zeros(3), limbs, np.full(2, 5.0), limbs * 0.5, np.full(2, 2.0))

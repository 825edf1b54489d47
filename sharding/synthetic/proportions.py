"""How long and how thick the segments of a body are, relative to its stature."""

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

Array = np.ndarray


@dataclass(frozen=True)
class Proportions:
    """Lengths as fractions of the stature (adult anthropometric means as defaults); `bulk` scales every thickness."""

    head: float = 0.13
    neck: float = 0.052
    chest: float = 0.165
    abdomen: float = 0.118
    shoulder_half: float = 0.108
    hip_half: float = 0.055
    upper_arm: float = 0.172
    forearm: float = 0.150
    hand: float = 0.085
    thigh: float = 0.245
    shin: float = 0.243
    foot: float = 0.125
    bulk: float = 1.0


def sample_proportions(rng: Generator) -> Proportions:
    """An adult, or one time in eight a child with a larger head and shorter limbs."""
    child = rng.random() < 0.12
    limbs = (0.92 if child else 1.0) * rng.normal(1, 0.04)
    return Proportions(
        head=0.13 * rng.normal(1.02, 0.04) * (1.3 if child else 1.0),
        neck=0.052 * rng.normal(1, 0.08),
        chest=0.165 * rng.normal(1, 0.05),
        abdomen=0.118 * rng.normal(1, 0.06),
        shoulder_half=0.108 * rng.normal(1, 0.08),
        hip_half=0.055 * rng.normal(1, 0.08),
        upper_arm=0.172 * limbs * rng.normal(1, 0.03),
        forearm=0.150 * limbs * rng.normal(1, 0.03),
        hand=0.085 * rng.normal(1, 0.05),
        thigh=0.245 * limbs * rng.normal(1, 0.03),
        shin=0.243 * limbs * rng.normal(1, 0.03),
        foot=0.125 * rng.normal(1, 0.05),
        bulk=float(np.clip(rng.normal(1.05, 0.13), 0.8, 1.5)),
    )


def head_half_axes(size: Proportions) -> Array:
    """(3,): half width, half height, half depth of the head in statures."""
    return np.array([0.37, 0.52, 0.44]) * size.head

"""Augmentation of whole pictures as numbers, no pixels: scale → rotation → flip → translation, vectorised over a batch.

The sampler of the associative-embedding and HRNet bottom-up code (specs 3.4). Every draw is a function of (seed, pass,
image id).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pipelines.augmentation import AugmentedRegions
from pipelines.counter_rng import Epoch, uniform

Fit = Literal["short", "long"]


@dataclass(frozen=True)
class BottomUpAugmentation:
    """How far pictures vary. The default leaves them as they are; specs 3.4 are 0.75, 1.5, 30, 0.2 and 0.5.

    Attributes:
        scale_min, scale_max: the shown region's side is multiplied by a uniform number between them, so persons become
            smaller where it is large.
        max_rotation: degrees; uniform in ± this.
        translation_factor: uniform shift of the region, as a share of its side after scaling, along x and y. The public
            code's 40 counts in 200ths of the side, which is 0.2.
        flip_probability: how often a picture is mirrored.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - inside a recipe, a misspelt name is an error

    scale_min: float = 1.0
    scale_max: float = 1.0
    max_rotation: float = 0.0
    translation_factor: float = 0.0
    flip_probability: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.scale_min <= self.scale_max < np.inf:
            raise ValueError(f"0 < scale_min <= scale_max must hold, got {self.scale_min} and {self.scale_max}")
        for name in ("max_rotation", "translation_factor"):
            if not 0 <= getattr(self, name) < np.inf:  # NaN is refused too
                raise ValueError(f"{name} must not be negative or infinite, got {getattr(self, name)}")
        if not 0 <= self.flip_probability <= 1:
            raise ValueError(f"flip_probability must lie in [0, 1], got {self.flip_probability}")


def augment_pictures(
    augmentation: BottomUpAugmentation,
    picture_sizes: NDArray[np.integer],
    fit: Fit,
    draw: tuple[int, Epoch, NDArray[np.int64]],
) -> AugmentedRegions:
    """Square regions of N pictures, around their centres before translation.

    Args:
        picture_sizes: (N, 2) as (height, width), px.
        fit: the side of a picture that a region spans at scale 1; "long" shows all of the picture.
        draw: (seed, pass or passes (N,), image ids (N,)), which alone decide every random number.
    """
    # Streams 10 to 19 are the top-down augmentation's.
    scale = augmentation.scale_min + (augmentation.scale_max - augmentation.scale_min) * uniform(*draw, stream=30)
    rotation = augmentation.max_rotation * (2 * uniform(*draw, stream=31) - 1)
    mirror = uniform(*draw, stream=32) < augmentation.flip_probability
    shift = 2 * np.stack([uniform(*draw, stream=33), uniform(*draw, stream=34)], axis=1) - 1
    side = (picture_sizes.min(axis=1) if fit == "short" else picture_sizes.max(axis=1)) * scale
    center = picture_sizes[:, ::-1] / 2 + augmentation.translation_factor * shift * side[:, None]
    return AugmentedRegions(center, np.stack([side, side], axis=1), rotation, mirror)

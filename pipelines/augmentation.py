"""Augmentation as numbers, no pixels: half body → scale → rotation → flip → translation, vectorised over a batch.

The sampler of the HRNet and SimpleBaseline code (specs 0.3). Every draw is a function of (seed, epoch, instance id).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.counter_rng import Epoch, normal, uniform
from pose.crop import Floats, match_aspect
from pose.skeletons import Skeleton

_HALF_BODY_PADDING = 1.5
_MIN_EXTENT = 1.0  # image px; keypoints on one spot would give a region without extent


@dataclass(frozen=True)
class Augmentation:
    """How far crops vary. The default leaves them as they are.

    Attributes:
        scale_factor: the region's size is multiplied by a normal around 1 of this spread, clipped to 1 ± scale_factor.
        rotation_factor: degrees; a normal of this spread, clipped to ± twice the factor.
        rotation_probability: how often a crop is turned at all.
        flip_probability: how often it is mirrored.
        half_body_probability: how often a person with more than `half_body_min_keypoints` labelled keypoints is cut to
            its upper or lower half.
        half_body_upper_probability: the upper half's share of these. The public code tests `randn() < 0.5`, which is
            true in 69 % of cases; recipes that reproduce its numbers set 0.6915.
        translation_factor: uniform shift of the region, as a share of its size, along x and y.
    """

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012 - inside a recipe, a misspelt name is an error

    scale_factor: float = 0.0
    rotation_factor: float = 0.0
    rotation_probability: float = 0.6
    flip_probability: float = 0.0
    half_body_probability: float = 0.0
    half_body_min_keypoints: int = 8
    half_body_upper_probability: float = 0.5
    translation_factor: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rotation", "flip", "half_body", "half_body_upper"):
            value = getattr(self, f"{name}_probability")
            if not 0 <= value <= 1:
                raise ValueError(f"{name}_probability must lie in [0, 1], got {value}")
        if not 0 <= self.scale_factor < 1:
            raise ValueError(f"scale_factor must lie in [0, 1), got {self.scale_factor}")
        for name in ("rotation_factor", "translation_factor"):
            if not getattr(self, name) >= 0:  # NaN is refused too
                raise ValueError(f"{name} must not be negative, got {getattr(self, name)}")


@dataclass(frozen=True)
class AugmentedRegions:
    """Regions to crop: center (N, 2) and extent (N, 2) as (height, width) in image px, rotation (N,) in degrees."""

    center: Floats
    extent: Floats
    rotation: Floats
    mirror: NDArray[np.bool_]


def augment(
    augmentation: Augmentation,
    skeleton: Skeleton,
    crop_size: tuple[int, int],
    center: Floats,
    extent: Floats,
    keypoints: Floats,
    draw: tuple[int, Epoch, NDArray[np.int64]],
) -> AugmentedRegions:
    """Vary the regions of N instances.

    Args:
        center, extent: (N, 2), image px, of the crop's aspect ratio.
        keypoints: (N, K, 3), image px and visibility.
        draw: (seed, epoch or epochs (N,), instance ids (N,)), which alone decide every random number.
    """
    center, extent = _half_body(augmentation, skeleton, crop_size, center, extent, keypoints, draw)
    factor = augmentation.scale_factor
    scale = np.clip(1 + factor * normal(*draw, stream=10), 1 - factor, 1 + factor)
    limit = 2 * augmentation.rotation_factor
    rotation = np.clip(augmentation.rotation_factor * normal(*draw, stream=12), -limit, limit)
    rotation *= uniform(*draw, stream=14) < augmentation.rotation_probability
    mirror = uniform(*draw, stream=15) < augmentation.flip_probability
    shift = np.stack([uniform(*draw, stream=16), uniform(*draw, stream=17)], axis=1) * 2 - 1
    extent = extent * scale[:, None]
    center = center + augmentation.translation_factor * shift * extent[:, ::-1]
    return AugmentedRegions(center, extent, rotation, mirror)


def _half_body(
    augmentation: Augmentation,
    skeleton: Skeleton,
    crop_size: tuple[int, int],
    center: Floats,
    extent: Floats,
    keypoints: Floats,
    draw: tuple[int, Epoch, NDArray[np.int64]],
) -> tuple[Floats, Floats]:
    labelled = keypoints[:, :, 2] > 0
    chosen = uniform(*draw, stream=18) < augmentation.half_body_probability
    chosen &= labelled.sum(axis=1) > augmentation.half_body_min_keypoints
    upper, lower = (
        labelled & np.isin(np.arange(labelled.shape[1]), part) for part in (skeleton.upper_body, skeleton.lower_body)
    )
    wants_upper = uniform(*draw, stream=19) < augmentation.half_body_upper_probability
    takes_upper = (wants_upper & (upper.sum(axis=1) > 2)) | (lower.sum(axis=1) <= 2)
    selected = np.where(takes_upper[:, None], upper, lower)
    chosen &= selected.sum(axis=1) >= 2
    if not chosen.any():
        return center, extent
    points, mask = keypoints[chosen, :, :2], selected[chosen][:, :, None]
    middle = np.where(mask, points, 0).sum(axis=1) / mask.sum(axis=1)
    low = np.where(mask, points, np.inf).min(axis=1)
    high = np.where(mask, points, -np.inf).max(axis=1)
    size = np.maximum((high - low)[:, ::-1], _MIN_EXTENT)
    center, extent = center.copy(), extent.copy()
    center[chosen] = middle
    extent[chosen] = match_aspect(size, crop_size) * _HALF_BODY_PADDING
    return center, extent

"""Augmentation as numbers, no pixels: half body → scale → rotation → flip → translation, vectorised over a batch.

The sampler of the HRNet and SimpleBaseline code (specs 0.3), or uniform scales and angles as CPN draws them; and gains
of the colour channels. Every draw is a function of (seed, epoch, instance id).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.counter_rng import Epoch, normal, uniform
from pose.crop import Floats, match_aspect
from pose.skeletons import Skeleton

Draw = tuple[int, Epoch, NDArray[np.int64]]
"""(seed, epoch or epochs (N,), instance ids (N,)), which alone decide every random number."""

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
        scale_range: instead of scale_factor, the size is multiplied by a uniform number between these two.
        rotation_range: instead of rotation_factor, degrees; uniform in ± this.
        channel_gain: each colour channel is multiplied by a uniform number in 1 ± this.
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
    scale_range: tuple[float, float] | None = None
    rotation_range: float | None = None
    channel_gain: float = 0.0

    def __post_init__(self) -> None:
        for name in ("rotation", "flip", "half_body", "half_body_upper"):
            value = getattr(self, f"{name}_probability")
            if not 0 <= value <= 1:
                raise ValueError(f"{name}_probability must lie in [0, 1], got {value}")
        for name in ("scale_factor", "channel_gain"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} must lie in [0, 1), got {getattr(self, name)}")
        for name in ("rotation_factor", "translation_factor", "rotation_range"):
            if not 0 <= (getattr(self, name) or 0) < np.inf:  # NaN is refused too
                raise ValueError(f"{name} must not be negative or infinite, got {getattr(self, name)}")
        if self.scale_range is not None and not 0 < self.scale_range[0] <= self.scale_range[1] < np.inf:
            raise ValueError(f"scale_range must be (low, high) with 0 < low <= high, got {self.scale_range}")
        for name in ("scale", "rotation"):
            factor, uniform_range = getattr(self, f"{name}_factor"), getattr(self, f"{name}_range")
            if factor and uniform_range is not None:
                raise ValueError(f"{name}_factor and {name}_range exclude each other, got {factor} and {uniform_range}")


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
    draw: Draw,
) -> AugmentedRegions:
    """Vary the regions of N instances.

    Args:
        center, extent: (N, 2), image px, of the crop's aspect ratio.
        keypoints: (N, K, 3), image px and visibility.
    """
    center, extent = _half_body(augmentation, skeleton, crop_size, center, extent, keypoints, draw)
    rotation = _angles(augmentation, draw) * (uniform(*draw, stream=14) < augmentation.rotation_probability)
    mirror = uniform(*draw, stream=15) < augmentation.flip_probability
    shift = np.stack([uniform(*draw, stream=16), uniform(*draw, stream=17)], axis=1) * 2 - 1
    extent = extent * _scales(augmentation, draw)[:, None]
    center = center + augmentation.translation_factor * shift * extent[:, ::-1]
    return AugmentedRegions(center, extent, rotation, mirror)


def channel_gains(augmentation: Augmentation, draw: Draw) -> NDArray[np.float32] | None:
    """(N, 3), what the red, green and blue of each instance's crop are multiplied by; None if it is always 1."""
    if augmentation.channel_gain == 0:
        return None
    drawn = np.stack([uniform(*draw, stream=stream) for stream in (22, 23, 24)], axis=1)
    return (1 + augmentation.channel_gain * (2 * drawn - 1)).astype(np.float32)


def _scales(augmentation: Augmentation, draw: Draw) -> Floats:
    """(N,), what the sizes of regions are multiplied by."""
    if augmentation.scale_range is not None:
        low, high = augmentation.scale_range
        return low + (high - low) * uniform(*draw, stream=20)
    factor = augmentation.scale_factor
    return np.clip(1 + factor * normal(*draw, stream=10), 1 - factor, 1 + factor)


def _angles(augmentation: Augmentation, draw: Draw) -> Floats:
    """(N,) degrees, for those that are turned."""
    if augmentation.rotation_range is not None:
        return augmentation.rotation_range * (2 * uniform(*draw, stream=21) - 1)
    limit = 2 * augmentation.rotation_factor
    return np.clip(augmentation.rotation_factor * normal(*draw, stream=12), -limit, limit)


def _half_body(
    augmentation: Augmentation,
    skeleton: Skeleton,
    crop_size: tuple[int, int],
    center: Floats,
    extent: Floats,
    keypoints: Floats,
    draw: Draw,
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

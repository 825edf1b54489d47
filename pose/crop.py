"""Crop geometry: box → image_to_crop, its inverse and its mirror, vectorised over instances.

One pixel-centre convention everywhere: integer (x, y) is the centre of pixel (x, y), as in OpenCV and COCO's tools.
Points are (x, y), sizes are (height, width). A matrix (…, 2, 3) maps column vectors (x, y, 1).

Two ways to fit a box into a crop, chosen by the recipe:

- ``"hrnet"``: the box centre goes to (W/2, H/2) and the box's width spans W pixels, as in the public SimpleBaseline and
  HRNet code. Heatmap coordinate = crop coordinate / stride. Papers and public checkpoints assume it.
- ``"unbiased"``: the centre goes to ((W−1)/2, (H−1)/2) and the box's width spans W − 1 pixel distances (Huang et al.,
  "The Devil is in the Details", CVPR 2020), so mirroring a crop mirrors its heatmap without a shift.
"""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CropConvention = Literal["hrnet", "unbiased"]

MPII_PERSON_PX = 200.0  # MPII's `scale` is a person's height divided by 200 px


def box_to_center_extent(box_xywh: Floats, crop_size: tuple[int, int], padding: float = 1.25) -> tuple[Floats, Floats]:
    """Centre and extent of the image region that a crop shows (specs 0.3, "Box to crop").

    The shorter side grows to the crop's aspect ratio, then both sides by `padding`.

    Args:
        box_xywh: (N, 4), image px: left, top, width, height.
        crop_size: (height, width), crop px.
    Returns:
        center (N, 2) as (x, y) and extent (N, 2) as (height, width), image px.
    """
    center = box_xywh[:, :2] + box_xywh[:, 2:] / 2
    return center, match_aspect(box_xywh[:, [3, 2]], crop_size) * padding


def mpii_center_extent(center: Floats, scale: Floats) -> tuple[Floats, Floats]:
    """The region around an MPII person: centre 15 px·scale lower, square of 1.25 · scale · 200 px (specs 0.3).

    Args:
        center: (N, 2), image px. scale: (N,), person height / 200 px.
    """
    lowered = center + np.stack([np.zeros_like(scale), 15 * scale], axis=1)
    side = 1.25 * MPII_PERSON_PX * scale
    return lowered, np.stack([side, side], axis=1)


def match_aspect(extent: Floats, crop_size: tuple[int, int]) -> Floats:
    """Extents (N, 2), (height, width), with the shorter side enlarged to the aspect ratio of `crop_size`."""
    aspect = crop_size[1] / crop_size[0]
    height = np.maximum(extent[:, 0], extent[:, 1] / aspect)
    return np.stack([height, height * aspect], axis=1)


def crop_matrices(
    center: Floats,
    extent: Floats,
    crop_size: tuple[int, int],
    convention: CropConvention,
    rotation: Floats | None = None,
    mirror: NDArray[np.bool_] | None = None,
) -> Floats:
    """image_to_crop (N, 2, 3) for regions around `center`.

    Args:
        center: (N, 2), image px. It maps to the crop's centre, whatever rotation and mirror.
        extent: (N, 2) as (height, width), image px, of the crop's aspect ratio; the width sets the scale.
        crop_size: (height, width), crop px.
        rotation: (N,), degrees; positive turns the picture's content anticlockwise on the screen. Default 0.
        mirror: (N,), whether the picture is mirrored left-right about the box centre before it is turned. Default no.
    Raises:
        ValueError: an extent is not positive or not finite.
    """
    usable = (np.isfinite(extent) & (extent > 0)).all(axis=1)
    if not usable.all():
        raise ValueError(f"crop extents must be positive and finite, got {extent[~usable][:3]}")
    height, width = crop_size
    one = 1.0 if convention == "unbiased" else 0.0
    scale = (width - one) / extent[:, 1]
    radians = np.deg2rad(np.zeros(len(center)) if rotation is None else rotation)
    sign = np.ones(len(center)) if mirror is None else np.where(mirror, -1.0, 1.0)
    cos, sin = scale * np.cos(radians), scale * np.sin(radians)
    linear = np.stack([np.stack([cos * sign, sin], axis=1), np.stack([-sin * sign, cos], axis=1)], axis=1)
    middle = np.array([(width - one) / 2, (height - one) / 2])
    offset = middle - np.einsum("nij,nj->ni", linear, center)
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def invert_affine(matrices: Floats) -> Floats:
    """Inverse (…, 2, 3) of affine maps (…, 2, 3), e.g. image_to_crop → crop_to_image."""
    inverse = np.linalg.inv(matrices[..., :2])
    return np.concatenate([inverse, -inverse @ matrices[..., 2:]], axis=-1)


def transform_points(matrices: Floats, points: Floats) -> Floats:
    """Points (N, K, 2) through one map (N, 2, 3) each."""
    return np.einsum("nij,nkj->nki", matrices[..., :2], points) + matrices[:, None, :, 2]


def mirror_crop(image_to_crop: Floats, crop_width: int) -> Floats:
    """image_to_crop (N, 2, 3) of the same crops with their columns reversed: crop x → W − 1 − x (the flip test)."""
    mirrored = image_to_crop.copy()
    mirrored[..., 0, :] *= -1
    mirrored[..., 0, 2] += crop_width - 1
    return mirrored

"""Regression targets of bottom-up estimation: around each person's centre, where that person's keypoints are."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from pose.heatmaps import Encoding
from pose.person_heatmaps import encode_persons, inside_map

Overlap = Literal["nearest", "smaller"]
PersonSize = Literal["diagonal", "area"]

_NOBODY = torch.iinfo(torch.int32).max


@dataclass(frozen=True)
class OffsetTargets:
    """What maps (B, 2K, h, w) of offsets should say at the S positions of each of M persons' centre regions.

    Attributes:
        places: (M, S) int64, (image · h + y) · w + x of each position; any place in the person's image where nothing
            is weighted.
        offsets: (M, S, K, 2), keypoint − position, heatmap px.
        weights: (M, S, K), 1 / the person's size in heatmap px; 0 where a position is not in the map or belongs to
            somebody else, and for keypoints without a target.
    """

    places: Tensor
    offsets: Tensor
    weights: Tensor


def person_centers(keypoints: Tensor, labelled: Tensor, box_corners: Tensor) -> Tensor:
    """The mean of each person's labelled keypoints, (M, 2); of the box's corners where there is none.

    Args:
        keypoints: (M, K, 2), any frame; NaN where they are not labelled does no harm. labelled: (M, K) bool.
        box_corners: (M, 4, 2), the same frame.
    """
    total = torch.where(labelled[..., None], keypoints, 0.0).sum(dim=1)
    number = labelled.sum(dim=1, keepdim=True)
    return torch.where(number > 0, total / number.clamp(min=1), box_corners.mean(dim=1))


def encode_centers(
    centers: Tensor,
    with_center: Tensor,
    person_image: Tensor,
    images: int,
    heatmap_size: tuple[int, int],
    sigma: float = 4.0,
    encoding: Encoding = "exact",
) -> Tensor:
    """Heatmaps (B, 1, h, w) of centres (M, 2), heatmap px, as `encode_persons` makes them; with_center (M,) bool."""
    shown = with_center[:, None]
    return encode_persons(centers[:, None], shown, person_image, images, heatmap_size, sigma, encoding)


def encode_offsets(
    keypoints: Tensor,
    labelled: Tensor,
    centers: Tensor,
    with_center: Tensor,
    box_corners: Tensor,
    person_image: Tensor,
    images: int,
    heatmap_size: tuple[int, int],
    radius: int = 4,
    overlap: Overlap = "nearest",
    size: PersonSize = "diagonal",
) -> OffsetTargets:
    """Targets on the square −radius … radius − 1 around the pixel floor(centre); specs 3.3 and 3.9.

    Centres and keypoints outside of the map have no target.

    Args:
        keypoints: (M, K, 2), heatmap px. labelled: (M, K) bool; other keypoints' values are ignored, NaN included.
        centers: (M, 2), heatmap px. with_center: (M,) bool, who has a centre region at all.
        box_corners: (M, 4, 2), heatmap px, around the box. person_image: (M,) int64.
        images: B. heatmap_size: (h, w), heatmap px.
        overlap: who has a position in several regions. "nearest": the person whose centre's pixel is nearest, the one
            with the smaller box among equals, then the first (paper). "smaller": for each keypoint by itself, the
            person with the smaller box among those who have a target for it, then the first (public code).
        size: by what offsets are divided in the loss: the box's "diagonal" (paper) or the root of its "area" (public
            code), 1 px at least.
    Raises:
        ValueError: an option is not one of those named here.
    """
    for name, given, known in (("overlap", overlap, get_args(Overlap)), ("size", size, get_args(PersonSize))):
        if given not in known:
            raise ValueError(f"{name} must be one of {known}, got {given!r}")
    with_center = with_center & inside_map(centers, heatmap_size)
    taught = (labelled & inside_map(keypoints, heatmap_size))[:, None]
    square = _square(radius, centers.device)
    positions = torch.floor(torch.where(with_center[:, None], centers, 0.0)).long()[:, None] + square
    exists = (with_center[:, None] & inside_map(positions, heatmap_size))[..., None]
    places = _places(positions, person_image, heatmap_size)
    roots, diagonals = _box_sizes(box_corners)
    order = torch.argsort(torch.argsort(roots, stable=True)).int()[:, None, None]
    if overlap == "nearest":
        claims = torch.where(exists, square.square().sum(dim=1).int()[:, None] * len(centers) + order, _NOBODY)
    else:
        claims = torch.where(exists & taught, order, _NOBODY)
    won = _wins(claims, places, images * heatmap_size[0] * heatmap_size[1]) & taught
    offsets = torch.where(taught[..., None], keypoints[:, None] - positions[:, :, None], 0.0)
    sizes = (diagonals if size == "diagonal" else roots).clamp(min=1.0)
    return OffsetTargets(places, offsets.float(), won / sizes[:, None, None])


def _square(radius: int, device: torch.device) -> Tensor:
    """(S, 2) int64: all points from (−radius, −radius) to (radius − 1, radius − 1)."""
    steps = torch.arange(-radius, radius, device=device)
    return torch.cartesian_prod(steps, steps)


def _places(positions: Tensor, person_image: Tensor, heatmap_size: tuple[int, int]) -> Tensor:
    """(M, S), `OffsetTargets.places`; those outside of the map become the map's nearest."""
    (height, width), (x, y) = heatmap_size, positions.unbind(-1)
    return (person_image[:, None] * height + y.clamp(0, height - 1)) * width + x.clamp(0, width - 1)


def _box_sizes(corners: Tensor) -> tuple[Tensor, Tensor]:
    """The root of the area and the diagonal of boxes (M, 4, 2), (M,) float32 each."""
    edges = (corners[:, 1:3] - corners[:, :2]).float().norm(dim=2)
    return edges.prod(dim=1).sqrt(), edges.norm(dim=1)


def _wins(claims: Tensor, places: Tensor, number: int) -> Tensor:
    """Which claims (M, S, C) are the smallest of all that are made to their places (M, S) among `number`, (M, S, C)."""
    channels = claims.shape[2]
    index = places[..., None] * channels + torch.arange(channels, device=claims.device)
    smallest = claims.new_full((number * channels,), _NOBODY)
    smallest.scatter_reduce_(0, index.flatten(), claims.flatten(), "amin")
    return (smallest[index] == claims) & (claims != _NOBODY)

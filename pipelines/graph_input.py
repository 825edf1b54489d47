"""What the graph is fed: a batch of instances, cut into pieces that share a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.decode_regions import decode_regions, movable_matrices
from pose.crop import Floats

Bytes = NDArray[np.uint8]
Ints = NDArray[np.int64]

_NOTHING_MARKED = np.zeros((1, 1, 1), dtype=np.uint8)
_NO_LIMIT_PX = 1 << 24  # stands for a size that nobody needs to know


@dataclass(frozen=True)
class GraphInput:
    """One batch for the graph. A picture is decoded once for neighbouring instances, so keep its instances together.

    Attributes:
        pictures: encoded bytes of P pictures, each (size,) uint8.
        picture_of_instance: (B,) which of them each instance is cut from.
        crop_to_image: (B, 2, 3), crop px → image px.
        picture_sizes: (P, 2) as (height, width), image px, without EXIF rotation. Where they are given, the host
            decodes no more of a picture than its crops show; the crops are the same to the bit.
        masks: M masks for a graph with masks, each (height, width) uint8 and as large as its picture; all that is not
            zero is marked.
        mask_of_instance: (B,) which of them each instance is cut from, −1 for nothing marked.
    """

    pictures: Sequence[Bytes]
    picture_of_instance: Ints
    crop_to_image: Floats
    picture_sizes: NDArray[np.integer] | None = None
    masks: Sequence[Bytes] | None = None
    mask_of_instance: Ints | None = None


@dataclass(frozen=True)
class Pieces:
    """A batch in N pieces of n neighbouring instances with the same picture and mask; lists have N items.

    Attributes:
        pictures: encoded bytes.
        start, end: (N, 2) the region to decode as (y, x), in shares of the picture's height and width.
        matrices: each (n, 3, 3), crop px → px of the region.
        masks: the same region of the mask, (height, width, 1) uint8 of 0 and 1; one 0 where nothing is marked.
    """

    pictures: list[Bytes]
    start: NDArray[np.float32]
    end: NDArray[np.float32]
    matrices: list[NDArray[np.float32]]
    masks: list[Bytes]


def cut_into_pieces(batch: GraphInput, crop_size: tuple[int, int], whole: bool = False) -> Pieces:
    """The pieces of a batch for crops of (height, width) px; `whole` has pictures decoded whole, whatever is known."""
    mask_of_instance = batch.mask_of_instance
    if mask_of_instance is None:
        mask_of_instance = np.full(len(batch.crop_to_image), -1)
    first, counts = _runs(batch.picture_of_instance, mask_of_instance)
    owners = batch.picture_of_instance[first]
    sizes, start, end = _regions(batch, crop_size, first, owners, whole)
    matrices = _homogeneous(movable_matrices(batch.crop_to_image, crop_size))
    matrices[:, :2, 2] -= np.repeat(start[:, ::-1], counts, axis=0)
    return Pieces(
        pictures=[batch.pictures[owner] for owner in owners.tolist()],
        start=(start / sizes).astype(np.float32),
        end=(end / sizes).astype(np.float32),
        matrices=np.split(matrices.astype(np.float32), first[1:]),
        masks=_mask_regions(batch.masks or (), mask_of_instance[first], start, end),
    )


def _runs(picture_of_instance: Ints, mask_of_instance: Ints) -> tuple[Ints, Ints]:
    """The first instance of each piece, and the number of its instances."""
    changes = (np.diff(picture_of_instance) != 0) | (np.diff(mask_of_instance) != 0)
    first = np.concatenate([[0], np.flatnonzero(changes) + 1])
    return first, np.diff(first, append=len(picture_of_instance))


def _regions(
    batch: GraphInput, crop_size: tuple[int, int], first: Ints, owners: Ints, whole: bool
) -> tuple[Ints, Ints, Ints]:
    """Sizes of the pictures, start and end of what to decode of them: (N, 2) each, image px."""
    if whole or batch.picture_sizes is None:
        sizes = np.full((len(first), 2), _NO_LIMIT_PX)
        return sizes, np.zeros_like(sizes), sizes
    sizes = batch.picture_sizes[owners].astype(np.int64)
    return sizes, *decode_regions(batch.crop_to_image, crop_size, first, sizes)


def _homogeneous(matrices: Floats) -> Floats:
    """(B, 2, 3) → (B, 3, 3)."""
    last_row = np.broadcast_to([[[0.0, 0.0, 1.0]]], (len(matrices), 1, 3))
    return np.concatenate([matrices, last_row], axis=1)


def _mask_regions(masks: Sequence[Bytes], mask_of_piece: Ints, start: Ints, end: Ints) -> list[Bytes]:
    """Regions (height, width, 1) of 0 and 1: warped and rounded to 8 bits, 1 is what is more than half marked."""
    regions = []
    for mask, (top, left), (bottom, right) in zip(mask_of_piece.tolist(), start.tolist(), end.tolist(), strict=True):
        marked = masks[mask][top:bottom, left:right, None] != 0 if mask >= 0 else _NOTHING_MARKED
        regions.append(marked.view(np.uint8))
    return regions

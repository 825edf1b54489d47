"""The pixel that suits a person best by heat and tags, without looking at every pixel for every person."""

from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor

_SIDE = 8
_PROMISING = 8
_AT_ONCE = 2**18
"""How many blocks or pixels are looked at at once: some MB."""


def best_pixels(heatmaps: Tensor, tags: Tensor, keypoint: Tensor, means: Tensor) -> Tensor:
    """Where heatmap − round(‖tags − means‖) is largest: x and y (M, 2), the first such pixel in reading order.

    Pixels are taken in blocks of 8x8. The highest heat and the range of tags in a block bound the values in it, in
    the same float operations, each of which keeps order. Only blocks that can reach what the most promising ones hold
    are looked into, and the result is exactly that of looking everywhere.

    Args:
        heatmaps: (K, h, w).
        tags: (K, T, h, w).
        keypoint: (M,), which map to look in.
        means: (M, T).
    """
    height, width = heatmaps.shape[1:]
    if height % _SIDE or width % _SIDE:  # what is added repeats the edge, and comes later in reading order
        more = (0, -width % _SIDE, 0, -height % _SIDE)
        heatmaps, tags = F.pad(heatmaps[None], more, mode="replicate")[0], F.pad(tags, more, mode="replicate")
    blocks = _Blocks(heatmaps, tags)
    at_once = max(1, _AT_ONCE // blocks.number)
    pieces = zip(keypoint.split(at_once), means.split(at_once), strict=True)
    return torch.cat([blocks.best_pixels(*piece) for piece in pieces])


class _Blocks:
    """Heatmaps (K, h, w) and tags (K, T, h, w) in blocks, with what bounds the values in a block."""

    def __init__(self, heatmaps: Tensor, tags: Tensor) -> None:
        self.width = heatmaps.shape[2]
        rows, columns = (-1, _SIDE), (-1, _SIDE)
        heat, tags = (maps.unflatten(-1, columns).unflatten(-3, rows) for maps in (heatmaps, tags))
        self.highest = heat.amax(-3).amax(-1).flatten(1)  # (K, blocks)
        self.low, self.high = tags.amin(-3).amin(-1).flatten(2), tags.amax(-3).amax(-1).flatten(2)  # (K, T, blocks)
        self.heat = heat.movedim(-3, -2)  # (K, rows, columns, side, side)
        self.tags = tags.movedim(-3, -2).movedim(1, 3)  # (K, rows, columns, T, side, side)
        self.number = self.highest.shape[1]

    def best_pixels(self, keypoint: Tensor, means: Tensor) -> Tensor:
        """(M, 2), as the function of that name."""
        bounds = self._bounds(keypoint, means)
        held = self._best_of_promising(keypoint, bounds, means)
        pair, block = (bounds >= held[:, None]).nonzero().unbind(1)
        best, place = self._best_in_blocks(keypoint[pair], block, means[pair])
        largest = held.scatter_reduce(0, pair, best, "amax")
        place = torch.where(best == largest[pair], place, self.heat.numel())
        place = torch.zeros_like(keypoint).scatter_reduce(0, pair, place, "amin", include_self=False)
        return torch.stack([place % self.width, place // self.width], dim=1)

    def _bounds(self, keypoint: Tensor, means: Tensor) -> Tensor:
        """(M, blocks): no value in the block is larger."""
        below, above = self.low[keypoint] - means[..., None], means[..., None] - self.high[keypoint]
        return self.highest[keypoint] - _norm(torch.maximum(below, above).clamp(min=0)).round()

    def _best_of_promising(self, keypoint: Tensor, bounds: Tensor, means: Tensor) -> Tensor:
        """The largest value (M,) in the few blocks that could hold the largest."""
        few = min(_PROMISING, self.number)
        block = bounds.topk(few, sorted=False).indices.flatten()
        best, _ = self._best_in_blocks(keypoint.repeat_interleave(few), block, means.repeat_interleave(few, 0))
        return best.unflatten(0, (len(means), few)).amax(1)

    def _best_in_blocks(self, keypoint: Tensor, block: Tensor, means: Tensor) -> tuple[Tensor, Tensor]:
        """The largest value (L,) in one block each, and its first place, y * width + x."""
        columns = self.width // _SIDE
        row, column = block // columns, block % columns
        at_once = _AT_ONCE // _SIDE**2
        pieces = zip(*(part.split(at_once) for part in (keypoint, row, column, means)), strict=True)
        found = [self._values(*piece).max(1) for piece in pieces]
        inside = torch.cat([one.indices for one in found])
        y, x = row * _SIDE + inside // _SIDE, column * _SIDE + inside % _SIDE
        return torch.cat([one.values for one in found]), y * self.width + x

    def _values(self, keypoint: Tensor, row: Tensor, column: Tensor, means: Tensor) -> Tensor:
        """(L, side²): heatmap − round(‖tags − means‖) in one block each."""
        tags, heat = self.tags[keypoint, row, column].flatten(2), self.heat[keypoint, row, column].flatten(1)
        return heat - _norm(means[..., None] - tags).round()


def _norm(difference: Tensor) -> Tensor:
    """Of (M, T, n) along T, (M, n)."""
    return reduce(torch.add, difference.square().unbind(1)).sqrt()

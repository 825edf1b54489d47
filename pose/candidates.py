"""Keypoint candidates: the peaks of heatmaps."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True)
class Candidates:
    """Up to N peaks of each of (B, K) maps, the highest first.

    Attributes:
        positions: (B, K, N, 2) int64, heatmap px, x and y; (0, 0) where there is no candidate.
        scores: (B, K, N) float32, the map's values there; 0 where there is no candidate.
    """

    positions: Tensor
    scores: Tensor

    @property
    def valid(self) -> Tensor:
        """(B, K, N) bool: where there is a candidate."""
        return self.scores > 0


def find_candidates(heatmaps: Tensor, count: int = 30, pool: int = 5, threshold: float = 0.1) -> Candidates:
    """The `count` highest peaks of every heatmap (B, K, h, w) above `threshold`, N = `count`.

    A peak is a pixel with nothing larger in the window of `pool` x `pool` px around it. Of pixels that share the
    largest value all are peaks, as in the public code; equal scores are in reading order, rows first.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if pool < 1 or pool % 2 == 0:
        raise ValueError(f"pool must be odd and positive, so that a pixel is in the middle of its window; got {pool}")
    if threshold < 0:
        raise ValueError(f"threshold must be at least 0, the score of no candidate; got {threshold}")
    maps = heatmaps.detach().float().flatten(0, 1).contiguous()
    peaks = _peaks_dilated if maps.device.type == "cpu" else _peaks_pooled
    which, places = peaks(maps, pool, threshold)
    scores = maps.flatten(1)[which, places]
    order = scores.argsort(descending=True, stable=True)
    order = order[which[order].argsort(stable=True)]
    which, places, scores = which[order], places[order], scores[order]
    first = torch.searchsorted(which, torch.arange(len(maps), device=maps.device))
    rank = torch.arange(len(which), device=maps.device) - first[which]
    slots = torch.where(rank < count, rank, count)  # what is too much shares a last slot, which is cut off
    found_scores, found_places = scores.new_zeros(len(maps), count + 1), places.new_zeros(len(maps), count + 1)
    found_scores[which, slots], found_places[which, slots] = scores, places
    found_places = found_places[:, :count].unflatten(0, heatmaps.shape[:2])
    width = maps.shape[2]
    positions = torch.stack([found_places % width, found_places // width], dim=-1)
    return Candidates(positions, found_scores[:, :count].unflatten(0, heatmaps.shape[:2]))


def values_at(maps: Tensor, positions: Tensor) -> Tensor:
    """Values (B, K, N) of maps (B, K, h, w) at positions (B, K, N, 2), px, x and y: bilinear, the edge's outside."""
    height, width = maps.shape[2:]
    x, y = positions[..., 0].float().clamp(0, width - 1), positions[..., 1].float().clamp(0, height - 1)
    left, top = x.floor(), y.floor()
    along_x, along_y = x - left, y - top
    left, top = left.long(), top.long()
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    flat = maps.flatten(2)

    def at(column: Tensor, row: Tensor) -> Tensor:
        return flat.gather(2, row * width + column)

    upper = torch.lerp(at(left, top), at(right, top), along_x)
    return torch.lerp(upper, torch.lerp(at(left, bottom), at(right, bottom), along_x), along_y)


def _peaks_pooled(maps: Tensor, pool: int, threshold: float) -> tuple[Tensor, Tensor]:
    """Of all peaks of maps (M, h, w), map by map in reading order: which map, and the place in it, y * w + x."""
    highest = F.max_pool2d(maps, pool, stride=1, padding=pool // 2)
    which, places = ((maps == highest) & (maps > threshold)).flatten(1).nonzero().unbind(1)
    return which, places


def _peaks_dilated(maps: Tensor, pool: int, threshold: float) -> tuple[Tensor, Tensor]:
    """The same on the CPU, where OpenCV takes 4 ms for what takes torch 160: 17 maps of 512x704 on one core."""
    window = np.ones((pool, pool), np.uint8)
    found = [np.flatnonzero((one == cv2.dilate(one, window)) & (one > threshold)) for one in maps.numpy()]
    counts = torch.tensor([len(places) for places in found], dtype=torch.long)
    return torch.arange(len(found)).repeat_interleave(counts), torch.from_numpy(np.concatenate([[], *found])).long()

"""Target heatmaps of body parts: Gaussians along the lines between keypoints (DLCM), in torch on any device."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from pose.heatmaps import HeatmapCodec
from pose.part_hierarchy import Segments

# Coordinates further out count as this far out, so that integers cannot overflow and float32 holds them exactly.
_FAR = 2**20


def encode_parts(
    keypoints: Tensor, weights: Tensor, parts: Sequence[Segments], heatmap_size: tuple[int, int], sigma: float
) -> tuple[Tensor, Tensor]:
    """Target heatmaps of peak 1: the Gaussian at every pixel of a part's lines, combined by maximum.

    A line runs between the nearest pixels of its two keypoints and has one pixel per step along its longer axis; the
    other coordinate is rounded, halves upwards, so the order of the two keypoints makes no difference. The Gaussian is
    that of `HeatmapCodec`'s "rounded" encoding, cut at ±3 sigma.

    Args:
        keypoints: (B, K, 2), heatmap px, not rounded. Values where the weight is 0 are ignored, NaN included.
        weights: (B, K), 0 for keypoints that are not labelled.
        parts: the segments between two keypoints that each of the C channels shows; from a keypoint to itself it is
            that keypoint. A segment is left out unless both its ends are labelled.
        heatmap_size: (height, width), heatmap px. sigma: heatmap px.
    Returns:
        heatmaps (B, C, H, W), and weights (B, C): a segment has the smaller weight of its ends, a channel the largest
        of its segments that reach the map; 0 without any, and then the map is empty.
    """
    points = [channel for channel, part in enumerate(parts) if _is_keypoint(part)]
    lines = [channel for channel, part in enumerate(parts) if not _is_keypoint(part)]
    chosen = _indices([parts[channel][0][0] for channel in points], keypoints.device)
    codec = HeatmapCodec(heatmap_size, heatmap_size, sigma, encoding="rounded")
    point_maps, point_weights = codec.encode(keypoints[:, chosen], weights[:, chosen])
    line_maps, line_weights = _encode_lines(keypoints, weights, [parts[c] for c in lines], heatmap_size, sigma)
    maps, weights = torch.cat([line_maps, point_maps], dim=1), torch.cat([line_weights, point_weights], dim=1)
    found = lines + points
    if found == sorted(found):
        return maps, weights
    order = _indices([found.index(channel) for channel in range(len(parts))], keypoints.device)
    return maps[:, order], weights[:, order]


def _is_keypoint(part: Segments) -> bool:
    return len(part) == 1 and part[0][0] == part[0][1]


def _indices(values: list[int], device: torch.device) -> Tensor:
    return torch.tensor(values, dtype=torch.int64).to(device, non_blocking=True)


def _encode_lines(
    keypoints: Tensor, weights: Tensor, parts: list[Segments], heatmap_size: tuple[int, int], sigma: float
) -> tuple[Tensor, Tensor]:
    segments = [(channel, *segment) for channel, part in enumerate(parts) for segment in part]
    channel, first, last = (_indices([row[column] for row in segments], keypoints.device) for column in range(3))
    radius = math.floor(3 * sigma)
    height, width = (size + 2 * radius for size in heatmap_size)
    known = torch.where((weights > 0)[..., None], keypoints.float(), 0.0)  # NaN has no integer
    pixels = torch.floor(known + 0.5).clamp(-_FAR, _FAR).long() + radius
    weights = torch.minimum(weights[:, first], weights[:, last])
    drawn, inside = _line_pixels(pixels[:, first], pixels[:, last], (height, width))
    inside = inside & (weights > 0)[..., None]
    place = (channel[:, None] * height + drawn[..., 1]) * width + drawn[..., 0]
    cells = len(parts) * height * width  # and one more, where everything that must not be seen is put
    marks = torch.zeros(len(weights), cells + 1, device=keypoints.device)
    marks.scatter_(1, torch.where(inside, place, cells).flatten(1), 1.0)
    maps = _spread(marks[:, :-1].view(len(weights), len(parts), height, width), heatmap_size, sigma, radius)
    weights = weights * inside.any(dim=-1)
    largest = weights.new_zeros(len(weights), len(parts))
    return maps, largest.scatter_reduce(1, channel.expand(len(weights), -1), weights, "amax")


def _line_pixels(start: Tensor, end: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pixels (B, S, L, 2) of the lines from `start` to `end` (B, S, 2), and whether they are on the line and the map.

    L, the longer side of the map, suffices: a line is followed from where its longer axis enters the map.
    """
    limit = torch.tensor([size[1] - 1, size[0] - 1]).to(start.device, non_blocking=True)
    step = end - start
    length, longer_axis = step.abs().max(dim=-1, keepdim=True)
    before_map = torch.where(step > 0, -start, start - limit).gather(2, longer_axis).clamp(min=0)
    number = before_map + torch.arange(max(size), device=start.device)
    moved = (2 * step[..., None, :] * number[..., None] + length[..., None]) // (2 * length[..., None].clamp(min=1))
    pixels = start[..., None, :] + moved
    return pixels, (number <= length) & ((pixels >= 0) & (pixels <= limit)).all(dim=-1)


def _spread(marks: Tensor, heatmap_size: tuple[int, int], sigma: float, radius: int) -> Tensor:
    """Marks of 1 on maps with a margin of `radius` → the largest Gaussian of any mark, (B, C, H, W).

    A Gaussian is the product of one along x and one along y, and a product of positive numbers is largest where they
    are: so one pass along each axis gives the exact maximum.
    """
    for dim, size in ((3, heatmap_size[1]), (2, heatmap_size[0])):
        largest = marks.narrow(dim, radius, size).clone()
        for distance in range(1, radius + 1):
            either_side = (radius - distance, radius + distance)
            near = torch.maximum(*(marks.narrow(dim, offset, size) for offset in either_side))
            torch.maximum(largest, near.mul_(math.exp(-(distance**2) / (2 * sigma**2))), out=largest)
        marks = largest
    return marks

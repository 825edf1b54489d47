"""What a network's heatmaps say, laid onto the picture: for reports, and for `posestream predict --heatmaps`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.bottomup import BottomUpTask
from engine.task import Task
from engine.topdown import TopDownTask
from models import OutputMap
from pipelines.topdown import TopDownBatch
from pose.crop import Floats, invert_affine
from pose.drawing import Picture, tile
from pose.skeletons import Skeleton

Heat = NDArray[np.float32]

_DIMMED = 0.5
_HEAT_COLORS = cv2.COLORMAP_INFERNO
_CAPTION_PX = 22


@dataclass(frozen=True, eq=False)
class LocatedHeatmaps:
    """The heatmaps of one person's crop, or of a whole picture.

    Attributes:
        image_id, instance_id: of whom; the instance is −1 for a detected box and for a whole picture.
        heatmaps: (K, h, w); the peak of a perfect network is 1.
        image_to_heatmap: (2, 3), image px → heatmap px.
    """

    image_id: int
    instance_id: int
    heatmaps: Heat
    image_to_heatmap: Floats


@torch.no_grad()
def located_heatmaps(
    task: Task, model: torch.nn.Module, outputs: tuple[OutputMap, ...], batch: Any
) -> list[LocatedHeatmaps]:
    """The heatmaps that `task.predict` reads keypoints from: after the flip test, over all scales.

    Args:
        model: in evaluation mode.
        batch: of the task's evaluation loader: crops, each valid one giving an entry, or a picture, which gives one.
    """
    if isinstance(task, TopDownTask):
        return _of_crops(task, model, outputs[-1], batch)
    assert isinstance(task, BottomUpTask)
    maps = task.maps(model, outputs, batch)
    to_heatmap = np.diag([1 / maps.input_px] * 2) @ batch.picture.image_to_input
    return [LocatedHeatmaps(batch.picture.image_id, -1, _array(maps.heatmaps / outputs[-1].peak), to_heatmap)]


def _of_crops(
    task: TopDownTask, model: torch.nn.Module, output: OutputMap, batch: TopDownBatch
) -> list[LocatedHeatmaps]:
    heatmaps = task.heatmaps(model, output, batch)
    to_heatmap = np.diag([1 / side for side in task.codec(output).crop_px_per_heatmap_px])
    return [
        LocatedHeatmaps(
            int(batch.image_ids[row]),
            int(batch.instance_ids[row]),
            _array(heatmaps[row] / output.peak),
            to_heatmap @ batch.image_to_crop[row].numpy(),
        )
        for row in np.flatnonzero(batch.valid.numpy()).tolist()
    ]


def _array(heatmaps: Tensor) -> Heat:
    return heatmaps.float().cpu().numpy()


def heatmaps_on_picture(located: Sequence[LocatedHeatmaps], size: tuple[int, int], scale: float = 1.0) -> Heat:
    """(K, height, width) from 0 to 1: the maximum over these persons of one picture; 0 where no map reaches.

    Args:
        located: at least one. size: (height, width) of the picture, image px.
        scale: of the picture that is shown, whose sides are rounded; shown px = scale · (image px + 0.5) − 0.5.
    """
    height, width = (max(1, round(scale * side)) for side in size)
    merged = np.zeros((len(located[0].heatmaps), height, width), dtype=np.float32)
    shown_to_image = np.array([[1 / scale, 0, 0.5 / scale - 0.5], [0, 1 / scale, 0.5 / scale - 0.5], [0, 0, 1]])
    for one in located:
        matrix = invert_affine(one.image_to_heatmap @ shown_to_image)
        left, top, right, bottom = _reach(matrix, one.heatmaps.shape[1:], (height, width))
        if left >= right or top >= bottom:
            continue
        matrix[:, 2] -= (left, top)
        for total, heatmap in zip(merged, one.heatmaps, strict=True):
            warped = cv2.warpAffine(heatmap, matrix, (right - left, bottom - top), flags=cv2.INTER_LINEAR)
            part = total[top:bottom, left:right]
            np.maximum(part, warped, out=part)
    return np.clip(merged, 0, 1)


def _reach(heatmap_to_shown: Floats, map_size: tuple[int, ...], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the part of the shown picture that a map covers."""
    corners = np.array([[x, y, 1] for x in (-1, map_size[1]) for y in (-1, map_size[0])])
    points = corners @ heatmap_to_shown.T
    low = np.clip(np.floor(points.min(axis=0)), 0, size[::-1]).astype(int)
    high = np.clip(np.ceil(points.max(axis=0)) + 1, 0, size[::-1]).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def heatmap_layer(heatmaps: Heat) -> Picture:
    """(H, W, 4), RGBA, to lay over a picture: the hottest of K keypoints (K, H, W) at each px, clear where none is."""
    hottest = heatmaps.max(axis=0)
    alpha = np.round(_share(hottest) * 255).astype(np.uint8)
    return np.concatenate([_colored(hottest), alpha[..., None]], axis=2)


def heatmap_panel(picture: Picture, heatmaps: Heat, skeleton: Skeleton, columns: int = 6) -> Picture:
    """One named tile per keypoint: the picture (H, W, 3), darker and grey, under its heatmap of (K, H, W)."""
    dimmed = picture.mean(axis=2, keepdims=True) * _DIMMED
    tiles = []
    for name, heatmap in zip(skeleton.keypoint_names, heatmaps, strict=True):
        share = _share(heatmap)[..., None]
        mixed = np.round(dimmed * (1 - share) + _colored(heatmap) * share).astype(np.uint8)
        tiles.append(_captioned(mixed, f"{name} {heatmap.max():.2f}"))
    return tile(tiles, min(columns, len(tiles)))


def _share(heatmap: Heat) -> Heat:
    """How much of the picture heat from 0 to 1 hides; faint heat is to be visible too."""
    return np.float32(0.85) * np.sqrt(np.clip(heatmap, 0, 1), dtype=np.float32)


def _colored(heatmap: Heat) -> Picture:
    """Heat from 0 to 1 (H, W) as RGB."""
    levels = np.round((0.3 + 0.7 * np.sqrt(np.clip(heatmap, 0, 1))) * 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(cv2.applyColorMap(levels, _HEAT_COLORS), cv2.COLOR_BGR2RGB), dtype=np.uint8)


def _captioned(picture: Picture, text: str) -> Picture:
    """The picture under a line of text, cut off where it does not fit."""
    line = np.full((_CAPTION_PX, picture.shape[1], 3), 255, dtype=np.uint8)
    cv2.putText(line, text, (3, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (40, 40, 40), 1, cv2.LINE_AA)
    return np.concatenate([line, picture])

"""The loss of bottom-up networks as the papers say it, person by person and pixel by pixel, in numpy."""

import math
from collections.abc import Sequence

import numpy as np

from engine.bottomup_config import TargetConfig
from engine.config import HeatmapConfig
from models import OutputMap
from pipelines.bottomup import BottomUpBatch

Array = np.ndarray


def plain_loss(
    maps: Sequence[Array],
    outputs: Sequence[OutputMap],
    batch: BottomUpBatch,
    config: TargetConfig,
    heatmap: HeatmapConfig,
) -> float:
    """Maps are (B, C, h, w) float64, one for each of the outputs."""
    with_centers = {output.stride for output in outputs if output.kind == "center"}
    total = 0.0
    for predicted, output in zip(maps, outputs, strict=True):
        if output.kind == "offsets":
            loss = config.offset_weight * _offset_loss(predicted, output, batch, config)
        elif output.kind == "tags":
            pull, push = _tag_loss(predicted, output, batch)
            loss = config.pull_weight * pull + config.push_weight * push
        else:
            loss = _heatmap_loss(predicted, output, batch, config, heatmap, with_centers)
        total += output.loss_weight * loss
    return total


def _heatmap_loss(
    predicted: Array,
    output: OutputMap,
    batch: BottomUpBatch,
    config: TargetConfig,
    heatmap: HeatmapConfig,
    with_centers: set[float],
) -> float:
    """This output's share of the mean over the maps of its stride."""
    size, is_center = predicted.shape[2:], output.kind == "center"
    sigma, num_keypoints = heatmap.sigma * output.sigma_scale, batch.keypoints.shape[1]
    keypoints = _keypoint_maps(batch, output.stride, size, sigma, heatmap.encoding)
    centers = _center_maps(batch, output.stride, size, config)
    targets = centers if is_center else keypoints
    background = config.background * (output.background_scale if config.background != 1 else 1)
    channels = 1 if is_center else num_keypoints
    number = num_keypoints + (output.stride in with_centers)
    losses = []
    for image in np.flatnonzero(batch.valid.numpy()):
        common = (keypoints[image] > 0).any(axis=0)
        if with_centers:
            common |= (centers[image] > 0).any(axis=0)
        loss = 0.0
        for channel in range(channels):
            if not is_center and not batch.annotated[image, channel]:
                continue
            for y in range(size[0]):
                for x in range(size[1]):
                    if batch.ignore[image, int(y * output.stride), int(x * output.stride)]:
                        continue
                    if config.ignore_outside and not _is_in_picture(batch, image, x * output.stride, y * output.stride):
                        continue
                    inside = targets[image, channel, y, x] > 0 or is_center
                    if config.common_mask:
                        inside = common[y, x]
                    error = predicted[image, channel, y, x] - targets[image, channel, y, x]
                    loss += (1 if inside else background) * error**2
        losses.append(loss / (number * size[0] * size[1]))
    return sum(losses) / max(len(losses), 1)


def _is_in_picture(batch: BottomUpBatch, image: int, x: float, y: float) -> bool:
    """Whether a place of a crop shows a pixel of the picture."""
    matrix = batch.image_to_crop[image].numpy()
    column, row = np.linalg.solve(matrix[:, :2], np.array([x, y]) - matrix[:, 2])
    height, width = batch.picture_sizes[image].tolist()
    return bool(-0.5 <= column <= width - 0.5 and -0.5 <= row <= height - 0.5)


def _keypoint_maps(batch: BottomUpBatch, stride: float, size: tuple[int, int], sigma: float, encoding: str) -> Array:
    images, num_keypoints = len(batch.valid), batch.keypoints.shape[1]
    maps = np.zeros((images, num_keypoints, *size))
    for person, image in enumerate(batch.person_image.tolist()):
        for keypoint in range(num_keypoints):
            if batch.visibility[person, keypoint] > 0:
                point = batch.keypoints[person, keypoint].double().numpy() / stride
                _draw(maps[image, keypoint], point, sigma, encoding)
    return maps


def _center_maps(batch: BottomUpBatch, stride: float, size: tuple[int, int], config: TargetConfig) -> Array:
    maps = np.zeros((len(batch.valid), 1, *size))
    for person, image in enumerate(batch.person_image.tolist()):
        if _is_large_enough(batch, person, config):
            _draw(maps[image, 0], _center(batch, person) / stride, config.center_sigma, "exact")
    return maps


def _draw(one: Array, point: Array, sigma: float, encoding: str) -> None:
    height, width = one.shape
    (x, y), reach = point, 3 * sigma + 1
    if not (0 <= x < width and 0 <= y < height):
        return
    if encoding == "exact":
        left, top, right, bottom = (
            math.floor(x - reach), math.floor(y - reach), math.ceil(x + reach), math.ceil(y + reach)
        )  # fmt: skip
    else:
        x, y, reach = math.floor(x), math.floor(y), math.floor(reach)
        left, top, right, bottom = x - reach, y - reach, x + reach, y + reach
    for row in range(max(top, 0), min(bottom, height - 1) + 1):
        for column in range(max(left, 0), min(right, width - 1) + 1):
            value = math.exp(-((column - x) ** 2 + (row - y) ** 2) / (2 * sigma**2))
            one[row, column] = max(one[row, column], value)


def _center(batch: BottomUpBatch, person: int) -> Array:
    """The mean of the labelled keypoints, or the box's centre, crop px."""
    labelled = batch.visibility[person].numpy() > 0
    points = batch.keypoints[person].double().numpy()[labelled] if labelled.any() else batch.box_corners[person].numpy()
    return points.astype(np.float64).mean(axis=0)


def _is_large_enough(batch: BottomUpBatch, person: int, config: TargetConfig) -> bool:
    (a, b), (c, d) = batch.image_to_crop[batch.person_image[person], :, :2].numpy()
    return float(batch.areas[person]) / abs(a * d - b * c) >= config.center_min_area


def _offset_loss(predicted: Array, output: OutputMap, batch: BottomUpBatch, config: TargetConfig) -> float:
    """Summed over everywhere that somebody's keypoint is asked for, and divided by how many numbers that are."""
    height, width = predicted.shape[2:]
    total, number = 0.0, 0
    for image in np.flatnonzero(batch.valid.numpy()).tolist():
        persons = np.flatnonzero(batch.person_image.numpy() == image).tolist()
        for y in range(height):
            for x in range(width):
                for keypoint in range(batch.keypoints.shape[1]):
                    person = _owner(batch, persons, (x, y), keypoint, output.stride, (height, width), config)
                    if person is None:
                        continue
                    edges = np.diff(batch.box_corners[person].double().numpy()[:3] / output.stride, axis=0)
                    sides = np.linalg.norm(edges, axis=1)
                    scale = np.hypot(*sides) if config.offset_scale == "diagonal" else math.sqrt(sides.prod())
                    point = batch.keypoints[person, keypoint].double().numpy() / output.stride
                    for axis, place in enumerate((x, y)):
                        error = abs(predicted[image, 2 * keypoint + axis, y, x] - (point[axis] - place))
                        smooth = error**2 * 9 / 2 if error < 1 / 9 else error - 1 / 18
                        total += smooth / max(scale, 1)
                        number += 1
    return total / max(number, 1)


def _owner(
    batch: BottomUpBatch,
    persons: list[int],
    place: tuple[int, int],
    keypoint: int,
    stride: float,
    size: tuple[int, int],
    config: TargetConfig,
) -> int | None:
    """Whose keypoint this place is taught, if anybody's."""
    claims = []
    for person in persons:
        center = _center(batch, person) / stride
        if not (_is_large_enough(batch, person, config) and _inside(center, size)):
            continue
        away = np.array(place) - np.floor(center)
        if not ((away >= -config.center_radius) & (away < config.center_radius)).all():
            continue
        taught = batch.visibility[person, keypoint] > 0 and _inside(batch.keypoints[person, keypoint] / stride, size)
        sides = np.linalg.norm(np.diff(batch.box_corners[person].double().numpy()[:3], axis=0), axis=1)
        if config.overlap == "nearest":
            claims.append((float(away @ away), float(sides.prod()), person, bool(taught)))
        elif taught:
            claims.append((0.0, float(sides.prod()), person, True))
    if not claims:
        return None
    *_, person, taught = min(claims)
    return person if taught else None


def _inside(point: Array, size: tuple[int, int]) -> bool:
    return bool(0 <= point[0] < size[1] and 0 <= point[1] < size[0])


def _tag_loss(predicted: Array, output: OutputMap, batch: BottomUpBatch) -> tuple[float, float]:
    pulls, pushes = [], []
    for image in np.flatnonzero(batch.valid.numpy()).tolist():
        means, spreads = [], []
        for person in np.flatnonzero(batch.person_image.numpy() == image).tolist():
            tags = []
            for keypoint in range(batch.keypoints.shape[1]):
                point = batch.keypoints[person, keypoint].double().numpy() / output.stride
                if batch.visibility[person, keypoint] > 0 and _inside(point, predicted.shape[2:]):
                    tags.append(predicted[image, keypoint, int(point[1]), int(point[0])])
            if tags:
                means.append(np.mean(tags))
                spreads.append(np.mean((tags - means[-1]) ** 2))
        pulls.append(np.mean(spreads) if spreads else 0.0)
        pairs = [math.exp(-((a - b) ** 2)) for i, a in enumerate(means) for j, b in enumerate(means) if i != j]
        pushes.append(sum(pairs) / (2 * len(pairs)) if pairs else 0.0)
    return float(np.mean(pulls or [0.0])), float(np.mean(pushes or [0.0]))

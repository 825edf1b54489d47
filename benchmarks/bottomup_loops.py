"""Bottom-up targets and losses as the public code has them: loops in numpy over pictures, persons and keypoints.

The public code also loops over the pixels of each window; here a window is one operation of numpy, unless asked for.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]


def encode_persons(
    keypoints: Floats,
    shown: Bools,
    person_image: Integers,
    images: int,
    side: int,
    sigma: float,
    pixel_by_pixel: bool = False,
) -> tuple[Floats, Bools]:
    """Heatmaps (B, K, side, side) and keypoint regions of persons (M, K, 2)."""
    maps = np.zeros((images, shown.shape[1], side, side), np.float32)
    regions = np.zeros(maps.shape, bool)
    for m in range(len(keypoints)):
        for k in range(shown.shape[1]):
            x, y = float(keypoints[m, k, 0]), float(keypoints[m, k, 1])
            if not shown[m, k] or x < 0 or y < 0 or x >= side or y >= side:
                continue
            columns, rows = (
                np.arange(max(0, math.floor(at - 3 * sigma - 1)), min(side, math.ceil(at + 3 * sigma + 2)))
                for at in (x, y)
            )
            if pixel_by_pixel:
                patch = np.zeros((len(rows), len(columns)))
                for i, j in np.ndindex(patch.shape):
                    patch[i, j] = np.exp(-((columns[j] - x) ** 2 + (rows[i] - y) ** 2) / (2 * sigma**2))
            else:
                patch = np.exp(-((columns - x) ** 2 + (rows[:, None] - y) ** 2) / (2 * sigma**2))
            window = (person_image[m], k, slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
            maps[window] = np.maximum(maps[window], patch)
            regions[window] = True
    return maps, regions


def tradeoff(predicted: Floats, target: Floats, regions: Bools, ignore: Bools, background: float) -> float:
    """Picture by picture."""
    losses = [
        (((predicted[b] - target[b]) ** 2) * np.where(regions[b], 1.0, background) * ~ignore[b]).mean()
        for b in range(len(predicted))
    ]
    return float(np.mean(losses))


def tradeoff_gradient(
    predicted: Floats, target: Floats, regions: Bools, ignore: Bools, background: float
) -> tuple[float, Floats]:
    """The same, and its gradient by the prediction."""
    gradient = np.empty_like(predicted)
    losses = []
    for b in range(len(predicted)):
        difference = predicted[b] - target[b]
        weighted = difference * (np.where(regions[b], np.float32(1), np.float32(background)) * ~ignore[b])
        losses.append((difference * weighted).mean())
        gradient[b] = weighted * (2 / predicted.size)
    return float(np.mean(losses)), gradient


def encode_offsets(
    keypoints: Floats,
    labelled: Bools,
    centers: Floats,
    areas: NDArray[np.float64],
    person_image: Integers,
    images: int,
    side: int,
) -> tuple[Floats, Floats]:
    """Offsets and weights (B, 2K, side, side): the smaller person wins, keypoint by keypoint."""
    number = labelled.shape[1]
    offsets, weights = np.zeros((2, images, 2 * number, side, side), np.float32)
    smallest = np.full((images, number, side, side), np.inf)
    for m in range(len(keypoints)):
        center_x, center_y = int(centers[m, 0]), int(centers[m, 1])
        columns, rows = (np.arange(max(0, at - 4), min(side, at + 4)) for at in (center_x, center_y))
        for k in range(number):
            x, y = keypoints[m, k]
            if not labelled[m, k] or x < 0 or y < 0 or x >= side or y >= side:
                continue
            where = (person_image[m], slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
            wins = areas[m] < smallest[where[0], k, where[1], where[2]]
            smallest[where[0], k, where[1], where[2]][wins] = areas[m]
            for channel, values in ((2 * k, x - columns[None, :]), (2 * k + 1, y - rows[:, None])):
                window = (where[0], channel, where[1], where[2])
                offsets[window][wins] = np.broadcast_to(values, wins.shape)[wins]
                weights[window][wins] = 1 / math.sqrt(areas[m])
    return offsets, weights


def offset_loss(predicted: Floats, offsets: Floats, weights: Floats) -> float:
    size = np.abs(predicted - offsets)
    losses = np.where(size < 1 / 9, 4.5 * size**2, size - 1 / 18) * weights
    return float(losses.sum() / max(1, np.count_nonzero(weights > 0)))


def offset_gradient(predicted: Floats, offsets: Floats, weights: Floats) -> tuple[float, Floats]:
    """The same, and its gradient by the prediction."""
    difference = predicted - offsets
    size, number = np.abs(difference), max(1, np.count_nonzero(weights > 0))
    losses = np.where(size < 1 / 9, 4.5 * size**2, size - 1 / 18) * weights
    gradient = np.clip(9 * difference, -1, 1) * weights / number
    return float(losses.sum() / number), gradient


def tag_loss(tags: Floats, keypoints: Floats, shown: Bools, person_image: Integers) -> tuple[float, float]:
    """Pull and push."""
    pulls, pushes, side = [], [], tags.shape[2]
    for image in range(len(tags)):
        means, spreads = [], []
        for m in np.flatnonzero(person_image == image):
            found = []
            for k in range(shown.shape[1]):
                x, y = keypoints[m, k]
                if shown[m, k] and 0 <= x < side and 0 <= y < side:
                    found.append(tags[image, k, int(y), int(x)])
            if found:
                means.append(np.mean(found))
                spreads.append(np.mean((np.array(found) - means[-1]) ** 2))
        n = len(means)
        near = np.exp(-(np.subtract.outer(means, means) ** 2)).sum() - n
        pulls.append(np.sum(spreads) / max(1, n))
        pushes.append(0.5 * near / max(1, n * (n - 1)))
    return float(np.mean(pulls)), float(np.mean(pushes))

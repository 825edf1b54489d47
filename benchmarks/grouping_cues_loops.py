"""Cue grouping as public code does it: peaks by torch, everything after them pose by pose and keypoint by keypoint."""

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import OptimizeWarning, curve_fit
from torch import Tensor

Floats = NDArray[np.floating]


def peaks(maps: Tensor, window: int, count: int, threshold: float) -> list[list[tuple[int, int, float]]]:
    """Of each map (h, w): x, y and value of its highest peaks."""
    highest = F.max_pool2d(maps[None], window, 1, window // 2)[0]
    values, places = (maps * (maps == highest)).flatten(1).topk(count)
    width = maps.shape[2]
    found = []
    for value_row, place_row in zip(values.tolist(), places.tolist(), strict=True):
        pairs = zip(value_row, place_row, strict=True)
        found.append([(place % width, place // width, value) for value, place in pairs if value > threshold])
    return found


def cues(center: Tensor, poses: Tensor, stride: float) -> tuple[Floats, Floats]:
    """Keypoints (N, K, 2), input px, and centre scores (N,), without duplicates; center (h, w), poses (2K, h, w)."""
    window = 3 if sum(center.shape) / 2 <= 200 else 5 if sum(center.shape) / 2 <= 300 else 7
    found = peaks(center[None], window, 30, 0.01)[0]
    keypoints = [stride * poses[:, y, x].numpy().reshape(-1, 2) for x, y, _ in found]
    scores = [score for _, _, score in found]
    kept: list[int] = []
    gone: set[int] = set()
    for i in range(len(keypoints)):
        if i in gone:
            continue
        alike = [
            j
            for j in range(len(keypoints))
            if j == i or (np.sqrt(((keypoints[i] - keypoints[j]) ** 2).sum(1)) < 10).sum() > 10
        ]
        best = max(alike, key=lambda j: scores[j])
        if best not in gone:
            kept.append(best)
            gone.update(alike)
    shape = (len(kept), poses.shape[0] // 2, 2)
    return np.array([keypoints[i] for i in kept]).reshape(shape), np.array([scores[i] for i in kept])


def absorb(keypoints: Floats, heatmaps: Tensor) -> tuple[Floats, Floats]:
    """Keypoints (N, K, 2) and heat (N, K)."""
    candidates = peaks(heatmaps, 5, 30, 0.01)
    maps = heatmaps.numpy()
    moved, heat = keypoints.copy(), np.zeros(keypoints.shape[:2])
    for n in range(keypoints.shape[0]):
        for k in range(keypoints.shape[1]):
            x, y = keypoints[n, k]
            distances = [np.hypot(x - a, y - b) for a, b, _ in candidates[k]]
            nearest = int(np.argmin(distances)) if distances else -1
            if distances and distances[nearest] < 75:
                moved[n, k] = candidates[k][nearest][:2]
                heat[n, k] = candidates[k][nearest][2]
            else:
                heat[n, k] = _bilinear(maps[k], x, y)
    return moved, heat


def refine(keypoints: Floats, heat: Floats, center_scores: Floats, heatmaps: Tensor) -> tuple[Floats, Floats]:
    """Keypoints (N, K, 2) and heat (N, K) after a fit by scipy around each pixel that was not fitted before."""
    maps = heatmaps.numpy()
    height, width = maps.shape[1:]
    keypoints, heat = keypoints.copy(), heat.copy()
    for k in range(keypoints.shape[1]):
        known: dict[tuple[int, int], tuple[float, float, float] | None] = {}
        for n in range(keypoints.shape[0]):
            x, y = (int(np.floor(value + 0.5)) for value in keypoints[n, k])
            if heat[n, k] * center_scores[n] <= 0.05 or not (0 < x < width - 1 and 0 < y < height - 1):
                continue
            if (x, y) not in known:
                known[x, y] = _fit(maps[k], x, y)
            if (fitted := known[x, y]) is not None:
                heat[n, k], keypoints[n, k] = fitted[0], fitted[1:]
    return keypoints, heat


def _gaussian(at: Floats, height: float, x: float, y: float, sigma: float) -> Floats:
    return height * np.exp(-((at[0] - x) ** 2 + (at[1] - y) ** 2) / (2 * sigma**2))


def _fit(heatmap: Floats, x: int, y: int) -> tuple[float, float, float] | None:
    """Height, x and y, or None where there is no fit in the window."""
    rows = np.arange(max(0, y - 6), min(heatmap.shape[0], y + 7))
    columns = np.arange(max(0, x - 6), min(heatmap.shape[1], x + 7))
    at_y, at_x = np.meshgrid(rows, columns, indexing="ij")
    window = heatmap[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    try:
        found, _ = curve_fit(
            _gaussian, np.stack([at_x.ravel(), at_y.ravel()]), window.ravel(), (heatmap[y, x], x, y, 2.0), maxfev=300
        )
    except (RuntimeError, OptimizeWarning):
        return None
    if max(abs(found[1] - x), abs(found[2] - y)) > 6:
        return None
    return float(found[0]), float(found[1]), float(found[2])


def _bilinear(heatmap: Floats, x: float, y: float) -> float:
    height, width = heatmap.shape
    x, y = min(max(x, 0), width - 1), min(max(y, 0), height - 1)
    left, top = int(x), int(y)
    right, bottom = min(left + 1, width - 1), min(top + 1, height - 1)
    u, v = x - left, y - top
    upper = heatmap[top, left] * (1 - u) + heatmap[top, right] * u
    return float(upper * (1 - v) + (heatmap[bottom, left] * (1 - u) + heatmap[bottom, right] * u) * v)

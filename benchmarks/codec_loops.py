"""Targets, loss and decoding as the public code has them: loops in numpy over instances and keypoints."""

import cv2
import numpy as np
from numpy.typing import NDArray

from pose.heatmap_offsets import Decoding, blur_kernel_size

Floats = NDArray[np.float32]


def encode(keypoints: Floats, size: tuple[int, int], stride: float, sigma: float) -> Floats:
    """Keypoints (B, K, 2), crop px → heatmaps (B, K, height, width), a Gaussian cut at ±3 sigma on each."""
    (height, width), radius = size, int(3 * sigma)
    maps = np.zeros((*keypoints.shape[:2], height, width), np.float32)
    for n in range(len(keypoints)):
        for k in range(keypoints.shape[1]):
            x, y = int(keypoints[n, k, 0] / stride + 0.5), int(keypoints[n, k, 1] / stride + 0.5)
            steps = np.arange(2 * radius + 1, dtype=np.float32) - radius
            patch = np.exp(-(steps**2 + steps[:, None] ** 2) / (2 * sigma**2))
            left, right = max(0, x - radius), min(width, x + radius + 1)
            top, bottom = max(0, y - radius), min(height, y + radius + 1)
            seen = patch[top - y + radius : bottom - y + radius, left - x + radius : right - x + radius]
            maps[n, k, top:bottom, left:right] = seen
    return maps


def loss(predicted: Floats, target: Floats, weights: Floats) -> float:
    """JointsMSE, keypoint by keypoint."""
    total, num_keypoints = 0.0, predicted.shape[1]
    for k in range(num_keypoints):
        weight = weights[:, k, None, None]
        total += 0.5 * float(((predicted[:, k] * weight - target[:, k] * weight) ** 2).mean())
    return total / num_keypoints


def loss_and_gradient(predicted: Floats, target: Floats, weights: Floats) -> tuple[float, Floats]:
    """The same, and its gradient by the prediction."""
    total, num_keypoints = 0.0, predicted.shape[1]
    gradient = np.empty_like(predicted)
    for k in range(num_keypoints):
        weight = weights[:, k, None, None]
        difference = predicted[:, k] * weight - target[:, k] * weight
        total += 0.5 * float((difference**2).mean())
        gradient[:, k] = difference * weight / (difference.size * num_keypoints)
    return total / num_keypoints, gradient


def decode(maps: Floats, stride: float, sigma: float, decoding: Decoding) -> NDArray[np.float64]:
    """Heatmaps → keypoints (B, K, 2), crop px."""
    found = np.zeros((*maps.shape[:2], 2))
    for n in range(maps.shape[0]):
        for k in range(maps.shape[1]):
            found[n, k] = _decode_quarter(maps[n, k]) if decoding == "quarter" else _decode_dark(maps[n, k], sigma)
    return found * stride


def _decode_quarter(one: Floats) -> NDArray[np.float64]:
    y, x = np.unravel_index(one.argmax(), one.shape)
    if not (1 < x < one.shape[1] - 1 and 1 < y < one.shape[0] - 1):
        return np.array([x, y], float)
    return np.array([x, y]) + 0.25 * np.sign([one[y, x + 1] - one[y, x - 1], one[y + 1, x] - one[y - 1, x]])


def _decode_dark(one: Floats, sigma: float) -> NDArray[np.float64]:
    y, x = np.unravel_index(one.argmax(), one.shape)
    if not (1 < x < one.shape[1] - 2 and 1 < y < one.shape[0] - 2):
        return np.array([x, y], float)
    size = blur_kernel_size(sigma)
    blurred = cv2.GaussianBlur(one, (size, size), 0, borderType=cv2.BORDER_CONSTANT)
    d = np.log(np.maximum(blurred * one.max() / blurred.max(), 1e-10))
    gradient = 0.5 * np.array([d[y, x + 1] - d[y, x - 1], d[y + 1, x] - d[y - 1, x]])
    dxx = 0.25 * (d[y, x + 2] - 2 * d[y, x] + d[y, x - 2])
    dyy = 0.25 * (d[y + 2, x] - 2 * d[y, x] + d[y - 2, x])
    dxy = 0.25 * (d[y + 1, x + 1] - d[y - 1, x + 1] - d[y + 1, x - 1] + d[y - 1, x - 1])
    return np.array([x, y]) - np.linalg.solve([[dxx, dxy], [dxy, dyy]], gradient)

"""Encoding + loss, and decoding, against straightforward numpy loops, in one run.

    python -m benchmarks.codec          # prints and stores benchmarks/results/codec.json

64 instances, 17 keypoints, 64x48 maps, on the CPU with all cores. The loops go instance by instance and keypoint by
keypoint, as the public code does; OpenCV blurs in the DARK loop.
"""

import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import torch

from models.losses import joints_mse
from pose.heatmaps import Decoding, HeatmapCodec

INSTANCES, KEYPOINTS, CROP, MAPS, SIGMA = 64, 17, (256, 192), (64, 48), 2
ROUNDS = 9


def encode_and_loss_loop(keypoints: np.ndarray, predicted: np.ndarray) -> float:
    height, width, radius = *MAPS, SIGMA * 3
    targets = np.zeros_like(predicted)
    for n in range(len(keypoints)):
        for k in range(KEYPOINTS):
            x, y = int(keypoints[n, k, 0] / 4 + 0.5), int(keypoints[n, k, 1] / 4 + 0.5)
            steps = np.arange(2 * radius + 1, dtype=np.float32) - radius
            patch = np.exp(-(steps**2 + steps[:, None] ** 2) / (2 * SIGMA**2))
            left, right, top, bottom = max(0, x - radius), min(width, x + radius + 1), max(0, y - radius), 0
            bottom = min(height, y + radius + 1)
            targets[n, k, top:bottom, left:right] = patch[
                top - y + radius : bottom - y + radius, left - x + radius : right - x + radius
            ]
    loss = 0.0
    for k in range(KEYPOINTS):
        loss += 0.5 * float(((predicted[:, k] - targets[:, k]) ** 2).mean())
    return loss / KEYPOINTS


def decode_loop(maps: np.ndarray, decoding: Decoding) -> np.ndarray:
    found = np.zeros((*maps.shape[:2], 2))
    for n in range(maps.shape[0]):
        for k in range(maps.shape[1]):
            y, x = np.unravel_index(maps[n, k].argmax(), MAPS)
            if not (1 < x < MAPS[1] - 2 and 1 < y < MAPS[0] - 2):
                found[n, k] = x, y
            elif decoding == "quarter":
                one = maps[n, k]
                step = np.array([one[y, x + 1] - one[y, x - 1], one[y + 1, x] - one[y - 1, x]])
                found[n, k] = np.array([x, y]) + 0.25 * np.sign(step)
            else:
                blurred = cv2.GaussianBlur(maps[n, k], (11, 11), 0, borderType=cv2.BORDER_CONSTANT)
                d = np.log(np.maximum(blurred * maps[n, k].max() / blurred.max(), 1e-10))
                gradient = 0.5 * np.array([d[y, x + 1] - d[y, x - 1], d[y + 1, x] - d[y - 1, x]])
                dxx = 0.25 * (d[y, x + 2] - 2 * d[y, x] + d[y, x - 2])
                dyy = 0.25 * (d[y + 2, x] - 2 * d[y, x] + d[y - 2, x])
                dxy = 0.25 * (d[y + 1, x + 1] - d[y - 1, x + 1] - d[y + 1, x - 1] + d[y - 1, x - 1])
                found[n, k] = np.array([x, y]) - np.linalg.solve([[dxx, dxy], [dxy, dyy]], gradient)
    return found * 4


def _seconds(work: Callable[[], object]) -> float:
    work()
    times = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    generator = np.random.default_rng(0)
    keypoints = generator.uniform((20, 20), (CROP[1] - 20, CROP[0] - 20), (INSTANCES, KEYPOINTS, 2)).astype(np.float32)
    points, weights = torch.from_numpy(keypoints), torch.ones(INSTANCES, KEYPOINTS)
    valid = torch.ones(INSTANCES, dtype=torch.bool)
    codec = HeatmapCodec(CROP, MAPS, SIGMA)
    maps = HeatmapCodec(CROP, MAPS, SIGMA, encoding="exact").encode(points, weights)[0]
    work: dict[str, tuple[Callable[[], object], Callable[[], object]]] = {
        "encode + loss": (
            lambda: encode_and_loss_loop(keypoints, maps.numpy()),
            lambda: joints_mse(maps, *codec.encode(points, weights), valid),
        ),
    }
    for decoding in ("quarter", "dark"):
        ours = HeatmapCodec(CROP, MAPS, SIGMA, decoding=decoding)
        np.testing.assert_allclose(ours.decode(maps)[0].numpy(), decode_loop(maps.numpy(), decoding), atol=1e-2)
        work[f"decode {decoding}"] = (
            lambda decoding=decoding: decode_loop(maps.numpy(), decoding),  # type: ignore[misc]
            lambda ours=ours: ours.decode(maps),  # type: ignore[misc]
        )
    seconds = {name: (_seconds(loop), _seconds(vectorised)) for name, (loop, vectorised) in work.items()}
    result = {
        "ratio_to_loops": {name: round(loop / ours, 1) for name, (loop, ours) in seconds.items()},
        "ms": {name: [round(1000 * value, 2) for value in pair] for name, pair in seconds.items()},
        "command": "python -m benchmarks.codec",
        "machine": {
            "cpu": torch.cpu.get_capabilities().get("cpu_name"),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "versions": {name: version(name) for name in ("torch", "numpy", "opencv-python-headless")},
    }
    out = Path(__file__).parent / "results" / "codec.json"
    out.parent.mkdir(exist_ok=True)
    out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

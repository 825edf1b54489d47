"""The classical dataset, as in the public HRNet code: one picture file, one warp, one set of heatmaps per person."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

CROP, STRIDE, SIGMA = (256, 192), 4, 2


def one_thread(worker: int) -> None:
    """For DataLoader workers: OpenCV's own threads in each of them would only get in each other's way."""
    cv2.setNumThreads(0)


@dataclass
class ClassicalDataset(torch.utils.data.Dataset):
    """One instance at a time, from its picture file, with OpenCV and numpy."""

    paths: list[str]
    center: NDArray[np.float64]
    extent: NDArray[np.float64]
    keypoints: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        picture = cv2.imread(self.paths[index], cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        assert picture is not None
        picture = cv2.cvtColor(picture, cv2.COLOR_BGR2RGB)
        keypoints, center = self.keypoints[index].copy(), self.center[index].copy()
        scale = np.clip(np.random.randn() * 0.35 + 1, 0.65, 1.35)  # noqa: NPY002 - as the public code
        rotation = np.clip(np.random.randn() * 45, -90, 90) if np.random.rand() < 0.6 else 0  # noqa: NPY002
        if np.random.rand() < 0.5:  # noqa: NPY002
            picture = picture[:, ::-1]
            keypoints[:, 0] = picture.shape[1] - 1 - keypoints[:, 0]
            center[0] = picture.shape[1] - 1 - center[0]
        matrix = cv2.getRotationMatrix2D(center.tolist(), rotation, CROP[1] / (self.extent[index, 1] * scale))
        matrix[:, 2] += np.array([CROP[1] / 2, CROP[0] / 2]) - center
        crop = cv2.warpAffine(picture, matrix, (CROP[1], CROP[0]), flags=cv2.INTER_LINEAR)
        for k in range(len(keypoints)):
            if keypoints[k, 2] > 0:
                keypoints[k, :2] = matrix @ np.array([keypoints[k, 0], keypoints[k, 1], 1.0])
        heatmaps, weights = _heatmaps(keypoints)
        pixels = torch.from_numpy(np.ascontiguousarray(crop.transpose(2, 0, 1))).float().div(255)
        pixels = (pixels - torch.tensor([0.485, 0.456, 0.406])[:, None, None]) / torch.tensor([0.229, 0.224, 0.225])[
            :, None, None
        ]
        return pixels, torch.from_numpy(heatmaps), torch.from_numpy(weights)


def _heatmaps(keypoints: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Targets keypoint by keypoint: a Gaussian patch, copied where it overlaps the map."""
    height, width, radius = CROP[0] // STRIDE, CROP[1] // STRIDE, SIGMA * 3
    heatmaps = np.zeros((len(keypoints), height, width), dtype=np.float32)
    weights = (keypoints[:, 2] > 0).astype(np.float32)
    for k in range(len(keypoints)):
        x, y = int(keypoints[k, 0] / STRIDE + 0.5), int(keypoints[k, 1] / STRIDE + 0.5)
        left, top, right, bottom = x - radius, y - radius, x + radius + 1, y + radius + 1
        if left >= width or top >= height or right < 0 or bottom < 0:
            weights[k] = 0
            continue
        steps = np.arange(2 * radius + 1, dtype=np.float32)
        patch = np.exp(-((steps - radius) ** 2 + (steps[:, None] - radius) ** 2) / (2 * SIGMA**2))
        patch_x, patch_y = (max(0, -left), min(right, width) - left), (max(0, -top), min(bottom, height) - top)
        if weights[k] > 0.5:
            map_x, map_y = (max(0, left), min(right, width)), (max(0, top), min(bottom, height))
            heatmaps[k, map_y[0] : map_y[1], map_x[0] : map_x[1]] = patch[
                patch_y[0] : patch_y[1], patch_x[0] : patch_x[1]
            ]
    return heatmaps, weights

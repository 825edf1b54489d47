"""What is known about a rendered photograph: the image, its persons and its crowd regions."""

from dataclasses import dataclass

import numpy as np

from pose.skeletons import Skeleton

Array = np.ndarray


@dataclass(frozen=True)
class SyntheticPerson:
    """One rendered person. Integer keypoint coordinates are pixel centres.

    keypoints: every name of the three skeletons -> (x, y, visibility), image px; visibility 2 seen, 1 inside the
    picture but covered, 0 (with x = y = 0) outside the picture.
    mask (H, W) bool: the pixels that show this person; `area` counts them. box_xywh is their tight box as COCO counts
    it (left edge of the first pixel = its index, width = number of columns).
    full_box_xywh: the whole body, covered parts and parts outside the picture included, same convention.
    head_box_xyxy: the skull without hair, covered or not, pixel-centre coordinates; its diagonal normalises PCKh.
    height_px: longer side of full_box_xywh. yaw: 0 faces the camera, 90 the left edge of the picture, degrees.
    """

    keypoints: dict[str, tuple[float, float, int]]
    mask: Array
    area: int
    box_xywh: tuple[int, int, int, int]
    full_box_xywh: tuple[float, float, float, float]
    head_box_xyxy: tuple[float, float, float, float]
    height_px: float
    yaw: float
    pose_name: str

    def keypoints_of(self, skeleton: Skeleton) -> Array:
        """(K, 3) in the skeleton's order: x, y (image px), visibility."""
        return np.array([self.keypoints[name] for name in skeleton.keypoint_names], float)

    @property
    def centre_xy(self) -> tuple[float, float]:
        """Middle of the whole body's box, image px."""
        x, y, width, height = self.full_box_xywh
        return x + width / 2, y + height / 2


@dataclass(frozen=True)
class CrowdRegion:
    """People too small and too many to annotate one by one. mask (H, W) bool, box_xywh as in SyntheticPerson."""

    mask: Array
    area: int
    box_xywh: tuple[int, int, int, int]


@dataclass(frozen=True)
class Scene:
    """image (H, W, 3) uint8 RGB before JPEG; persons nearest first."""

    image: Array
    persons: tuple[SyntheticPerson, ...]
    crowds: tuple[CrowdRegion, ...]
    jpeg_quality: int


def mask_box_xywh(mask: Array) -> tuple[int, int, int, int]:
    """Tight box around the set pixels of a mask (H, W) that has some."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)

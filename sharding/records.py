"""What every raw format is read into: images with their instances, and what had to be refused."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose.errors import UserError
from pose.skeletons import Skeleton


class AnnotationError(UserError, ValueError):
    """An annotation file that cannot be read at all. The message names the file, what is wrong and what is expected."""


@dataclass(frozen=True)
class InstanceRecord:
    """One annotated person. Coordinates are 0-based image px; integer = pixel centre.

    `keypoints` (K, 3) are x, y, visibility 0/1/2. `center`, `scale` and `head_size` (0.6 x the head box's diagonal, px)
    exist in MPII only, `area` (px²) in COCO only. A box without width or height is kept; nothing trains on it.
    """

    instance_id: int
    box_xywh: tuple[float, float, float, float]
    keypoints: NDArray[np.float64]
    num_keypoints: int
    area: float | None = None
    iscrowd: int = 0
    center: tuple[float, float] | None = None
    scale: float | None = None
    head_size: float | None = None


@dataclass(frozen=True)
class CrowdRegion:
    """A mask of persons without keypoints: a COCO crowd, or one person whose keypoints nobody annotated.

    `counts` is COCO's compressed run-length code of a (height, width) mask.
    """

    instance_id: int
    iscrowd: int
    height: int
    width: int
    counts: str


@dataclass(frozen=True)
class ImageRecord:
    """One picture. `width` and `height` are what the annotation says, None where it says nothing."""

    image_id: int
    file_name: str
    width: int | None = None
    height: int | None = None
    crowd_index: float | None = None
    instances: list[InstanceRecord] = field(default_factory=list)
    crowd_regions: list[CrowdRegion] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The picture's name in the tar: unique, and safe whatever dots, spaces or folders the file name has."""
        return f"{self.image_id:012d}"


@dataclass(frozen=True)
class Rejection:
    """Something that conversion left out. `kind` is "image" or "annotation"; `id` is the source's own, if any."""

    kind: str
    file: str
    id: Any
    reason: str


@dataclass(frozen=True)
class Category:
    """What a split annotates: the number and the name that it has in the source's own layout."""

    id: int
    name: str


PERSON = Category(1, "person")


@dataclass(frozen=True)
class RawDataset:
    """A raw split in memory: everything but the pixels, in the order of the source."""

    dataset: str
    skeleton: Skeleton
    annotations: Path
    annotations_sha256: str
    images: list[ImageRecord]
    rejections: list[Rejection]
    notes: list[str] = field(default_factory=list)
    category: Category = PERSON

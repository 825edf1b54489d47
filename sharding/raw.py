"""Raw dataset names → readers."""

from collections.abc import Callable
from pathlib import Path

from pose.skeletons import Skeleton
from sharding.coco import read_coco
from sharding.crowdpose import read_crowdpose
from sharding.mpii import read_mpii
from sharding.records import AnnotationError, RawDataset

_READERS: dict[str, Callable[[Path, str], RawDataset]] = {
    "coco": lambda annotations, split: read_coco(annotations),
    "mpii": read_mpii,
    "crowdpose": lambda annotations, split: read_crowdpose(annotations),
}
DATASETS = tuple(_READERS)


def read_raw(
    dataset: str, annotations: Path, split: str, skeleton: Skeleton | None = None, category: str | None = None
) -> RawDataset:
    """Read a raw annotation file; `skeleton` and `category` are for the layout coco, see `sharding.coco`.

    Raises:
        KeyError: an unknown dataset. AnnotationError: an unusable file, or a skeleton or category for another layout.
    """
    if dataset not in _READERS:
        raise KeyError(f"unknown dataset {dataset!r}; known: {', '.join(DATASETS)}")
    if skeleton is None and category is None:
        return _READERS[dataset](annotations, split)
    if dataset != "coco":
        raise AnnotationError(f"{dataset} has keypoints of its own; --skeleton and --category are for coco")
    return read_coco(annotations, skeleton, category)

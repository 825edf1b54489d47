"""Raw dataset names → readers."""

from pathlib import Path

from sharding.coco import read_coco
from sharding.crowdpose import read_crowdpose
from sharding.mpii import read_mpii
from sharding.records import RawDataset

_READERS = {
    "coco": lambda annotations, split: read_coco(annotations),
    "mpii": read_mpii,
    "crowdpose": lambda annotations, split: read_crowdpose(annotations),
}
DATASETS = tuple(_READERS)


def read_raw(dataset: str, annotations: Path, split: str) -> RawDataset:
    """Read a raw annotation file. Raises KeyError for an unknown dataset, AnnotationError for an unusable file."""
    if dataset not in _READERS:
        raise KeyError(f"unknown dataset {dataset!r}; known: {', '.join(DATASETS)}")
    return _READERS[dataset](annotations, split)

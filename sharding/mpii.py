"""MPII in the layout that the field trains on: train.json / valid.json, with head boxes from gt_valid.mat.

Coordinates in these files are 1-based; records are 0-based. Instance ids are the rows of the file, image ids number the
pictures in the order in which they appear.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose.skeletons import MPII_16
from sharding.annotation_values import file_name, number, numbers, read_annotation_file
from sharding.matlab import read_matlab
from sharding.mpii_person import HEAD_SIZE_PER_DIAGONAL, mpii_instance
from sharding.mpii_release import read_mpii_release
from sharding.records import AnnotationError, ImageRecord, InstanceRecord, RawDataset, Rejection

_GROUND_TRUTH = "MPII's ground-truth file for PCKh"


def read_mpii(annotations: Path, split: str = "train") -> RawDataset:
    """Read MPII from the official release file (.mat) or from a train.json / valid.json.

    A `gt_valid.mat` beside a JSON file gives the head sizes if it describes the same persons.

    Args:
        annotations: the .mat or .json file.
        split: only for the release file, which holds everything: a name with "test" in it takes the test pictures.
    Raises:
        AnnotationError: the file as a whole is unusable.
    """
    if annotations.suffix == ".mat":
        return read_mpii_release(annotations, test="test" in split)
    content, digest = read_annotation_file(annotations)
    if not isinstance(content, list):
        raise AnnotationError(f"{annotations} must be a list of {{image, joints, joints_vis, center, scale}} objects")
    head_sizes, notes = _head_sizes(annotations, content)
    images: dict[str, ImageRecord] = {}
    rejections: list[Rejection] = []
    for row_number, row in enumerate(content):
        try:
            instance = _instance(row_number, row, head_sizes)
            name = file_name(row.get("image"))
        except ValueError as error:
            source = row.get("image") if isinstance(row, dict) else None
            rejections.append(Rejection("annotation", str(source or annotations.name), row_number, str(error)))
        else:
            images.setdefault(name, ImageRecord(len(images), name)).instances.append(instance)
    return RawDataset("mpii", MPII_16, annotations, digest, list(images.values()), rejections, notes)


def _instance(row_number: int, row: Any, head_sizes: NDArray[np.float64] | None) -> InstanceRecord:
    if not isinstance(row, dict):
        raise ValueError(f"a person must be an object, got {row!r}")
    center = numbers(row.get("center"), 2, "center") - 1
    scale = number(row.get("scale"), "scale")
    keypoints = np.zeros((MPII_16.num_keypoints, 3))
    if "joints" in row:
        keypoints = _keypoints(row)
    head_size = None if head_sizes is None or not np.isfinite(head_sizes[row_number]) else head_sizes[row_number]
    return mpii_instance(row_number, keypoints, center, scale, None if head_size is None else float(head_size))


def _keypoints(row: dict[str, Any]) -> NDArray[np.float64]:
    """(16, 3), 0-based. The layout does not say which labelled keypoints are hidden, so they all count as visible."""
    joints, labelled = row["joints"], row.get("joints_vis")
    if not isinstance(joints, list) or len(joints) != MPII_16.num_keypoints:
        raise ValueError("joints must be 16 pairs of numbers")
    positions = np.stack([numbers(joint, 2, "joints") for joint in joints]) - 1
    flags = numbers(labelled, MPII_16.num_keypoints, "joints_vis") > 0
    return np.concatenate([positions, np.full((len(positions), 1), 2.0)], axis=1) * flags[:, None]


def _head_sizes(annotations: Path, content: list[Any]) -> tuple[NDArray[np.float64] | None, list[str]]:
    """Head sizes (N,) from the gt_valid.mat beside the file, if its persons are this file's."""
    path = annotations.with_name("gt_valid.mat")
    if not path.exists():
        return None, [f"no {path.name} beside {annotations.name}: PCKh will take the neck–head-top segment"]
    truth = read_matlab(path, _GROUND_TRUTH)
    for name, shape in {"headboxes_src": (2, 2), "pos_gt_src": (16, 2), "jnt_missing": (16,)}.items():
        values = truth.get(name)
        if not isinstance(values, np.ndarray) or values.shape[:-1] != shape or values.dtype.kind not in "buif":
            raise AnnotationError(f"{path} is not {_GROUND_TRUTH}: {name} must hold {shape} numbers per person")
    boxes, positions, missing = truth["headboxes_src"], truth["pos_gt_src"], truth["jnt_missing"]
    persons = {values.shape[-1] for values in (boxes, positions, missing)}
    if persons != {len(content)} or not _same_persons(content, positions, missing):
        return None, [
            f"{path.name} describes other persons than {annotations.name}: PCKh will take the neck–head-top segment"
        ]
    return HEAD_SIZE_PER_DIAGONAL * np.linalg.norm(boxes[1] - boxes[0], axis=0), [f"head sizes from {path.name}"]


def _same_persons(content: list[Any], positions: NDArray[np.float64], missing: NDArray[np.float64]) -> bool:
    """Whether the labelled keypoints of every readable row agree to 1 px."""
    for person, row in enumerate(content):
        try:
            joints = np.array(row["joints"], dtype=np.float64).reshape(16, 2)
        except (TypeError, ValueError, KeyError, OverflowError):
            continue  # it is refused for its own reasons
        labelled = missing[:, person] == 0
        if np.nanmax(np.abs(joints - positions[:, :, person])[labelled], initial=0) > 1:
            return False
    return True

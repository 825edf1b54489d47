"""CrowdPose: COCO's structure with 14 keypoints and a crowding index per image, without areas and masks."""

from pathlib import Path
from typing import Any

import numpy as np

from pose.skeletons import CROWDPOSE_14
from sharding.synthetic.annotators import annotated_persons, flat_keypoints, labelled_keypoints
from sharding.synthetic.coco_layout import coco_document
from sharding.synthetic.files import write_json
from sharding.synthetic.truth import Scene, SyntheticPerson

Array = np.ndarray
Row = dict[str, Any]

_FIRST_IMAGE_ID = 100001
_BODY = [row for row, name in enumerate(CROWDPOSE_14.keypoint_names) if name not in ("head", "neck")]


def image_name(index: int) -> str:
    return f"{_FIRST_IMAGE_ID + index:06d}.jpg"


def annotate(scene: Scene, index: int) -> Row:
    height, width = scene.image.shape[:2]
    rows = [_person_row(person, (height, width)) for person in annotated_persons(scene)]
    rows = [row for row in rows if row["num_keypoints"] > 0]
    image_id = _FIRST_IMAGE_ID + index
    keypoints = np.array([row["keypoints"] for row in rows], float).reshape(-1, 14, 3)
    boxes = np.array([row["bbox"] for row in rows], float).reshape(-1, 4)
    image = {
        "id": image_id,
        "file_name": image_name(index),
        "height": height,
        "width": width,
        "crowdIndex": round(crowd_index(keypoints, boxes), 4),
    }
    return {"image": image, "annotations": [{"image_id": image_id, "category_id": 1, **row} for row in rows]}


def write_annotations(annotated: list[Row], folder: Path, seed: int) -> Path:
    path = folder / "crowdpose.json"
    write_json(path, coco_document(annotated, CROWDPOSE_14, f"synthetic persons in CrowdPose's layout, seed {seed}"))
    return path


def _person_row(person: SyntheticPerson, size: tuple[int, int]) -> Row:
    """CrowdPose's boxes hold the whole person, covered parts included; num_keypoints leaves out head and neck."""
    keypoints = labelled_keypoints(person, CROWDPOSE_14)
    x, y, width, height = person.full_box_xywh
    x0, y0 = max(x, 0.0), max(y, 0.0)
    x1, y1 = min(x + width, float(size[1])), min(y + height, float(size[0]))
    return {
        "bbox": [round(value, 2) for value in (x0, y0, x1 - x0, y1 - y0)],
        "iscrowd": 0,
        "keypoints": flat_keypoints(keypoints),
        "num_keypoints": int((keypoints[_BODY, 2] > 0).sum()),
    }


def crowd_index(keypoints: Array, boxes_xywh: Array) -> float:
    """Mean over persons of (others' labelled keypoints in the box) / (own ones in it), at most 1.

    keypoints (N, K, 3), image px; boxes_xywh (N, 4), image px. An image without persons has index 0.
    """
    ratios = []
    for person, (x, y, width, height) in enumerate(boxes_xywh):
        inside = (keypoints[:, :, 2] > 0) & (keypoints[:, :, 0] >= x) & (keypoints[:, :, 0] <= x + width)
        inside &= (keypoints[:, :, 1] >= y) & (keypoints[:, :, 1] <= y + height)
        counts = inside.sum(axis=1)
        if counts[person] > 0:
            ratios.append((counts.sum() - counts[person]) / counts[person])
    return min(float(np.mean(ratios)), 1.0) if ratios else 0.0

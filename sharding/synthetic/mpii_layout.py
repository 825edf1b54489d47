"""MPII as the field trains on it: valid.json, one row per person, and gt_valid.mat for PCKh. All 1-based."""

from pathlib import Path
from typing import Any

import numpy as np
import scipy.io

from pose.skeletons import MPII_16
from sharding.synthetic.annotators import annotated_persons, labelled_keypoints
from sharding.synthetic.files import write_json, write_whole
from sharding.synthetic.truth import Scene, SyntheticPerson

Array = np.ndarray
Row = dict[str, Any]

# MPII gives a person's size as height / 200 px.
_SCALE_UNIT_PX = 200.0
_MIN_LABELLED = 8
# Evaluators look keypoints up by these names.
_MAT_NAMES = (
    "rank", "rkne", "rhip", "lhip", "lkne", "lank", "pelv", "thor", "neck", "head", "rwri", "relb", "rsho", "lsho",
    "lelb", "lwri",
)  # fmt: skip


def image_name(index: int) -> str:
    return f"{index + 1:09d}.jpg"


def annotate(scene: Scene, index: int) -> Row | None:
    """Rows of the persons with enough labelled keypoints; None where there are none, as MPII has no such image."""
    rows = [_person_row(person, image_name(index)) for person in annotated_persons(scene)]
    kept = [row for row in rows if sum(row["valid"]["joints_vis"]) >= _MIN_LABELLED]
    return {"persons": kept} if kept else None


def _person_row(person: SyntheticPerson, name: str) -> Row:
    keypoints = labelled_keypoints(person, MPII_16)
    labelled = keypoints[:, 2] > 0
    joints = np.where(labelled[:, None], keypoints[:, :2] + 1, -1.0).round(2)
    x0, y0, x1, y1 = (round(value + 1, 2) for value in person.head_box_xyxy)
    valid = {
        "image": name,
        "joints": joints.tolist(),
        "joints_vis": labelled.astype(int).tolist(),
        "center": [round(value + 1, 2) for value in person.centre_xy],
        "scale": round(person.height_px / _SCALE_UNIT_PX, 4),
    }
    return {"valid": valid, "head_box": [[x0, y0], [x1, y1]]}


def write_annotations(annotated: list[Row], folder: Path, seed: int) -> Path:
    """gt_valid.mat first: valid.json is what marks the data set complete."""
    persons = [person for image in annotated for person in image["persons"]]
    write_whole(folder / "gt_valid.mat", lambda temporary: _write_mat(temporary, persons))
    path = folder / "valid.json"
    write_json(path, [person["valid"] for person in persons])
    return path


def _write_mat(path: Path, persons: list[Row]) -> None:
    joints = np.array([person["valid"]["joints"] for person in persons], float).reshape(-1, 16, 2)
    labelled = np.array([person["valid"]["joints_vis"] for person in persons], float).reshape(-1, 16)
    boxes = np.array([person["head_box"] for person in persons], float).reshape(-1, 2, 2)
    content = {
        "dataset_joints": np.array(_MAT_NAMES, dtype=object)[None],
        "headboxes_src": boxes.transpose(1, 2, 0),
        "jnt_missing": 1 - labelled.T,
        "pos_gt_src": joints.transpose(1, 2, 0),
    }
    with path.open("wb") as stream:  # given a name, savemat would append .mat to it
        scipy.io.savemat(stream, content)

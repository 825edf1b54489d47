"""A data set with keypoints of its own: five of the synthetic people's, under other names, as category 5 "star"."""

import json
from pathlib import Path
from typing import Any

from pose.skeletons import COCO_17
from sharding.synthetic import SyntheticFiles

STAR: dict[str, Any] = {
    "name": "star_5",
    "keypoint_names": ["tip", "fin_a", "fin_b", "tail_a", "tail_b"],
    "limbs": [["tip", "fin_a"], ["tip", "fin_b"], ["fin_a", "tail_a"], ["fin_b", "tail_b"]],
    "oks_sigmas": {"tip": 0.05, "fin_a": 0.08, "fin_b": 0.08, "tail_a": 0.15, "tail_b": 0.15},
    "flip_pairs": [["fin_a", "fin_b"], ["tail_a", "tail_b"]],
}
_SPOTS = [COCO_17.index(name) for name in ("nose", "left_wrist", "right_wrist", "left_ankle", "right_ankle")]


def write_skeleton(folder: Path, **changes: Any) -> Path:
    """The file of STAR with changes; a value of ... removes the key."""
    path = folder / "star.json"
    path.write_text(json.dumps({key: value for key, value in (STAR | changes).items() if value is not ...}))
    return path


def write_stars(files: SyntheticFiles, folder: Path, **category: Any) -> Path:
    """Annotations of synthetic COCO people as stars, and one of an egg, which has no keypoints."""
    content = json.loads(files.annotations.read_text())
    rows = [_star(row) for row in content["annotations"]]
    egg = {key: value for key, value in rows[0].items() if "keypoints" not in key}
    rows.append(egg | {"id": 10_000, "category_id": 7})
    star = {"id": 5, "name": "star", "keypoints": STAR["keypoint_names"]} | category
    path = folder / "stars.json"
    path.write_text(json.dumps(content | {"annotations": rows, "categories": [{"id": 7, "name": "egg"}, star]}))
    return path


def _star(row: dict[str, Any]) -> dict[str, Any]:
    keypoints = [value for k in _SPOTS for value in row["keypoints"][3 * k : 3 * k + 3]]
    labelled = sum(visibility > 0 for visibility in keypoints[2::3])
    return row | {"category_id": 5, "keypoints": keypoints, "num_keypoints": labelled}

"""Evaluation folders as `evaluate` leaves them, of persons whose answers are wrong in known ways."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from evaluation.cases import Case, CasePerson, write_cases
from evaluation.diagnosis import ERROR_TYPES, diagnose
from pose.skeletons import COCO_17

METRICS = {"AP": 0.712, "AP50": 0.903, "AP75": 0.784, "APM": 0.683, "APL": 0.771, "AR": 0.764, "AR50": 0.94,
           "AR75": 0.83, "ARM": 0.72, "ARL": -1.0}  # fmt: skip
TRUTH: dict[str, Any] = {
    "images": [{"id": n, "file_name": f"{n:06d}.jpg", "width": 320, "height": 240} for n in (1, 2, 3)],
    "categories": [{"id": 1, "name": "person", "keypoints": list(COCO_17.keypoint_names)}],
}
_POSE = [[0, -60], [4, -64], [-4, -64], [9, -61], [-9, -61], [18, -40], [-18, -40], [26, -15], [-26, -15], [30, 8],
         [-30, 8], [12, 10], [-12, 10], [14, 45], [-14, 45], [15, 80], [-15, 80]]  # fmt: skip


def persons() -> list[dict[str, Any]]:
    """Annotations: two persons in each picture, 140 px tall."""
    found = []
    for image in TRUTH["images"]:
        for place in ((90, 110), (230, 120)):
            points = [[x + place[0], y + place[1], 2] for x, y in _POSE]
            box = [place[0] - 40.0, place[1] - 75.0, 80.0, 165.0]
            found.append({"id": 100 + len(found), "image_id": image["id"], "category_id": 1, "iscrowd": 0, "bbox": box,
                          "area": 8000.0, "num_keypoints": 17, "keypoints": np.ravel(points).tolist()})  # fmt: skip
    return found


def answers(annotations: Sequence[dict[str, Any]], noise_px: float, seed: int = 0) -> list[dict[str, Any]]:
    """Results: noisy truth, in which every third person has left and right exchanged, and a ghost per picture."""
    random = np.random.default_rng(seed)
    found = []
    for number, annotation in enumerate(annotations):
        points = np.reshape(annotation["keypoints"], (-1, 3)).astype(float)
        points[:, :2] += random.normal(0, noise_px, (len(points), 2))
        points[:, 2] = random.uniform(0.3, 1, len(points)) * (points[:, 2] > 0)
        if number % 3 == 0:
            points[5:] = points[list(COCO_17.flip_indices)][5:]
        found.append(_result(annotation["image_id"], points, 0.9 - 0.01 * number))
    ghost = np.array([[3.0 * k, 2.0 * k, 0.2] for k in range(17)])
    images = sorted({annotation["image_id"] for annotation in annotations})
    return found + [_result(image, ghost, 0.1) for image in images]


def write_evaluation_folder(
    folder: Path, *, truth: dict[str, Any] | None = None, results: Sequence[dict[str, Any]] | None = None,
    ap: float = 0.712, facts: dict[str, str] | None = None, notes: Sequence[str] = (), pictures: Path | None = None,
    recipe: dict[str, Any] | None = None,
) -> Path:  # fmt: skip
    """All files of a COCO evaluation. `pictures`: where those of the truth lie; without it they are made."""
    folder.mkdir(parents=True)
    truth = {**TRUTH, "annotations": persons()} if truth is None else truth
    results = answers(truth["annotations"], 4.0) if results is None else results
    content = {"primary": "AP", "metrics": {**METRICS, "AP": ap}, "notes": list(notes),
               "recipe": "hrnet_w32_coco_256x192", "split": "/data/coco/val2017",
               "dataset digest": "3f2a9c" * 8, **(facts or {})}  # fmt: skip
    _write(folder / "metrics.json", content)
    settings = {"name": "hrnet_w32_coco_256x192", "optim": {"lr": 1e-3, "milestones": [170, 200]}, "bottomup": None}
    _write(folder / "recipe.json", settings if recipe is None else recipe)
    diagnosis = diagnose(truth, results, COCO_17)
    _write(folder / "diagnosis.json", diagnosis.to_json())
    _write(folder / "training.json", training(ap))
    cases = [_case(folder / "cases", number, image, truth, results, diagnosis, pictures)
             for number, image in enumerate(truth["images"])]  # fmt: skip
    write_cases(folder / "cases", cases, COCO_17)
    return folder


def training(ap: float) -> dict[str, Any]:
    """Curves of 20 epochs, and a verdict."""
    steps = range(500, 10_001, 500)
    loss = [[step, 0.02 * math.exp(-step / 2500) + 4e-4] for step in steps]
    score = [[step, ap * (1 - math.exp(-step / 2500))] for step in steps]
    rates = [[step, 240.0 + step / 1000] for step in steps]
    verdict = {"achieved": 242.1, "loader_alone": 251.5, "network_alone": 980.3, "waiting": 0.61, "limit": "loader"}
    curves = {"train/loss": loss, "val/AP": score, "val/AR": score, "train/instances_per_s": rates}
    return {"curves": curves, "verdict": verdict}


def write_mpii_folder(folder: Path, shift: float = 0.0) -> Path:
    """With curves and without a diagnosis, a training and pictures."""
    folder.mkdir(parents=True)
    groups = ("Head", "Shoulder", "Elbow", "Wrist", "Hip", "Knee", "Ankle", "Mean")
    metrics = {f"PCKh@{at}{row}": 90.1 + shift for at in (0.5, 0.1) for row in ("", *(f"/{group}" for group in groups))}
    _write(folder / "metrics.json", {"primary": "PCKh@0.5", "metrics": metrics, "notes": [],
                                     "recipe": "hrnet_w32_mpii_256x256"})  # fmt: skip
    thresholds = [round(0.01 * step, 2) for step in range(51)]
    curves = {
        group: [(96 - 2 * n + shift) * (1 - math.exp(-t * 9)) for t in thresholds] for n, group in enumerate(groups)
    }
    _write(folder / "curves.json", {"kind": "PCKh", "thresholds": thresholds, "groups": curves})
    return folder


def _case(
    folder: Path, number: int, image: dict[str, Any], truth: dict[str, Any], results: Sequence[dict[str, Any]],
    diagnosis: Any, pictures: Path | None,
) -> Case:  # fmt: skip
    matches, values = diagnosis.matches, []
    counts: dict[str, int] = {}
    shown = [
        _person("annotated", annotation["id"], annotation, None, {})
        for annotation in truth["annotations"]
        if annotation["image_id"] == image["id"] and annotation["num_keypoints"]
    ]
    for row, oks, errors in zip(matches.result_rows.tolist(), matches.oks.tolist(), matches.errors, strict=True):
        if results[row]["image_id"] == image["id"]:
            wrong = {k: ERROR_TYPES[error] for k, error in enumerate(errors.tolist()) if error > 0}
            shown.append(_person("predicted", row, results[row], oks, wrong))
            values.append(oks)
            for error in wrong.values():
                counts[error] = counts.get(error, 0) + 1
    for row in matches.background.tolist():
        if results[row]["image_id"] == image["id"]:
            shown.append(_person("background", row, results[row], None, {}))
            counts["background"] = counts.get("background", 0) + 1
    picture, heatmap = _files(folder, number, image, shown, pictures)
    return Case(image["id"], image["file_name"], image["width"], image["height"], picture, heatmap,
                "worst" if number % 2 == 0 else "median", tuple(shown), counts,
                float(np.mean(values)))  # fmt: skip


def _person(kind: str, number: int, entry: dict[str, Any], oks: float | None, errors: dict[int, str]) -> CasePerson:
    points = tuple((x, y, third) for x, y, third in np.reshape(entry["keypoints"], (-1, 3)).tolist())
    box = tuple(entry["bbox"]) if "bbox" in entry else None
    return CasePerson(kind, number, entry.get("score"), box, points, oks, errors)  # type: ignore[arg-type]


def _files(
    folder: Path, number: int, image: dict[str, Any], shown: Sequence[CasePerson], pictures: Path | None
) -> tuple[str, str]:
    """A JPEG of the picture, and heat where something was predicted."""
    folder.mkdir(exist_ok=True)
    size = (image["height"], image["width"])
    if pictures is None:
        content = np.full((*size, 3), 40 + 30 * number, np.uint8)
    else:
        content = cv2.imread(str(pictures / image["file_name"]))  # type: ignore[assignment]
    cv2.imwrite(str(folder / f"{number:04d}.jpg"), content)
    heat = np.zeros(size, np.float32)
    for x, y, _ in (point for person in shown if person.kind == "predicted" for point in person.keypoints):
        cv2.circle(heat, (round(x), round(y)), max(size) // 40, 1.0, -1)
    heat = cv2.GaussianBlur(heat, (0, 0), max(size) / 60)
    layer = np.dstack([0 * heat, 120 * heat, 255 * np.ones_like(heat), 200 * heat]).astype(np.uint8)
    cv2.imwrite(str(folder / f"{number:04d}.heatmap.png"), layer)
    return f"{number:04d}.jpg", f"{number:04d}.heatmap.png"


def _result(image_id: int, points: np.ndarray, score: float) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": 1, "keypoints": points.reshape(-1).tolist(), "score": score}


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))

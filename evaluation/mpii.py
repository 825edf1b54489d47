"""MPII: predictions matched to annotated persons, their PCKh, and the files that others read."""

from pathlib import Path
from typing import Any

import numpy as np
from scipy.io import savemat

from evaluation.pckh import head_sizes_or_segment, pckh
from evaluation.predictions import Predictions
from pose.skeletons import MPII_16

MPII_THRESHOLDS = (0.5, 0.1)


def align_to_ground_truth(ground_truth: dict[str, Any], predictions: Predictions) -> np.ndarray:
    """For each annotation in order the row of its prediction -> int64 (annotations,); -1 where there is none.

    Raises ValueError for instance ids that are not annotated, or predicted twice.
    """
    row_of = {instance: row for row, instance in enumerate(predictions.instance_ids.tolist())}
    if len(row_of) < len(predictions):
        ids, counts = np.unique(predictions.instance_ids, return_counts=True)
        raise ValueError(f"MPII takes one prediction per instance; more for instances {ids[counts > 1][:10].tolist()}")
    annotated = [annotation["id"] for annotation in ground_truth["annotations"]]
    unknown = sorted(set(row_of) - set(annotated))
    if unknown:
        raise ValueError(
            f"predictions name {len(unknown)} instances that the ground truth does not hold: {unknown[:10]}"
        )
    return np.array([row_of.get(instance, -1) for instance in annotated], np.int64)


def evaluate_mpii(ground_truth: dict[str, Any], predictions: Predictions) -> tuple[dict[str, float], list[str]]:
    """PCKh at 0.5 and at exactly 0.1 in percent, and notes on what was not by the book.

    Keys: "PCKh@0.5" for the mean and "PCKh@0.5/Head" … "PCKh@0.5/Mean" for the rows, the same at 0.1. Persons
    without a prediction count as wrong in every labelled keypoint. Raises ValueError as `align_to_ground_truth` does.
    """
    truth, labelled, given_sizes = _truth(ground_truth)
    rows = align_to_ground_truth(ground_truth, predictions)
    predicted, _ = _placed(predictions, rows)
    head_sizes, used_segment = head_sizes_or_segment(given_sizes, truth, labelled)
    metrics = {}
    for threshold in MPII_THRESHOLDS:
        score = pckh(predicted, truth, labelled, head_sizes, threshold)
        metrics[f"PCKh@{threshold}"] = score["Mean"]
        metrics |= {f"PCKh@{threshold}/{row}": value for row, value in score.items()}
    return metrics, _notes(rows, head_sizes, used_segment)


def mpii_distances(ground_truth: dict[str, Any], predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """How far off each keypoint is, in head sizes, and which prediction is whose -> (N, 16) and (N,).

    In the order of the annotations; nan where nothing is labelled or no head size is known, inf where nobody was
    predicted. Raises ValueError as `align_to_ground_truth` does.
    """
    truth, labelled, given_sizes = _truth(ground_truth)
    rows = align_to_ground_truth(ground_truth, predictions)
    predicted, _ = _placed(predictions, rows)
    head_sizes, _ = head_sizes_or_segment(given_sizes, truth, labelled)
    distances = np.linalg.norm(predicted - truth, axis=-1) / head_sizes[:, None]
    distances[rows < 0] = np.inf
    return np.where(labelled & ~np.isnan(head_sizes)[:, None], distances, np.nan), rows


def mpii_results(ground_truth: dict[str, Any], predictions: Predictions) -> list[dict[str, Any]]:
    """One dict per predicted person in the order of the annotations, ready for json.dump; joints are 1-based px."""
    file_names = {image["id"]: image["file_name"] for image in ground_truth["images"]}
    rows = align_to_ground_truth(ground_truth, predictions)
    return [
        {
            "image": file_names[annotation["image_id"]],
            "instance_id": annotation["id"],
            "joints": (predictions.keypoints[row] + 1).tolist(),
            "scores": predictions.keypoint_scores[row].tolist(),
        }
        for annotation, row in zip(ground_truth["annotations"], rows.tolist(), strict=True)
        if row >= 0
    ]


def write_pred_mat(path: str | Path, ground_truth: dict[str, Any], predictions: Predictions) -> None:
    """Write `pred.mat`: variable `preds` (annotations, 16, 2), 1-based px, in the order of the annotations.

    The scripts of HRNet, mmpose and pytorch-pose subtract the truth from all of `preds`, so it has room for x and y
    only; the scores lie beside it as `scores` (annotations, 16). Persons without a prediction are nan, which those
    scripts count as wrong.
    """
    keypoints, scores = _placed(predictions, align_to_ground_truth(ground_truth, predictions))
    savemat(path, {"preds": keypoints + 1, "scores": scores})


def _placed(predictions: Predictions, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """keypoints (annotations, 16, 2) and scores (annotations, 16), nan where `rows` says -1."""
    found = rows >= 0
    keypoints = np.full((len(rows), MPII_16.num_keypoints, 2), np.nan)
    scores = np.full((len(rows), MPII_16.num_keypoints), np.nan)
    keypoints[found] = predictions.keypoints[rows[found]]
    scores[found] = predictions.keypoint_scores[rows[found]]
    return keypoints, scores


def _truth(ground_truth: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """truth (N, 16, 2) px, labelled (N, 16) bool, head sizes (N,) px with nan where there is none."""
    annotations = ground_truth["annotations"]
    wrong = [a["id"] for a in annotations if np.size(a["keypoints"]) != 3 * MPII_16.num_keypoints]
    if wrong:
        raise ValueError(f"MPII annotations hold 16 keypoints x 3 numbers; not so in instances {wrong[:10]}")
    keypoints = np.array([a["keypoints"] for a in annotations], np.float64).reshape(-1, MPII_16.num_keypoints, 3)
    sizes = [a.get("head_size") for a in annotations]
    head_sizes = np.array([np.nan if size is None else size for size in sizes], np.float64)
    return keypoints[..., :2], keypoints[..., 2] > 0, head_sizes


def _notes(rows: np.ndarray, head_sizes: np.ndarray, used_segment: np.ndarray) -> list[str]:
    count = len(rows)
    missing, segments, without = int((rows < 0).sum()), int(used_segment.sum()), int(np.isnan(head_sizes).sum())
    notes = []
    if missing:
        notes.append(f"{missing} of {count} persons have no prediction and count as wrong")
    if segments:
        notes.append(
            f"{segments} of {count} persons have no head box; the neck to head-top segment stands in for their head "
            "size, so this is not the official PCKh"
        )
    if without:
        notes.append(f"{without} of {count} persons have neither head box nor segment and are left out")
    return notes

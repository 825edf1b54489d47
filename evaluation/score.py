"""One entry for all benchmarks: predictions and ground truth in, metrics and submission content out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluation.coco import coco_results, evaluate_coco
from evaluation.coco_layout import category_of
from evaluation.crowdpose import evaluate_crowdpose, require_xtcocotools
from evaluation.mpii import evaluate_mpii, mpii_results
from evaluation.oks import oks_nms_per_image
from evaluation.predictions import Predictions
from evaluation.rescoring import instance_scores
from pose.skeletons import COCO_17, CROWDPOSE_14, MPII_16, Skeleton, contrast

GroundTruth = dict[str, Any]
Scores = np.ndarray | None


@dataclass(frozen=True)
class Score:
    """What a benchmark says about a set of predictions.

    `metrics` are in [0, 1] for COCO and CrowdPose (-1: undefined) and in percent for MPII (nan: undefined), as each
    field's own tools give them. `primary` names the headline metric. `results` is the content of a submission's JSON.
    """

    metrics: dict[str, float]
    primary: str
    results: list[dict[str, Any]]
    notes: list[str]

    @property
    def value(self) -> float:
        return self.metrics[self.primary]


def evaluate(
    kind: str,
    ground_truth: dict[str, Any],
    predictions: Predictions,
    nms_threshold: float | None = 0.9,
    scores: np.ndarray | None = None,
    skeleton: Skeleton | None = None,
) -> Score:
    """Score predictions on "coco", "crowdpose" or "mpii"; `ground_truth` is a COCO-layout dict for all three.

    COCO and CrowdPose: persons are ranked by `scores` (N,), by default `instance_scores`, and near-duplicates leave
    by OKS-NMS unless `nms_threshold` is None. MPII uses neither: it has one prediction per annotated person.
    `skeleton` is by default the benchmark's; only "coco" takes another one, with its own sigmas.
    Raises ValueError for an unknown kind, a skeleton that is not the benchmark's, and as its evaluator does.
    """
    if kind not in EVALUATORS:
        raise ValueError(f"unknown kind of evaluation {kind!r}; known: {', '.join(EVALUATORS)}")
    own = _SKELETONS[kind]
    if kind != "coco" and skeleton is not None and skeleton != own:
        raise ValueError(f"{kind} is scored with its own keypoints only, got {contrast(own, skeleton)}")
    _check_skeleton(skeleton or own, predictions)
    return EVALUATORS[kind](ground_truth, predictions, skeleton or own, nms_threshold, scores)


def require_evaluator(kind: str) -> None:
    """Raise MissingToolError if the evaluator of that benchmark cannot be imported, before any work is done for it."""
    if kind == "crowdpose":
        require_xtcocotools()


def _score_coco(
    ground_truth: GroundTruth, predictions: Predictions, skeleton: Skeleton, nms_threshold: float | None, scores: Scores
) -> Score:
    results, notes = _ranked_results(ground_truth, predictions, skeleton, nms_threshold, scores)
    return Score(evaluate_coco(ground_truth, results, skeleton), "AP", results, notes)


def _score_crowdpose(
    ground_truth: GroundTruth, predictions: Predictions, skeleton: Skeleton, nms_threshold: float | None, scores: Scores
) -> Score:
    results, notes = _ranked_results(ground_truth, predictions, skeleton, nms_threshold, scores)
    unknown = sum(image.get("crowdIndex") is None for image in ground_truth["images"])
    if unknown:
        notes.append(f"{unknown} of {len(ground_truth['images'])} images have no crowdIndex and count in no level")
    return Score(evaluate_crowdpose(ground_truth, results), "AP", results, notes)


def _score_mpii(
    ground_truth: GroundTruth, predictions: Predictions, skeleton: Skeleton, nms_threshold: float | None, scores: Scores
) -> Score:
    metrics, notes = evaluate_mpii(ground_truth, predictions)
    return Score(metrics, "PCKh@0.5", mpii_results(ground_truth, predictions), notes)


def _ranked_results(
    ground_truth: GroundTruth, predictions: Predictions, skeleton: Skeleton, nms_threshold: float | None, scores: Scores
) -> tuple[list[dict[str, Any]], list[str]]:
    """Rescored and suppressed predictions in COCO results layout, with a note on how many were suppressed."""
    scores = instance_scores(predictions) if scores is None else np.asarray(scores, np.float64)
    if scores.shape != (len(predictions),):
        raise ValueError(f"scores: expected shape ({len(predictions)},), received {scores.shape}")
    category_id = category_of(ground_truth)["id"]
    if nms_threshold is None:
        return coco_results(predictions, scores, category_id), []
    kept = oks_nms_per_image(predictions, scores, np.array(skeleton.oks_sigmas), nms_threshold)
    suppressed = len(predictions) - len(kept)
    notes = [f"OKS-NMS at {nms_threshold} removed {suppressed} of {len(predictions)} persons"] if suppressed else []
    return coco_results(predictions.select(kept), scores[kept], category_id), notes


def _check_skeleton(skeleton: Skeleton, predictions: Predictions) -> None:
    if predictions.num_keypoints != skeleton.num_keypoints:
        raise ValueError(
            f"{skeleton.name} has {skeleton.num_keypoints} keypoints, the predictions have {predictions.num_keypoints}"
        )


EVALUATORS: dict[str, Callable[[GroundTruth, Predictions, Skeleton, float | None, Scores], Score]] = {
    "coco": _score_coco,
    "mpii": _score_mpii,
    "crowdpose": _score_crowdpose,
}
_SKELETONS = {"coco": COCO_17, "mpii": MPII_16, "crowdpose": CROWDPOSE_14}

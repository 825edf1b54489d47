"""COCO keypoint results and their official score by pycocotools."""

import io
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import Any

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from evaluation.coco_layout import PERSON, copy_ground_truth, copy_results
from evaluation.predictions import Predictions
from pose.skeletons import COCO_17, Skeleton

COCO_METRICS = ("AP", "AP50", "AP75", "APM", "APL", "AR", "AR50", "AR75", "ARM", "ARL")


def coco_results(predictions: Predictions, scores: np.ndarray, category_id: int = PERSON) -> list[dict[str, Any]]:
    """Predictions in the COCO keypoint results layout, ready for json.dump. `scores` (N,) ranks the persons.

    Coordinates stay 0-based px of the whole image, as in the annotations; each keypoint is x, y, score.
    """
    flat = np.concatenate([predictions.keypoints, predictions.keypoint_scores[..., None]], axis=-1)
    flat = flat.reshape(len(predictions), 3 * predictions.num_keypoints)
    rows = zip(predictions.image_ids.tolist(), flat.tolist(), scores.tolist(), strict=True)
    return [
        {"image_id": image_id, "category_id": category_id, "keypoints": keypoints, "score": score}
        for image_id, keypoints, score in rows
    ]


def evaluate_coco(
    ground_truth: dict[str, Any], results: Sequence[dict[str, Any]], skeleton: Skeleton = COCO_17
) -> dict[str, float]:
    """The ten COCO keypoint metrics by pycocotools, in [0, 1]; -1 where no annotated person qualifies.

    OKS uses the skeleton's sigmas. Neither dictionary is changed. No results give zeros. Raises ValueError as
    `copy_ground_truth` and `copy_results` do.
    """
    annotation_keys = ("bbox", "area", "iscrowd", "num_keypoints")
    truth = copy_ground_truth(ground_truth, skeleton.num_keypoints, annotation_keys)
    detections = copy_results(results, truth, skeleton.num_keypoints)
    with redirect_stdout(io.StringIO()):
        indexed = _indexed(truth)
        # loadRes adds the area and box that the evaluator reads, but fails on an empty list.
        loaded = indexed.loadRes(detections) if detections else _indexed({**truth, "annotations": []})
        evaluator = COCOeval(indexed, loaded, "keypoints")
        if skeleton.oks_sigmas != COCO_17.oks_sigmas:  # the tool's own differ from ours in the last bit
            evaluator.params.kpt_oks_sigmas = np.array(skeleton.oks_sigmas)
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return dict(zip(COCO_METRICS, map(float, evaluator.stats), strict=True))


def _indexed(dataset: dict[str, Any]) -> COCO:
    coco = COCO()
    coco.dataset = dataset
    coco.createIndex()
    return coco

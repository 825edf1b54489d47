"""Object keypoint similarity between predictions, and the suppression of near-duplicates by it."""

import numpy as np

from evaluation.predictions import Predictions


def pairwise_oks(
    keypoints_a: np.ndarray, areas_a: np.ndarray, keypoints_b: np.ndarray, areas_b: np.ndarray, oks_sigmas: np.ndarray
) -> np.ndarray:
    """OKS of every prediction of a with every one of b -> (N, M).

    keypoints_a (N, K, 2) and keypoints_b (M, K, 2) in the same px, areas (N,) and (M,) in px², oks_sigmas (K,).
    As in HRNet's test code: the area is the mean of both, and every keypoint counts whatever its score.
    Between a prediction and an annotation the official evaluators do this themselves.
    """
    squared = ((keypoints_a[:, None] - keypoints_b[None]) ** 2).sum(axis=-1)
    variances = (2 * np.asarray(oks_sigmas, np.float64)) ** 2
    areas = (areas_a[:, None] + areas_b[None]) / 2 + np.spacing(1)
    return np.exp(-squared / variances / areas[..., None] / 2).mean(axis=-1)


def oks_with_annotated(
    keypoints: np.ndarray, annotated: np.ndarray, areas: np.ndarray, oks_sigmas: np.ndarray
) -> np.ndarray:
    """OKS of every prediction with every annotated person -> (N, G), over the person's labelled keypoints, as COCO's
    evaluator computes it.

    keypoints (N, K, 2) and annotated (G, K, 3) with visibility in the same px, areas (G,) in px², oks_sigmas (K,).
    Everybody annotated must have a labelled keypoint.
    """
    labelled = annotated[:, :, 2] > 0
    squared = ((keypoints[:, None] - annotated[None, :, :, :2]) ** 2).sum(axis=-1)
    variances = (2 * np.asarray(oks_sigmas, np.float64)) ** 2
    similarity = np.exp(-squared / variances / (areas[:, None] + np.spacing(1)) / 2)
    return (similarity * labelled).sum(axis=-1) / labelled.sum(axis=-1)


def oks_nms(
    keypoints: np.ndarray, scores: np.ndarray, areas: np.ndarray, oks_sigmas: np.ndarray, threshold: float = 0.9
) -> np.ndarray:
    """Rows of one image's predictions that survive, best first -> int64 (kept,).

    keypoints (N, K, 2) px, scores (N,), areas (N,) px². Greedy: the best remaining prediction is kept and suppresses
    those whose OKS with it exceeds the threshold. Of equal scores the earlier row goes first.
    """
    similarity = pairwise_oks(keypoints, areas, keypoints, areas, oks_sigmas)
    order = np.argsort(-np.asarray(scores), kind="stable")
    kept = []
    while len(order):
        kept.append(order[0])
        order = order[1:][similarity[order[0], order[1:]] <= threshold]
    return np.array(kept, np.int64)


def oks_nms_per_image(
    predictions: Predictions, scores: np.ndarray, oks_sigmas: np.ndarray, threshold: float = 0.9
) -> np.ndarray:
    """Rows that survive `oks_nms` within their image, ascending -> int64 (kept,). `scores` (N,) ranks them."""
    by_image = np.argsort(predictions.image_ids, kind="stable")
    boundaries = np.flatnonzero(np.diff(predictions.image_ids[by_image])) + 1
    kept = [np.zeros(0, np.int64)]
    for rows in np.split(by_image, boundaries):
        part = predictions.keypoints[rows], scores[rows], predictions.box_areas[rows]
        kept.append(rows[oks_nms(*part, oks_sigmas, threshold)])
    return np.sort(np.concatenate(kept))

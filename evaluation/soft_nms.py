"""Soft-NMS (Bodla et al., ICCV 2017): the more a box overlaps better ones of its image, the less it scores."""

import numpy as np


def soft_nms(
    boxes_xywh: np.ndarray, scores: np.ndarray, image_ids: np.ndarray, sigma: float = 0.5, min_score: float = 0.001
) -> np.ndarray:
    """Decayed scores (N,) float64 of boxes (N, 4), image px; 0 for a box whose score falls below `min_score`.

    Per image the best box left is taken, and the score of every other box left is multiplied by exp(−IoU² / sigma),
    until none is left. Of equal scores the earlier row goes first. A box that is dropped would be taken after all that
    are kept, so it changes nothing for them.

    Args:
        scores: (N,), 0 or more. image_ids: (N,).
    Raises:
        ValueError: sigma not above 0, shapes that do not fit, a box or score that is not finite, a negative score.
    """
    boxes, before = np.asarray(boxes_xywh, np.float64), np.asarray(scores, np.float64)
    _check(boxes, before, np.asarray(image_ids), sigma)
    by_image = np.argsort(image_ids, kind="stable")
    boundaries = np.flatnonzero(np.diff(np.asarray(image_ids)[by_image])) + 1
    after = np.zeros(len(before))
    for rows in np.split(by_image, boundaries):
        decay = np.exp(-(pairwise_iou(boxes[rows]) ** 2) / sigma)
        after[rows] = _decayed(before[rows], decay, min_score)
    return after


def pairwise_iou(boxes_xywh: np.ndarray) -> np.ndarray:
    """Intersection over union (N, N) of boxes (N, 4); 0 with a box that has no area."""
    low, size = boxes_xywh[:, :2], boxes_xywh[:, 2:]
    high = low + size
    sides = np.minimum(high[:, None], high) - np.maximum(low[:, None], low)
    intersection = np.maximum(sides, 0).prod(axis=-1)
    area = size.prod(axis=-1)
    union = area[:, None] + area - intersection
    return np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)


def _decayed(scores: np.ndarray, decay: np.ndarray, min_score: float) -> np.ndarray:
    """Scores (n,) of one image's boxes after every box taken has multiplied the others' by its row of decay (n, n)."""
    left, after = scores.copy(), np.zeros_like(scores)
    for _ in range(len(scores)):
        best = left.argmax()
        if left[best] <= 0 or left[best] < min_score:
            break
        after[best] = left[best]
        left *= decay[best]
        left[best] = -1
    return after


def _check(boxes: np.ndarray, scores: np.ndarray, image_ids: np.ndarray, sigma: float) -> None:
    if not sigma > 0:
        raise ValueError(f"sigma must be above 0, got {sigma!r}")
    if boxes.shape != (len(scores), 4) or scores.shape != image_ids.shape:
        raise ValueError(
            f"expected boxes (N, 4), scores (N,) and image ids (N,), got {boxes.shape}, {scores.shape}, "
            f"{image_ids.shape}"
        )
    bad = np.flatnonzero(~(np.isfinite(boxes).all(axis=1) & np.isfinite(scores) & (scores >= 0)))
    if len(bad):
        row = bad[0]
        raise ValueError(
            f"{len(bad)} of {len(scores)} boxes are not finite or score below 0, the first at row {row} "
            f"(image {image_ids[row]}): box {boxes[row].tolist()}, score {scores[row]}"
        )

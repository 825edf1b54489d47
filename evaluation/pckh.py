"""PCKh: the share of keypoints within a fraction of the head size, for MPII's 16 keypoints."""

import numpy as np

from pose.skeletons import MPII_16

_INDEX = MPII_16.index
_SIDES = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle")
_ROWS = {"Head": (_INDEX("head_top"),)} | {
    side.capitalize(): (_INDEX(f"left_{side}"), _INDEX(f"right_{side}")) for side in _SIDES
}
_LEFT_OUT_OF_MEAN = [_INDEX("pelvis"), _INDEX("thorax")]
PCKH_ROWS = (*_ROWS, "Mean")


def pckh(
    predicted: np.ndarray, truth: np.ndarray, labelled: np.ndarray, head_sizes: np.ndarray, threshold: float
) -> dict[str, float]:
    """Percentages for `PCKH_ROWS`; nan where nothing is labelled.

    predicted (N, 16, 2), truth (N, 16, 2) px; labelled (N, 16) bool; head_sizes (N,) px, nan leaves the person out.
    A head size is 0.6 times the diagonal of the head box. A keypoint is correct if its distance is at most
    threshold x head size; nan predictions are wrong. Limb rows average left and right; Mean weighs every keypoint but
    pelvis and thorax by how often it is labelled, so upper_neck counts there and nowhere else.

    The evaluation that comes with HRNet and its many descendants prints as "@0.1" the entry 11 of the thresholds
    0, 0.01, …, hence PCKh@0.11. Here 0.1 is 0.1, and a little lower than their figure.
    """
    _check_shapes(predicted, truth, labelled, head_sizes)
    counted = labelled & np.isfinite(head_sizes)[:, None]
    distances = np.linalg.norm(predicted - truth, axis=-1)
    correct = (distances <= threshold * head_sizes[:, None]) & counted
    right, total = correct.sum(axis=0), counted.sum(axis=0)
    percent = 100 * np.divide(right, total, out=np.full(total.shape, np.nan), where=total > 0)
    rows = {name: _mean_of_known(percent[list(indices)]) for name, indices in _ROWS.items()}
    in_mean = np.delete(total, _LEFT_OUT_OF_MEAN).sum()
    rows["Mean"] = float(100 * np.delete(right, _LEFT_OUT_OF_MEAN).sum() / in_mean) if in_mean else float("nan")
    return rows


def head_sizes_or_segment(
    head_sizes: np.ndarray, truth: np.ndarray, labelled: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Head sizes (N,) px with the gaps filled, and where the segment was used (N,) bool.

    Where no head box is known (nan, or a size that is not positive), the length from upper_neck to head_top is taken.
    Where one of these is not labelled either, or they coincide, the size stays nan. A score with segments in it is
    not the official one.
    """
    neck, head = _INDEX("upper_neck"), _INDEX("head_top")
    known = np.isfinite(head_sizes) & (head_sizes > 0)
    segment = np.linalg.norm(truth[:, neck] - truth[:, head], axis=-1)
    used_segment = ~known & labelled[:, neck] & labelled[:, head] & (segment > 0)
    return np.where(known, head_sizes, np.where(used_segment, segment, np.nan)), used_segment


def _mean_of_known(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def _check_shapes(predicted: np.ndarray, truth: np.ndarray, labelled: np.ndarray, head_sizes: np.ndarray) -> None:
    count, keypoints = len(head_sizes), MPII_16.num_keypoints
    for name, array, expected in (
        ("predicted", predicted, (count, keypoints, 2)),
        ("truth", truth, (count, keypoints, 2)),
        ("labelled", labelled, (count, keypoints)),
        ("head_sizes", head_sizes, (count,)),
    ):
        if array.shape != expected:
            raise ValueError(f"{name}: expected shape {expected}, received {array.shape}")

"""What a network predicted for N persons: the arrays that every score is computed from."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

_NDIM = {"keypoints": 3, "keypoint_scores": 2}
_INTEGERS = ("image_ids", "instance_ids")


@dataclass(frozen=True, eq=False)
class Predictions:
    """N predicted persons with K keypoints each. Points are in whole-image px, 0-based, integer = pixel centre.

    - image_ids (N,), instance_ids (N,) int64: an instance id is the annotation's, -1 where the box came from a detector
    - keypoints (N, K, 2), keypoint_scores (N, K) float64: positions and heatmap peaks
    - box_scores (N,) float64: the detector's, 1 for annotated boxes
    - box_areas (N,) float64: px² of the enlarged crop box, which OKS-NMS takes as the person's area

    Other number types are converted. Raises ValueError on shapes that do not fit together and on values that are not
    finite: the official evaluators compare a similarity of nan as if it were a match.
    """

    image_ids: np.ndarray
    instance_ids: np.ndarray
    keypoints: np.ndarray
    keypoint_scores: np.ndarray
    box_scores: np.ndarray
    box_areas: np.ndarray

    def __post_init__(self) -> None:
        for field in fields(self):
            object.__setattr__(self, field.name, _converted(field.name, getattr(self, field.name)))
        if self.keypoints.ndim != 3 or self.keypoints.shape[2] != 2:
            raise ValueError(f"keypoints: expected shape (N, K, 2), received {self.keypoints.shape}")
        count, num_keypoints = self.keypoints.shape[:2]
        for field in fields(self):
            expected = (count, num_keypoints, 2)[: _NDIM.get(field.name, 1)]
            received = getattr(self, field.name).shape
            if received != expected:
                raise ValueError(f"{field.name}: expected shape {expected} to fit the keypoints, received {received}")
        self._refuse_non_finite()

    def _refuse_non_finite(self) -> None:
        for field in fields(self):
            values = getattr(self, field.name)
            bad = np.flatnonzero(~np.isfinite(values).all(axis=tuple(range(1, values.ndim))))
            if len(bad):
                first = bad[0]
                raise ValueError(
                    f"{field.name}: {len(bad)} of {len(self)} predictions are not finite, the first at row {first} "
                    f"(image {self.image_ids[first]}, instance {self.instance_ids[first]})"
                )

    def __len__(self) -> int:
        return len(self.image_ids)

    @property
    def num_keypoints(self) -> int:
        return self.keypoints.shape[1]

    def select(self, index: np.ndarray) -> "Predictions":
        """The rows that a boolean mask (N,) or an array of row numbers names, in its order."""
        return Predictions(**{field.name: getattr(self, field.name)[index] for field in fields(self)})

    @staticmethod
    def empty(num_keypoints: int) -> "Predictions":
        """No predictions of a skeleton with that many keypoints."""
        ids, values = np.zeros(0, np.int64), np.zeros(0)
        return Predictions(ids, ids, np.zeros((0, num_keypoints, 2)), np.zeros((0, num_keypoints)), values, values)

    @staticmethod
    def concatenate(parts: Sequence["Predictions"]) -> "Predictions":
        """All parts in one, in order. Raises ValueError for no parts, or parts with different numbers of keypoints."""
        if not parts:
            raise ValueError("nothing to concatenate: expected at least one part; Predictions.empty(K) holds none")
        sizes = sorted({part.num_keypoints for part in parts})
        if len(sizes) > 1:
            raise ValueError(f"parts must agree on the number of keypoints, received {sizes}")
        names = [field.name for field in fields(Predictions)]
        return Predictions(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def _converted(name: str, values: Any) -> np.ndarray:
    """As int64 or float64. Raises ValueError where a conversion to int64 would round."""
    array = np.asarray(values)
    if name not in _INTEGERS:
        return array.astype(np.float64, copy=False)
    if array.size and array.dtype.kind not in "iu":
        raise ValueError(f"{name}: expected integers, received {array.dtype}")
    return array.astype(np.int64, copy=False)

"""How well a network did on each picture, and on whom: what the worst and the median cases are chosen by."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from evaluation.cases import CasePerson
from evaluation.diagnosis import ERROR_TYPES, Diagnosis
from evaluation.mpii import mpii_distances
from evaluation.predictions import Predictions

_CORRECT = 0.5  # head sizes
_SHOWN_UNMATCHED = 5  # in a picture; a bottom-up network may see twenty ghosts


@dataclass
class JudgedPicture:
    """`value`: mean OKS of its annotated persons, missed ones with 0; for MPII the share of correct keypoints.

    `counts`: how often each type of error occurs, with "missed" and "background" persons.
    """

    value: float = 1.0
    counts: dict[str, int] = field(default_factory=dict)
    persons: list[CasePerson] = field(default_factory=list)


def judge_by_diagnosis(
    truth: dict[str, Any], results: Sequence[dict[str, Any]], diagnosis: Diagnosis
) -> dict[int, JudgedPicture]:
    """The pictures with annotated persons who count, by image id."""
    matches, annotations = diagnosis.matches, truth["annotations"]
    similarity: dict[int, list[float]] = defaultdict(list)
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    persons: dict[int, list[CasePerson]] = defaultdict(list)
    for row, annotation, oks, errors in zip(
        matches.result_rows.tolist(),
        matches.annotation_rows.tolist(),
        matches.oks.tolist(),
        matches.errors,
        strict=True,
    ):
        image, wrong = annotations[annotation]["image_id"], _wrong(errors)
        similarity[image].append(oks)
        counts[image].update(wrong.values())
        persons[image].append(_predicted(results[row], row, "predicted", oks, wrong))
        persons[image].append(_annotated(annotations[annotation], "annotated"))
    for annotation in matches.missed.tolist():
        image = annotations[annotation]["image_id"]
        similarity[image].append(0.0)
        counts[image]["missed"] += 1
        persons[image].append(_annotated(annotations[annotation], "missed"))
    for kind, rows in (("background", matches.background), ("duplicate", matches.duplicates)):
        for row in sorted(rows.tolist(), key=lambda row: -results[row]["score"]):
            image = results[row]["image_id"]
            counts[image][kind] += 1
            if counts[image][kind] <= _SHOWN_UNMATCHED:
                persons[image].append(_predicted(results[row], row, kind, None, {}))
    return {
        image: JudgedPicture(float(np.mean(values)), dict(counts[image]), persons[image])
        for image, values in similarity.items()
    }


def judge_by_distance(truth: dict[str, Any], predictions: Predictions) -> dict[int, JudgedPicture]:
    """MPII's pictures with labelled persons whose head size is known, by image id."""
    distances, rows = mpii_distances(truth, predictions)
    judged: dict[int, JudgedPicture] = {}
    shares: dict[int, list[float]] = defaultdict(list)
    for annotation, row, own in zip(truth["annotations"], rows.tolist(), distances, strict=True):
        known = ~np.isnan(own)
        if not known.any():
            continue
        image = annotation["image_id"]
        picture = judged.setdefault(image, JudgedPicture())
        correct = own[known] <= _CORRECT
        shares[image].append(float(correct.mean()))
        picture.value = float(np.mean(shares[image]))
        picture.counts["wrong"] = picture.counts.get("wrong", 0) + int((~correct).sum())
        picture.persons.append(_annotated(annotation, "annotated" if row >= 0 else "missed"))
        if row >= 0:
            flat = np.concatenate([predictions.keypoints[row], predictions.keypoint_scores[row, :, None]], axis=1)
            result = {"keypoints": flat.reshape(-1).tolist(), "score": float(predictions.keypoint_scores[row].mean())}
            wrong = {int(k): "miss" for k in np.flatnonzero(known & (own > _CORRECT))}
            picture.persons.append(_predicted(result, row, "predicted", None, wrong))
    return judged


def _wrong(errors: np.ndarray) -> dict[int, str]:
    """Error types (K,) → the wrong keypoints' names of them."""
    return {k: ERROR_TYPES[number] for k, number in enumerate(errors.tolist()) if number > 0}


def _predicted(result: dict[str, Any], row: int, kind: str, oks: float | None, wrong: dict[int, str]) -> CasePerson:
    return CasePerson(kind, row, result["score"], None, _points(result), oks, wrong)


def _annotated(annotation: dict[str, Any], kind: str) -> CasePerson:
    return CasePerson(kind, annotation["id"], None, tuple(annotation["bbox"]), _points(annotation), None, {})


def _points(entry: dict[str, Any]) -> tuple[tuple[float, float, float], ...]:
    """x, y and score or visibility of each keypoint."""
    return tuple((x, y, third) for x, y, third in np.reshape(entry["keypoints"], (-1, 3)).tolist())

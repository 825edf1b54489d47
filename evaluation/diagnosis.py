"""What a set of results gets wrong, and what each kind of error costs: the analysis of Ronchi & Perona, ICCV 2017."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from evaluation.diagnosis_costs import Cost, costs
from evaluation.diagnosis_errors import ERROR_TYPES
from evaluation.diagnosis_faults import Faults, find_faults
from evaluation.diagnosis_keypoints import KeypointErrors, errors_per_keypoint, overall_errors
from evaluation.diagnosis_scene import Scene, read_scene
from evaluation.diagnosis_sensitivity import Dimension, sensitivity
from evaluation.fast_oks_arrays import MAX_DETECTIONS, image_ids_of
from evaluation.matching import NOBODY
from pose.skeletons import Skeleton

__all__ = ["ERROR_TYPES", "KINDS", "Diagnosis", "KeypointErrors", "Matches", "diagnose"]

KINDS = ("coco", "crowdpose")


@dataclass(frozen=True, eq=False)
class Matches:
    """Who was matched to whom. M detections are matched to an annotated person who counts, at OKS 0.1 or more.

    - result_rows (M,) rows of the results; annotation_rows (M,) rows of the ground truth's annotations; oks (M,)
    - errors (M, K) int8: indices into ERROR_TYPES; -1 where the annotation does not label the keypoint
    - missed: rows of annotated persons who count and whom no detection took
    - background: rows of results with an OKS below 0.1 to everybody; duplicates: rows of results that match nobody
      because a better-scored detection took the person

    Results on ignored annotations, or beyond 20 per image, are in none of them.
    """

    result_rows: np.ndarray
    annotation_rows: np.ndarray
    oks: np.ndarray
    errors: np.ndarray
    missed: np.ndarray
    background: np.ndarray
    duplicates: np.ndarray


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """AP, OKS and shares in [0, 1]; None where undefined."""

    kind: str
    skeleton: str
    ap: float | None
    mean_oks: float | None
    counts: dict[str, int]
    overall: KeypointErrors
    keypoints: list[KeypointErrors]
    costs: list[Cost]
    sensitivity: list[Dimension]
    notes: list[str]
    matches: Matches

    def to_json(self) -> dict[str, Any]:
        """Ready for json.dump, without the matches.

        A cost's `gain` is its AP less the AP of the results, its `step` its cumulative AP less that of the cost before.
        """
        overall = {key: value for key, value in asdict(self.overall).items() if key not in ("name", "ap")}
        return {
            "kind": self.kind,
            "skeleton": self.skeleton,
            "ap": self.ap,
            "mean_oks": self.mean_oks,
            "counts": dict(self.counts),
            "errors": {"overall": overall, "keypoints": [asdict(keypoint) for keypoint in self.keypoints]},
            "costs": self._costs(),
            "sensitivity": [asdict(dimension) for dimension in self.sensitivity],
            "notes": list(self.notes),
        }

    def _costs(self) -> list[dict[str, Any]]:
        entries, before = [], self.ap
        for cost in self.costs:
            differences = {"gain": _difference(cost.ap, self.ap), "step": _difference(cost.cumulative_ap, before)}
            entries.append(asdict(cost) | differences)
            before = cost.cumulative_ap
        return entries


def diagnose(
    ground_truth: dict[str, Any],
    results: Sequence[dict[str, Any]],
    skeleton: Skeleton,
    kind: str = "coco",
    sources: tuple[str, str] = ("ground truth", "results"),
) -> Diagnosis:
    """Match results in COCO layout to annotated persons at OKS 0.1, and say what is wrong and what it costs.

    Matching is the official evaluators': per image, the best-scored 20 detections, best first; annotations that they
    ignore (crowds, no labelled keypoints) are never diagnosed. `kind` "crowdpose" takes 0.53 x box width x height for a
    person's area, and diagnoses by the images' crowdIndex as well. Neither argument is changed.
    Raises BadFileError (a UserError) that names the source, the row and the key of what is not in the layout, and
    ValueError for an unknown kind.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}; known: {', '.join(KINDS)}")
    scene = read_scene(ground_truth, results, skeleton, kind, sources)
    faults = find_faults(scene)
    oks = _own_oks(scene, faults.matched)
    found = faults.matched != NOBODY
    image_ids = image_ids_of(ground_truth, sources[0])
    return Diagnosis(
        kind=kind,
        skeleton=skeleton.name,
        ap=scene.ap(),
        mean_oks=float(oks[found].mean()) if found.any() else None,
        counts=_counts(scene, faults, len(image_ids), len(results)),
        overall=overall_errors(faults),
        keypoints=errors_per_keypoint(scene, faults),
        costs=costs(scene, faults),
        sensitivity=sensitivity(scene, faults, oks, ground_truth, image_ids, kind),
        notes=_notes(scene, len(results)),
        matches=_matches(scene, faults, oks),
    )


def _own_oks(scene: Scene, matched: np.ndarray) -> np.ndarray:
    """OKS (D,) with the matched person; 0 where there is none."""
    own = matched[scene.pairs.detection] == scene.pairs.person
    oks = np.zeros(len(matched))
    oks[scene.pairs.detection[own]] = scene.pairs.oks[own]
    return oks


def _counts(scene: Scene, faults: Faults, images: int, results: int) -> dict[str, int]:
    ignored = int(scene.persons.ignored.sum())
    return {
        "images": images,
        "persons": len(scene.persons) - ignored,
        "ignored": ignored,
        "detections": len(scene.detections),
        "beyond_limit": results - len(scene.detections),
        "matched": int((faults.matched != NOBODY).sum()),
        "on_ignored": int(faults.on_ignored.sum()),
        "duplicates": int(faults.duplicate.sum()),
        "background": int(faults.background.sum()),
        "missed": int(faults.missed.sum()),
    }


def _matches(scene: Scene, faults: Faults, oks: np.ndarray) -> Matches:
    found, rows = np.flatnonzero(faults.matched != NOBODY), scene.detections.rows
    return Matches(
        result_rows=rows[found],
        annotation_rows=scene.persons.rows[faults.matched[found]],
        oks=oks[found],
        errors=faults.errors[found],
        missed=scene.persons.rows[faults.missed],
        background=rows[faults.background],
        duplicates=rows[faults.duplicate],
    )


def _notes(scene: Scene, results: int) -> list[str]:
    notes = [
        "Errors are of labelled keypoints of matched persons (OKS 0.1 or more). A correction puts keypoints where the "
        "truth is, ranks by OKS, removes detections, or leaves missed persons out."
    ]
    left_out = results - len(scene.detections)
    if left_out:
        notes.append(
            f"{left_out} results do not count: at most {MAX_DETECTIONS} per image do, of the category that is scored"
        )
    return notes


def _difference(value: float | None, before: float | None) -> float | None:
    return None if value is None or before is None else value - before

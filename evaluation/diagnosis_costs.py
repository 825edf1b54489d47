"""How much AP each kind of error costs: AP after that kind alone is corrected, and after one kind upon the other."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from evaluation.diagnosis_errors import INVERSION, JITTER, MISS, SWAP
from evaluation.diagnosis_faults import Faults, find_faults
from evaluation.diagnosis_scene import Scene
from evaluation.matching import NOBODY


@dataclass(frozen=True)
class Cost:
    """AP in [0, 1], None where undefined: with this kind of error corrected alone, and together with all before it.

    `changed`: how many keypoints, detections or persons the correction alone touches.
    """

    name: str
    label: str
    changed: int
    ap: float | None
    cumulative_ap: float | None


# A correction takes and gives the scene with its faults, so that the next one can be laid upon it.
Correction = Callable[[Scene, Faults], tuple[Scene, Faults]]


def costs(scene: Scene, faults: Faults) -> list[Cost]:
    """Every kind of error, in the order in which the authors lay the corrections one upon the other.

    Keypoints with that error are put where the truth is. "score": detections are ranked by the OKS they have in the
    assignment to persons that makes its sum highest, the others last. Duplicates are removed. Background is removed
    together with what ignored annotations took, which is wrong at the thresholds that its OKS with them does not reach.
    Persons missed are left out of the ground truth. Upon a new ranking, who is doubled or missed is settled anew.
    """
    found = []
    after = scene, faults
    for name, (label, correct, count) in _CORRECTIONS.items():
        alone, _ = correct(scene, faults)
        after = correct(*after)
        found.append(Cost(name, label, count(faults), alone.ap(), after[0].ap()))
    return found


def _place(error: int) -> Correction:
    def correct(scene: Scene, faults: Faults) -> tuple[Scene, Faults]:
        row, keypoint = np.nonzero(faults.errors == error)
        keypoints = scene.detections.keypoints.copy()
        keypoints[row, keypoint] = scene.persons.keypoints[faults.matched[row], keypoint]
        return scene.with_keypoints(keypoints), faults

    return correct


def _rank(scene: Scene, faults: Faults) -> tuple[Scene, Faults]:
    """The faults are found anew: with other scores, other detections are the duplicates."""
    detections = replace(scene.detections, scores=best_scores(scene))
    order = np.lexsort((detections.rows, -detections.scores, detections.images))  # equal scores as in the file
    ranked = replace(scene, detections=detections.select(order))
    return ranked, find_faults(ranked)


def _remove_duplicates(scene: Scene, faults: Faults) -> tuple[Scene, Faults]:
    return _keep(scene, faults, ~faults.duplicate)


def _remove_background(scene: Scene, faults: Faults) -> tuple[Scene, Faults]:
    return _keep(scene, faults, ~faults.background & ~faults.on_ignored)


def _keep(scene: Scene, faults: Faults, kept: np.ndarray) -> tuple[Scene, Faults]:
    names = ("matched", "errors", "similarity", "duplicate", "background", "on_ignored")
    theirs = {name: getattr(faults, name)[kept] for name in names}
    return replace(scene, detections=scene.detections.select(kept)), replace(faults, **theirs)


def _forget_missed(scene: Scene, faults: Faults) -> tuple[Scene, Faults]:
    kept = np.flatnonzero(~faults.missed)
    position = np.full(len(scene.persons) + 1, NOBODY)
    position[kept] = np.arange(len(kept))
    moved = replace(faults, matched=position[faults.matched], missed=faults.missed[kept])
    return replace(scene, persons=scene.persons.select(kept)), moved


def best_scores(scene: Scene) -> np.ndarray:
    """Scores (D,): the OKS of each detection in the best assignment of its image to persons who count, else -1."""
    scores = np.full(len(scene.detections), -1.0)
    pairs = scene.pairs
    counted = np.flatnonzero(~scene.persons.ignored[pairs.person])
    detection, person, oks = pairs.detection[counted], pairs.person[counted], pairs.oks[counted]
    starts = np.flatnonzero(np.diff(scene.detections.images[detection], prepend=-1))
    for start, end in zip(starts, np.append(starts, len(detection))[1:], strict=True):
        rows = int((person[start:end] == person[start]).sum())
        table = oks[start:end].reshape(rows, -1)
        row, column = linear_sum_assignment(table, maximize=True)
        scores[detection[start:end].reshape(rows, -1)[row, 0]] = table[row, column]
    return scores


def _errors(error: int) -> Callable[[Faults], int]:
    return lambda faults: int((faults.errors == error).sum())


_CORRECTIONS: dict[str, tuple[str, Correction, Callable[[Faults], int]]] = {
    "miss": ("miss", _place(MISS), _errors(MISS)),
    "swap": ("swap", _place(SWAP), _errors(SWAP)),
    "inversion": ("inversion", _place(INVERSION), _errors(INVERSION)),
    "jitter": ("jitter", _place(JITTER), _errors(JITTER)),
    "score": ("scores", _rank, lambda faults: len(faults.matched)),
    "duplicates": ("duplicate detections", _remove_duplicates, lambda faults: int(faults.duplicate.sum())),
    "background": ("background detections", _remove_background, lambda faults: int(faults.background.sum())),
    "missed": ("missed persons", _forget_missed, lambda faults: int(faults.missed.sum())),
}
COSTS = tuple(_CORRECTIONS)

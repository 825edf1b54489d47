"""How a result depends on who is to be found: by size, occlusion and crowding."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from evaluation.diagnosis_errors import ERROR_TYPES
from evaluation.diagnosis_faults import Faults
from evaluation.diagnosis_scene import Scene
from evaluation.fast_oks_arrays import AnnotatedPersons
from evaluation.fast_oks_score import AREA_RANGES, Curves, average_precision, average_recall, crowd_levels
from evaluation.matching import NOBODY

OVERLAP_IOU = 0.1
_IN_ALL = "Detections that match nobody count against every group, as the authors have it."


@dataclass(frozen=True)
class Group:
    """The persons of one group; numbers in [0, 1], None where undefined. `missed` of the persons matched no detection.

    `shares`: of the labelled keypoints of matched persons, per error type.
    """

    group: str
    persons: int
    missed: int
    ap: float | None
    ar: float | None
    mean_oks: float | None
    shares: dict[str, float | None]


@dataclass(frozen=True)
class Dimension:
    name: str
    label: str
    note: str
    groups: list[Group]


def sensitivity(
    scene: Scene, faults: Faults, oks: np.ndarray, ground_truth: dict[str, Any], image_ids: list[Any], kind: str
) -> list[Dimension]:
    """By area, by labelled and visible keypoints, by overlapping boxes; for CrowdPose also by the images' crowdIndex.

    `oks` (D,): of each detection with its person.
    """

    def dimension(name: str, label: str, note: str, values: np.ndarray, steps: list[tuple[str, int, int]]) -> Dimension:
        groups = []
        for group, least, most in steps:
            members = (values >= least) & (values <= most)
            groups.append(_group(group, scene, faults, oks, members, scene.curves(ignored=~members)))
        return Dimension(name, label, note, groups)

    persons = scene.persons
    found = [
        _by_size(scene, faults, oks),
        dimension("labelled", "labelled keypoints", _IN_ALL, persons.labelled.sum(axis=1), _steps(scene, 1)),
        dimension("visible", "visible keypoints", _IN_ALL, (persons.visibility == 2).sum(axis=1), _steps(scene, 0)),
        dimension("overlap", "overlapping boxes", f"Boxes with an IoU above {OVERLAP_IOU}. {_IN_ALL}",
                  overlaps(persons), [("none", 0, 0), ("1-2", 1, 2), ("3+", 3, len(persons))]),
    ]  # fmt: skip
    return [*found, _by_crowd_index(scene, faults, oks, ground_truth, image_ids)] if kind == "crowdpose" else found


def overlaps(persons: AnnotatedPersons) -> np.ndarray:
    """(G,): with how many other annotated boxes of its image a person's box has an IoU above 0.1; crowds leave out."""
    first = np.searchsorted(persons.images, persons.images, side="left")
    counts = np.searchsorted(persons.images, persons.images, side="right") - first
    one = np.repeat(np.arange(len(persons)), counts)
    other = np.arange(len(one)) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    low, size = persons.boxes_xywh[:, :2], persons.boxes_xywh[:, 2:]
    sides = np.minimum((low + size)[one], (low + size)[other]) - np.maximum(low[one], low[other])
    intersection, areas = np.maximum(sides, 0).prod(axis=1), size.prod(axis=1)
    union = areas[one] + areas[other] - intersection
    near = (intersection > OVERLAP_IOU * union) & (one != other) & ~persons.crowd[other]
    return np.bincount(one[near], minlength=len(persons))


def _by_size(scene: Scene, faults: Faults, oks: np.ndarray) -> Dimension:
    groups = []
    for area in ("small", "medium", "large"):
        low, high = AREA_RANGES[area]
        members = (scene.persons.areas >= low) & (scene.persons.areas <= high)
        groups.append(_group(area, scene, faults, oks, members, scene.curves(area=area)))
    note = "small up to 32², medium to 96², large above, px²; AP as the benchmark's own: detections that match nobody "
    return Dimension("size", "area of the person", note + "count in the group of their size.", groups)


def _by_crowd_index(
    scene: Scene, faults: Faults, oks: np.ndarray, ground_truth: dict[str, Any], image_ids: list[Any]
) -> Dimension:
    groups = []
    for level, images in crowd_levels(ground_truth, image_ids).items():
        persons = scene.persons.select(images[scene.persons.images])
        detections = scene.detections.select(images[scene.detections.images])
        alone = replace(scene, persons=persons, detections=detections)
        groups.append(_group(level, scene, faults, oks, images[scene.persons.images], alone.curves()))
    note = "The benchmark's levels by crowdIndex: easy below 0.2, medium below 0.8, hard the rest."
    return Dimension("crowd_index", "crowding of the image", note, groups)


def _group(
    name: str, scene: Scene, faults: Faults, oks: np.ndarray, members: np.ndarray, found: Curves | None
) -> Group:
    members = members & ~scene.persons.ignored
    theirs = (faults.matched != NOBODY) & np.append(members, False)[faults.matched]
    return Group(
        group=name,
        persons=int(members.sum()),
        missed=int((faults.missed & members).sum()),
        ap=average_precision(found),
        ar=average_recall(found),
        mean_oks=float(oks[theirs].mean()) if theirs.any() else None,
        shares=shares(error_counts(faults.errors[theirs])),
    )


def error_counts(errors: np.ndarray) -> dict[str, int]:
    """How many of the errors (any shape) are of each type."""
    return {name: int((errors == number).sum()) for number, name in enumerate(ERROR_TYPES)}


def shares(counts: dict[str, int]) -> dict[str, float | None]:
    total = sum(counts.values())
    return {name: count / total if total else None for name, count in counts.items()}


def _steps(scene: Scene, least: int) -> list[tuple[str, int, int]]:
    """0 if asked for, then 1-5, 6-10, 11-15, … up to the skeleton's number of keypoints."""
    total = scene.skeleton.num_keypoints
    fives = [(low, min(low + 4, total)) for low in range(1, total + 1, 5)]
    steps = [(f"{low}-{high}" if low < high else str(low), low, high) for low, high in fives]
    return steps if least else [("0", 0, 0), *steps]

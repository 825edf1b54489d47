"""Which detection takes which annotated person: the official evaluators' greedy matching, all images at once."""

from dataclasses import dataclass

import numpy as np

from evaluation.fast_oks_arrays import AnnotatedPersons, DetectedPersons
from evaluation.fast_oks_pairs import Pairs

NOBODY = -1
_HIGHEST_THRESHOLD = 1 - 1e-10


@dataclass(frozen=True, eq=False)
class _Images:
    """n images with g annotated persons each: first person (n,), first detection (n,), number of detections (n,)."""

    first_person: np.ndarray
    first_detection: np.ndarray
    counts: np.ndarray
    num_persons: int


def match(
    persons: AnnotatedPersons,
    detections: DetectedPersons,
    pairs: Pairs,
    thresholds: np.ndarray,
    ignored: np.ndarray | None = None,
) -> np.ndarray:
    """The person that each detection takes at each OKS threshold (T,) -> positions (T, D), NOBODY where none.

    Per image, the best-scored detection first takes the most similar person still free among those that count; if none
    of these is similar enough, the most similar ignored one. Of equally similar persons the last is taken. Crowds stay
    free.

    `ignored` (G,) stands in for the persons' own flags.
    """
    ignored = persons.ignored if ignored is None else ignored | persons.ignored
    limits = np.minimum(np.asarray(thresholds, np.float64), _HIGHEST_THRESHOLD)
    taken_by = np.full((len(limits), len(detections)), NOBODY, np.int64)
    first_pair = np.searchsorted(pairs.detection, np.arange(len(detections)))
    for images in _by_number_of_persons(persons, detections):
        columns = np.arange(images.num_persons)
        members = images.first_person[:, None] + columns
        free = np.ones((len(limits), *members.shape), bool)
        for rank in range(images.counts[0]):  # the most detections come first
            here = int(np.searchsorted(-images.counts, -rank))
            numbers = images.first_detection[:here] + rank
            oks = pairs.oks[first_pair[numbers][:, None] + columns]
            choice = _most_similar(oks, free[:, :here] | persons.crowd[members[:here]], ignored[members[:here]], limits)
            level, image = np.nonzero(choice != NOBODY)
            column = choice[level, image]
            free[level, image, column] = False
            taken_by[level, numbers[image]] = members[image, column]
    return taken_by


def _most_similar(oks: np.ndarray, free: np.ndarray, ignored: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Columns (T, n), NOBODY where none fits, of oks (n, g), free (T, n, g), ignored (n, g) and limits (T,)."""
    fits = free & (oks >= limits[:, None, None])
    counted = fits & ~ignored
    wanted = np.where(counted.any(axis=-1, keepdims=True), counted, fits)
    last = oks.shape[-1] - 1
    best = last - np.where(wanted, oks, -1.0)[..., ::-1].argmax(axis=-1)
    return np.where(wanted.any(axis=-1), best, NOBODY)


def _by_number_of_persons(persons: AnnotatedPersons, detections: DetectedPersons) -> list[_Images]:
    """The images that have both, grouped, those with the most detections first."""
    owners, first_detection, counts = np.unique(detections.images, return_index=True, return_counts=True)
    first_person = np.searchsorted(persons.images, owners, side="left")
    num_persons = np.searchsorted(persons.images, owners, side="right") - first_person
    groups = []
    for number in np.unique(num_persons[num_persons > 0]).tolist():
        chosen = np.flatnonzero(num_persons == number)
        chosen = chosen[np.argsort(-counts[chosen], kind="stable")]
        groups.append(_Images(first_person[chosen], first_detection[chosen], counts[chosen], number))
    return groups

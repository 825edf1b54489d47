"""Candidates with tags → persons: associative embedding's grouping (Newell et al., NeurIPS 2017)."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

Floats = NDArray[np.float32]

_PUBLISHED_ORDER = (0, 1, 2, 3, 4, 5, 6, 11, 12, 7, 8, 9, 10, 13, 14, 15, 16)
_TOO_FAR = 1e4
"""The largest tag distance that is told from others; also stands for NaN, which scipy refuses."""
_TIE = 1e-7
"""Small enough that all that breaks ties stays below 1e-4 of a score."""
_MOST_PERSONS = 1000
_OLDER_FIRST = 1e-3 * np.arange(_MOST_PERSONS)


@dataclass(frozen=True)
class TagGrouping:
    """How keypoints are grouped by their tags. The defaults are HigherHRNet's, for COCO and CrowdPose.

    Attributes:
        max_persons: candidates of a keypoint that are looked at, and persons that further keypoints can join; those
            who come later have one keypoint each.
        pool: side, px, of the window in which a candidate is the largest.
        detection_threshold: candidates must exceed it.
        tag_threshold: a keypoint joins a person only if its tag is nearer than this to the mean of theirs.
        distance: between a keypoint's T tags and a person's: "euclidean", or "rms", which is that over √T.
        use_scores: assignment minimises 100 x the rounded distance − the score, else the distance as it is.
        break_ties: rounding leaves many assignments that cost the same, and in the public code the solver's habits
            decide. True takes the one that joins the tags most alike, by quarters of the tag threshold, then the one
            that joins persons found earlier. False leaves it to scipy, whose habits are others.
        stop_when_full: as soon as there are `max_persons`, no further kind of keypoint is grouped at all.
        keypoint_order: kinds of keypoints in the order in which they are grouped; None takes the public code's, COCO's
            order from head to ankles, for other skeletons what of it they have.
        refine: missing keypoints are filled in from the heatmap, see `pose.tag_refinement`.
        adjust: keypoints move 0.25 px towards the larger neighbour.
        shift: px added to every keypoint that `adjust` moves; 0.5 where targets were centred on keypoints rounded down,
            as in the public code, else 0.
    """

    max_persons: int = 30
    pool: int = 5
    detection_threshold: float = 0.1
    tag_threshold: float = 1.0
    distance: Literal["euclidean", "rms"] = "euclidean"
    use_scores: bool = True
    break_ties: bool = True
    stop_when_full: bool = False
    keypoint_order: tuple[int, ...] | None = None
    refine: bool = True
    adjust: bool = True
    shift: float = 0.5

    def __post_init__(self) -> None:
        if not 1 <= self.max_persons <= _MOST_PERSONS:
            raise ValueError(f"max_persons must be 1 to {_MOST_PERSONS}, got {self.max_persons}")
        if not self.tag_threshold > 0:
            raise ValueError(f"tag_threshold must be above 0, got {self.tag_threshold}")
        if self.distance not in ("euclidean", "rms"):
            raise ValueError(f"distance is 'euclidean' or 'rms', got {self.distance!r}")

    def order(self, num_keypoints: int) -> tuple[int, ...]:
        """Kinds of keypoints, each once, in the order in which they are grouped."""
        every = range(num_keypoints)
        if self.keypoint_order is None:
            return (*(k for k in _PUBLISHED_ORDER if k in every), *every[len(_PUBLISHED_ORDER) :])
        if sorted(self.keypoint_order) != list(every):
            raise ValueError(f"keypoint_order must name each of 0 to {num_keypoints - 1} once: {self.keypoint_order}")
        return self.keypoint_order


HIGHER_HRNET = TagGrouping()
AE_HOURGLASS = TagGrouping(pool=3, distance="rms", stop_when_full=True)


@dataclass(frozen=True)
class GroupedPersons:
    """P persons in one picture, in the order in which they were found.

    Attributes:
        positions: (P, K, 2), heatmap px; (0, 0) where the keypoint is missing.
        scores: (P, K), heatmap values; 0 where the keypoint is missing.
        tags: (P, K, T); 0 where the keypoint is missing.
        person_scores: (P,), mean over all K of the scores of what was grouped: keypoints filled in later do not count.
    """

    positions: Floats
    scores: Floats
    tags: Floats
    person_scores: Floats


def group_by_tags(
    positions: NDArray[np.integer] | Floats, scores: Floats, tags: Floats, settings: TagGrouping = HIGHER_HRNET
) -> GroupedPersons:
    """Persons from the candidates of one picture.

    The first kind of keypoint makes a person of each candidate. Candidates of each further kind are assigned to the
    persons there are, by the Hungarian method; those who end too far from theirs, or get none, are new persons.

    The public code keeps persons in a dictionary by their first tag, so that two persons with the very same number
    overwrite each other. Here they stay two. It also pads the costs with columns of 1e10, in which scores are lost to
    rounding; the rectangular assignment is the same without that.

    Args:
        positions: (K, N, 2), heatmap px.
        scores: (K, N); candidates at or below the detection threshold are left out.
        tags: (K, N, T).
    """
    owner, num_persons = _owners(scores, tags, settings)
    kind, candidate = np.nonzero(owner >= 0)
    person = owner[kind, candidate]
    num_keypoints, dimensions = len(scores), tags.shape[2]
    grouped = np.zeros((num_persons, num_keypoints, 3 + dimensions), np.float32)
    grouped[person, kind, :2] = positions[kind, candidate]
    grouped[person, kind, 2] = scores[kind, candidate]
    grouped[person, kind, 3:] = tags[kind, candidate]
    return GroupedPersons(grouped[..., :2], grouped[..., 2], grouped[..., 3:], grouped[..., 2].mean(1))


def _owners(scores: Floats, tags: Floats, settings: TagGrouping) -> tuple[NDArray[np.int64], int]:
    """Each candidate's person (K, N), −1 for those left out, and how many persons there are."""
    owner = np.full(scores.shape, -1)
    along = tags.transpose(2, 0, 1).astype(np.float64)  # (T, K, N): adding up along the first axis is fastest
    sums, counts = np.zeros((len(along), scores.size)), np.zeros(scores.size)
    num_persons = 0
    for kind in settings.order(len(scores)):
        listed = (scores[kind] > settings.detection_threshold).nonzero()[0]
        if not len(listed) or (settings.stop_when_full and num_persons >= settings.max_persons):
            continue
        known = min(num_persons, settings.max_persons)
        own = along[:, kind, listed]
        joined = _assign(own, sums[:, :known] / counts[:known], scores[kind, listed], settings)
        new = (joined < 0).nonzero()[0]
        joined[new] = range(num_persons, num_persons + len(new))
        num_persons += len(new)
        sums[:, joined] += own
        counts[joined] += 1
        owner[kind, listed] = joined
    return owner, num_persons


def _assign(
    tags: NDArray[np.float64], means: NDArray[np.float64], scores: Floats, settings: TagGrouping
) -> NDArray[np.int64]:
    """Which person with mean tags (T, G) each candidate with tags (T, n) and scores (n,) joins; −1 for none."""
    joined = np.full(len(scores), -1)
    square = np.square(tags[:, :, None] - means[:, None]).sum(0)
    distance = np.sqrt(square / len(tags) if settings.distance == "rms" else square)
    distance = np.fmin(distance, _TOO_FAR)
    row, column = linear_sum_assignment(_cost(distance, scores, settings))
    near = distance[row, column] < settings.tag_threshold
    joined[row[near]] = column[near]
    return joined


def _cost(distance: NDArray[np.float64], scores: Floats, settings: TagGrouping) -> NDArray[np.float64]:
    """(n, G) of assigning each candidate to each person."""
    if not settings.use_scores:
        return distance
    cost: NDArray[np.float64] = np.rint(distance)
    cost *= 100
    cost -= scores[:, None]
    if settings.break_ties:
        unlike = np.rint(np.minimum(distance * (4 / settings.tag_threshold), 4))
        unlike += _OLDER_FIRST[: distance.shape[1]]
        cost += np.multiply(unlike, _TIE, out=unlike)
    return cost

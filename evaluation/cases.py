"""Pictures worth looking at: where a network did worst, where it made each kind of error most, where as usual."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from evaluation.case import Case, CasePerson
from evaluation.case_files import Cases, read_cases, write_cases

__all__ = ["MEDIAN", "SAMPLE", "WORST", "Case", "CasePerson", "Cases", "choose_cases", "read_cases", "write_cases"]

WORST, MEDIAN, SAMPLE = "worst", "median", "sample"
_MOST = "most "


class Judged(Protocol):
    """How a picture went: see Case."""

    value: float
    counts: dict[str, int]


def choose_cases(
    judged: Mapping[int, Judged], worst: int = 8, median: int = 4, of_each_error: int = 2, sample: int = 6
) -> dict[int, str]:
    """Ids of the pictures to look at, with their rank, each of them once.

    The worst by value; then of each type of error those with the most of it, and of equally many the worst; then those
    whose value is nearest to the median; then some that lie evenly among all, which every evaluation of a split shows.
    Ties go to the smaller id. "good" keypoints are no error.
    """
    by_value = sorted(judged, key=lambda image: (judged[image].value, image))
    chosen = dict.fromkeys(by_value[:worst], WORST)
    for error in sorted({name for one in judged.values() for name in one.counts} - {"good"}):
        having = [image for image in by_value if judged[image].counts.get(error, 0) > 0]
        most = sorted(having, key=lambda image: -judged[image].counts[error])
        chosen |= dict.fromkeys(_others(most, chosen, of_each_error), _MOST + error)
    if by_value:
        middle = judged[by_value[len(by_value) // 2]].value
        nearest = sorted(by_value, key=lambda image: abs(judged[image].value - middle))
        chosen |= dict.fromkeys(_others(nearest, chosen, median), MEDIAN)
    ids = sorted(judged)
    even = [ids[len(ids) * (2 * place + 1) // (2 * sample)] for place in range(sample if ids else 0)]
    chosen |= dict.fromkeys(_others(list(dict.fromkeys(even)), chosen, sample), SAMPLE)
    return chosen


def _others(images: Sequence[int], chosen: Mapping[int, str], count: int) -> list[int]:
    """The first that are not chosen yet."""
    return [image for image in images if image not in chosen][:count]

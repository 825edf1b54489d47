"""diagnosis.json: what `Diagnosis.to_json` gives, checked when it is read."""

from dataclasses import dataclass

from pydantic import FiniteFloat

from evaluation.diagnosis_errors import ERROR_TYPES
from evaluation.diagnosis_keypoints import KeypointErrors
from evaluation.diagnosis_sensitivity import Dimension

Share = FiniteFloat | None


@dataclass(frozen=True)
class StoredOverall:
    """Of all keypoints. Shares in [0, 1]."""

    keypoints: int
    shares: dict[str, Share]
    mean_similarity: Share = None


@dataclass(frozen=True)
class StoredErrors:
    overall: StoredOverall
    keypoints: list[KeypointErrors]


@dataclass(frozen=True)
class StoredCost:
    """AP in [0, 1] without this kind of error, and what that is more than the AP of the results."""

    name: str
    label: str
    changed: int
    ap: Share
    gain: Share
    cumulative_ap: Share
    step: Share


@dataclass(frozen=True)
class StoredDiagnosis:
    kind: str
    skeleton: str
    ap: Share
    mean_oks: Share
    counts: dict[str, int]
    errors: StoredErrors
    costs: list[StoredCost]
    sensitivity: list[Dimension]
    notes: list[str]


def percents(shares: dict[str, Share]) -> list[tuple[str, float]]:
    """(error type, percent) in the order of the types; what is undefined or not named is 0."""
    return [(name, 100 * (shares.get(name) or 0.0)) for name in ERROR_TYPES]

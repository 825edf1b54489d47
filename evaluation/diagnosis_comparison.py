"""Several diagnoses side by side: how often each error type comes in each, and how that changed."""

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.diagnosis_errors import ERROR_TYPES
from pose.errors import UserError


class ComparisonError(UserError, ValueError):
    """Diagnoses that do not belong together."""


def compare(diagnoses: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """What `Diagnosis.to_json` gives, by names; every list below has one entry per name, in [0, 1], None if undefined.

    "errors": the share of each type among the labelled keypoints of matched persons, and its change to the first name
    (EnhanceNet's Fig. 7); "keypoints": the same per keypoint; "costs": the AP gained by correcting each kind alone;
    "found": shares of persons missed, of detections in the background and doubled.
    Raises ComparisonError for fewer than two, or of different skeletons or kinds.
    """
    entries = list(diagnoses.values())
    if len(entries) < 2:
        raise ComparisonError(f"a comparison takes two diagnoses or more, got {len(entries)}")
    if len({(entry["kind"], entry["skeleton"]) for entry in entries}) > 1:
        told = ", ".join(f"{name} {entry['kind']} {entry['skeleton']}" for name, entry in diagnoses.items())
        raise ComparisonError(f"diagnoses of different skeletons or layouts cannot be compared: {told}")
    overall = [entry["errors"]["overall"] for entry in entries]
    keypoints = zip(*(entry["errors"]["keypoints"] for entry in entries), strict=True)
    return {
        "names": list(diagnoses),
        "ap": _row("AP", [entry["ap"] for entry in entries]),
        "mean_oks": _row("mean OKS", [entry["mean_oks"] for entry in entries]),
        "errors": _shares(overall),
        "keypoints": [{"name": one[0]["name"], "errors": _shares(one)} for one in keypoints],
        "costs": [
            {"name": costs[0]["name"], "label": costs[0]["label"], "gains": [cost["gain"] for cost in costs]}
            for costs in zip(*(entry["costs"] for entry in entries), strict=True)
        ],
        "found": [
            _row(label, [_ratio(entry["counts"], part, whole) for entry in entries])
            for label, part, whole in (
                ("missed persons", "missed", "persons"),
                ("background detections", "background", "detections"),
                ("duplicate detections", "duplicates", "detections"),
            )
        ],
    }


def _shares(entries: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = [_row(name, [entry["shares"][name] for entry in entries]) for name in ERROR_TYPES]
    return [{"name": row["name"], "shares": row["values"], "changes": row["changes"]} for row in rows]


def _row(name: str, values: list[float | None]) -> dict[str, Any]:
    first = values[0]
    changes = [None if value is None or first is None else value - first for value in values]
    return {"name": name, "values": values, "changes": changes}


def _ratio(counts: dict[str, int], part: str, whole: str) -> float | None:
    return counts[part] / counts[whole] if counts[whole] else None

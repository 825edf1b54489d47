"""Diagnoses as tables for a screen of 80 characters."""

from collections.abc import Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from evaluation.diagnosis_errors import ERROR_TYPES

_UNDEFINED = "–"
_SHORT = {"inversion": "inv."}


def diagnosis_tables(diagnosis: dict[str, Any]) -> list[Table]:
    """Of `Diagnosis.to_json`: what each error costs, the errors per keypoint, and the sensitivity."""
    return [_costs(diagnosis), _keypoints(diagnosis), _sensitivity(diagnosis)]


def diagnosis_summary(diagnosis: dict[str, Any]) -> str:
    """One or two sentences: the score, and who was found."""
    counts = diagnosis["counts"]
    return (
        f"AP {_percent(diagnosis['ap'])}, mean OKS of matched persons {_percent(diagnosis['mean_oks'])}. "
        f"{counts['persons']:,} persons in {counts['images']:,} images: {counts['matched']:,} matched, "
        f"{counts['missed']:,} missed. {counts['detections']:,} detections: {counts['background']:,} background, "
        f"{counts['duplicates']:,} duplicates, {counts['on_ignored']:,} on ignored annotations."
    )


def comparison_table(comparison: dict[str, Any]) -> Table:
    """Of `compare`: a column per name; changes to the first in parentheses."""
    table = _table("Side by side, %", ["", *comparison["names"]])
    for row in (comparison["ap"], comparison["mean_oks"]):
        _add(table, row["name"], _with_changes(row["values"], row["changes"]))
    table.add_section()
    for row in comparison["errors"]:
        _add(table, f"{row['name']} keypoints", _with_changes(row["shares"], row["changes"]))
    table.add_section()
    for row in comparison["found"]:
        _add(table, row["name"], _with_changes(row["values"], row["changes"]))
    table.add_section()
    for row in comparison["costs"]:
        _add(table, f"AP lost by {row['label']}", [_percent(gain) for gain in row["gains"]])
    return table


def _costs(diagnosis: dict[str, Any]) -> Table:
    columns = ["corrected", "how many", "AP alone", "gain", "with all above"]
    table = _table("What each error costs: AP after its correction, %", columns)
    _add(table, "nothing", ["", _percent(diagnosis["ap"]), "", _percent(diagnosis["ap"])])
    for cost in diagnosis["costs"]:
        values = (cost["ap"], cost["gain"], cost["cumulative_ap"])
        plain, gain, cumulative = map(_percent, values)
        _add(table, cost["label"], [f"{cost['changed']:,}", plain, gain, cumulative])
    return table


def _keypoints(diagnosis: dict[str, Any]) -> Table:
    columns = ["keypoint", "labelled", *(_SHORT.get(name, name) for name in ERROR_TYPES), "OKS", "AP"]
    table = _table("Keypoints of matched persons, %", columns)
    for entry in [{"name": "all", "ap": None, **diagnosis["errors"]["overall"]}, *diagnosis["errors"]["keypoints"]]:
        cells = [*_shares(entry), _percent(entry["mean_similarity"]), _percent(entry["ap"])]
        _add(table, entry["name"], [f"{entry['keypoints']:,}", *cells])
    return table


def _sensitivity(diagnosis: dict[str, Any]) -> Table:
    columns = ["", "persons", "missed", "AP", "AR", "OKS", *(_SHORT.get(name, name) for name in ERROR_TYPES)]
    table = _table("Who is found how well, %", columns)
    for dimension in diagnosis["sensitivity"]:
        table.add_section()
        _add(table, dimension["name"].replace("_", " "), [])
        for group in dimension["groups"]:
            if group["persons"]:
                scores = (group["missed"] / group["persons"], group["ap"], group["ar"], group["mean_oks"])
                _add(table, f"  {group['group']}", [f"{group['persons']:,}", *map(_percent, scores), *_shares(group)])
    return table


def _shares(entry: dict[str, Any]) -> list[str]:
    return [_percent(entry["shares"][name]) for name in ERROR_TYPES]


def _table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=escape(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for position, column in enumerate(columns):
        table.add_column(escape(column), justify="right" if position else "left", overflow="fold")
    return table


def _add(table: Table, name: str, cells: Sequence[str]) -> None:
    table.add_row(escape(name), *map(escape, cells))


def _with_changes(values: Sequence[float | None], changes: Sequence[float | None]) -> list[str]:
    first, *others = zip(values, changes, strict=True)
    shown = [_percent(first[0])]
    for value, change in others:
        shown.append(_percent(value) + (f" ({100 * change:+.1f})" if change is not None else ""))
    return shown


def _percent(value: float | None) -> str:
    return _UNDEFINED if value is None else f"{100 * value:.1f}"

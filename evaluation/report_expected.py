"""What a recipe was published with, beside what it reached."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_QUALITIES = ("regression", "heatmaps", "final")


@dataclass(frozen=True)
class ExpectedScore:
    """A row of a table of expected scores.

    Attributes:
        metric: "AP" or "PCKh@0.5". scores: in percent; none if none was reported. Two are at one scale and at several,
            three of a bottom-up network's regressed poses, heatmaps, and final poses.
        what: what is measured, on what. source: where the number stands.
    """

    recipe: str
    metric: str
    scores: tuple[float, ...]
    what: str
    source: str


Expected = Mapping[str, Sequence[ExpectedScore]]


def counterpart(rows: Sequence[ExpectedScore], recipe: Mapping[str, Any] | None) -> tuple[float, ExpectedScore] | None:
    """The published number that an evaluation with these settings compares with, and its row."""
    for row in rows:
        if row.scores:
            return row.scores[_place(len(row.scores), recipe)], row
    return None


def _place(count: int, recipe: Mapping[str, Any] | None) -> int:
    """Which of a row's scores is measured; where the settings do not tell, that of one scale, or of the final poses."""
    if count == 2:
        scales = _setting(recipe, "test", "scales")
        return int(isinstance(scales, list) and len(scales) > 1)
    quality = _setting(recipe, "grouping", "quality")
    return _QUALITIES.index(quality if quality in _QUALITIES else "final") if count == 3 else 0


def _setting(recipe: Mapping[str, Any] | None, *path: str) -> Any:
    found: Any = (recipe or {}).get("bottomup")
    for key in path:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found

"""Scores as a table for the screen, and its rows for reports."""

import math
from collections.abc import Mapping

from rich import box
from rich.markup import escape
from rich.table import Table

from evaluation.mpii import MPII_THRESHOLDS
from evaluation.pckh import PCKH_ROWS
from evaluation.score import Score

_UNDEFINED = "–"


def score_rows(scores: Mapping[str, Score]) -> tuple[list[str], list[list[str]]]:
    """Header and rows of named scores of one benchmark, in percent with one decimal.

    COCO and CrowdPose: a row per name, a column per metric. MPII: a row per name and threshold, columns Head … Mean.
    Raises ValueError for no scores, or scores of different benchmarks.
    """
    if not scores:
        raise ValueError("a table needs at least one named score, received none")
    columns = {name: tuple(score.metrics) for name, score in scores.items()}
    if len(set(columns.values())) > 1:
        raise ValueError(f"one table holds scores of one benchmark; {', '.join(scores)} do not have the same metrics")
    if next(iter(scores.values())).primary.startswith("PCKh"):
        return ["", "threshold", *PCKH_ROWS], _mpii_rows(scores)
    header = ["", *next(iter(columns.values()))]
    return header, [[name, *(_percent(v, 100) for v in score.metrics.values())] for name, score in scores.items()]


def score_table(scores: Mapping[str, Score], title: str | None = None) -> Table:
    """A rich table; `Console().print` shows it."""
    header, rows = score_rows(scores)
    # Narrow, so that MPII's ten columns fit a terminal of 80 characters without being cut.
    table = Table(title=None if title is None else escape(title), box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for position, column in enumerate(header):
        table.add_column(column, justify="left" if position == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    return table


def _mpii_rows(scores: Mapping[str, Score]) -> list[list[str]]:
    return [
        [name, f"PCKh@{threshold}", *(_percent(score.metrics[f"PCKh@{threshold}/{row}"], 1) for row in PCKH_ROWS)]
        for name, score in scores.items()
        for threshold in MPII_THRESHOLDS
    ]


def _percent(value: float, factor: float) -> str:
    """Metrics that are undefined arrive as -1 from the COCO tools and as nan from PCKh."""
    return _UNDEFINED if math.isnan(value) or value < 0 else f"{value * factor:.1f}"

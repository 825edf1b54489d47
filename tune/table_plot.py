"""A table as a picture: for every row the paper's number and ours, with its deviation over seeds, on one axis.

Rows that the paper only cites are left out: there is nothing to compare, and they would stretch the axis.
"""

import io
import math
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tune.table import Column, Table
from tune.table_results import RowResult

_PAPER, _OURS, _FAINT = "#6b7280", "#0f6fb8", "#e5e7eb"
_ROW_INCHES, _PANEL_INCHES, _LABEL_INCHES = 0.32, 3.4, 3.2
_OFFSET = 0.14  # of a row, so that neither mark hides the other


def table_plot(table: Table, results: Sequence[RowResult], kind: str, subtitle: str) -> bytes:
    """The picture as a "png" or "svg" file: a panel for each plotted column, a line for each row."""
    panels = [(place, column) for place, column in table.columns_of("score") if column.plotted]
    results = [result for result in results if result.status != "cited"]
    width = _LABEL_INCHES + _PANEL_INCHES * len(panels)
    figure = Figure(figsize=(width, 1.7 + _ROW_INCHES * len(results)), layout="constrained")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, (place, column) in zip(axes, panels, strict=True):
        _panel(axis, results, place, column)
    labels = [_label(table, result) for result in results]
    axes[0].set_yticks(range(len(results)), labels, parse_math=False)
    figure.suptitle(f"{table.name}: {table.title}\n{subtitle}", fontsize=10, parse_math=False)
    handles, names = axes[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": table.name}):
        figure.savefig(file, format=kind, dpi=150, metadata={"Date": None} if kind == "svg" else None)
    return file.getvalue()


def _panel(axis: Axes, results: Sequence[RowResult], place: int, column: Column) -> None:
    paper = [(row, float(cell)) for row, cell in _printed(results, place)]
    ours = [(row, result.cells[place]) for row, result in enumerate(results) if place in result.cells]
    axis.plot(
        [value for _, value in paper], [row - _OFFSET for row, _ in paper], "D", mfc="white", color=_PAPER, ms=5,
        label="paper",
    )  # fmt: skip
    axis.errorbar(
        [value.mean for _, value in ours],
        [row + _OFFSET for row, _ in ours],
        xerr=[0.0 if math.isnan(value.std) else value.std for _, value in ours],
        fmt="o", color=_OURS, ms=5, capsize=3, label="ours, mean ± std over seeds",
    )  # fmt: skip
    axis.set_xlabel(column.name, parse_math=False)
    axis.set_ylim(len(results) - 0.5, -0.5)
    axis.grid(axis="x", color=_FAINT)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=8, length=0)
    for row in range(1, len(results)):
        axis.axhline(row - 0.5, color=_FAINT, lw=0.6, zorder=0)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)


def _printed(results: Sequence[RowResult], place: int) -> list[tuple[int, float]]:
    cells = [(row, result.row.cells[place]) for row, result in enumerate(results)]
    return [(row, cell) for row, cell in cells if isinstance(cell, int | float)]


def _label(table: Table, result: RowResult) -> str:
    """With a word on rows of which no number of ours is to be expected, or which failed."""
    label = table.label(result.row)
    return label if result.status in ("done", "waiting") else f"{label}  ({result.status})"

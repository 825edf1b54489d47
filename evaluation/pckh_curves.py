"""PCKh over all thresholds, per group of keypoints, and several runs side by side."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.markup import escape
from rich.table import Table

from evaluation.mpii import align_to_ground_truth
from evaluation.pckh import PCKH_ROWS, head_sizes_or_segment, pckh
from evaluation.predictions import Predictions
from pose.errors import UserError
from pose.skeletons import MPII_16

THRESHOLDS = tuple(round(0.01 * step, 2) for step in range(51))
_SHOWN = (0.1, 0.2, 0.5)


class CurveError(UserError, ValueError):
    """Curves that do not belong together, or are none."""


def pckh_curves(
    predicted: np.ndarray,
    truth: np.ndarray,
    labelled: np.ndarray,
    head_sizes: np.ndarray,
    thresholds: Sequence[float] = THRESHOLDS,
) -> dict[str, np.ndarray]:
    """Percent (thresholds,) for each of PCKH_ROWS, as `pckh` gives them one by one; its arguments and its errors."""
    points = [pckh(predicted, truth, labelled, head_sizes, threshold) for threshold in thresholds]
    return {row: np.array([point[row] for point in points], np.float64) for row in PCKH_ROWS}


def mpii_curves(
    ground_truth: dict[str, Any], predictions: Predictions, thresholds: Sequence[float] = THRESHOLDS
) -> dict[str, Any]:
    """The content of curves.json: thresholds, and percent per group, None where nothing is labelled.

    Persons without a prediction count as wrong, persons without a head box by their neck to head-top segment, both as
    `evaluate_mpii` does. Raises ValueError as it does.
    """
    rows = align_to_ground_truth(ground_truth, predictions)
    annotated = np.array([a["keypoints"] for a in ground_truth["annotations"]], np.float64)
    annotated = annotated.reshape(len(rows), MPII_16.num_keypoints, 3)
    truth, labelled = annotated[..., :2], annotated[..., 2] > 0
    given = [annotation.get("head_size") for annotation in ground_truth["annotations"]]
    given_sizes = np.array([np.nan if size is None else size for size in given], np.float64)
    head_sizes, _ = head_sizes_or_segment(given_sizes, truth, labelled)
    predicted = np.full_like(truth, np.nan)
    predicted[rows >= 0] = predictions.keypoints[rows[rows >= 0]]
    groups = pckh_curves(predicted, truth, labelled, head_sizes, thresholds)
    return {
        "kind": "PCKh",
        "thresholds": list(thresholds),
        "groups": {name: [None if np.isnan(v) else float(v) for v in values] for name, values in groups.items()},
    }


def curve_areas(curves: dict[str, Any]) -> dict[str, float | None]:
    """The mean of each group's curve over its thresholds (area under it by trapezoids, over their range), percent."""
    thresholds = np.array(curves["thresholds"], np.float64)
    if len(thresholds) < 2 or not (np.diff(thresholds) > 0).all():
        raise CurveError(f"an area takes two rising thresholds or more, got {curves['thresholds']}")
    extent = thresholds[-1] - thresholds[0]
    return {
        name: None if None in values else float(np.trapezoid(values, thresholds) / extent)
        for name, values in curves["groups"].items()
    }


def compare_curves(runs: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, dict[str, float | None]]]:
    """For each run and group: "area", and PCKh at 0.1, 0.2 and 0.5 where the curve has that threshold, percent.

    Raises CurveError for no runs, or runs of different thresholds or groups.
    """
    if not runs:
        raise CurveError("no curves to compare")
    if len({(tuple(run["thresholds"]), tuple(run["groups"])) for run in runs.values()}) > 1:
        raise CurveError(f"the curves of {', '.join(runs)} do not have the same thresholds and groups")
    compared = {}
    for name, run in runs.items():
        areas, at = curve_areas(run), {value: number for number, value in enumerate(run["thresholds"])}
        compared[name] = {
            group: {"area": areas[group]} | {f"@{shown}": values[at[shown]] for shown in _SHOWN if shown in at}
            for group, values in run["groups"].items()
        }
    return compared


def curves_table(runs: Mapping[str, dict[str, Any]]) -> Table:
    """A rich table of `compare_curves`: a row per run and value, a column per group."""
    compared = compare_curves(runs)
    table = Table(title="PCKh, %", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for position, column in enumerate(["", "", *next(iter(runs.values()))["groups"]]):
        table.add_column(escape(column), justify="left" if position < 2 else "right", overflow="fold")
    for name, groups in compared.items():
        for number, value in enumerate(next(iter(groups.values()))):
            cells = ("–" if group[value] is None else f"{group[value]:.1f}" for group in groups.values())
            table.add_row(escape(name) if not number else "", value, *cells)
    return table

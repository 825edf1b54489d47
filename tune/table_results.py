"""What was found for a table's cells: stored as one JSON file for each training, read without Ray."""

import json
import math
import statistics
from dataclasses import dataclass, field
from typing import Any

from pose.errors import UserError
from sharding.storage import Folder
from tune.failure import write_json
from tune.table import Row
from tune.table_plan import Plan, PlannedRow, Test

RESULTS = "results"


class ResultError(UserError, ValueError):
    """A stored result that cannot be read."""


@dataclass(frozen=True)
class TrainingScores:
    """A training's answer so far.

    Attributes:
        tests: the evaluator's metrics by test.
        notes: what the evaluators remarked.
        failed: why it was given up, else None.
        seconds: that training took, in the process that finished it.
    """

    tests: dict[Test, dict[str, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    failed: str | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Spread:
    """Mean over `count` seeds, and their standard deviation (of a sample): nan for one seed."""

    mean: float
    std: float
    count: int


@dataclass(frozen=True)
class RowResult:
    """A row's cells by their place in the table, and a remark on it: why it failed, was not run, or is not whole yet.

    `status` is "cited", "skipped" (something it needs was not given), "waiting", "partial" (some seeds are missing),
    "failed" (some seed did) or "done".
    """

    row: Row
    cells: dict[int, Spread]
    status: str
    remark: str


def write_scores(folder: Folder, name: str, scores: TrainingScores) -> None:
    """Into the ablation's folder, whole or not at all. Raises StorageError."""
    content = {
        "tests": [{"settings": test, "metrics": _finite(metrics)} for test, metrics in scores.tests.items()],
        "notes": scores.notes,
        "failed": scores.failed,
        "seconds": scores.seconds,
    }
    write_json(folder.subfolder(RESULTS), f"{name}.json", content)


def read_scores(folder: Folder, name: str) -> TrainingScores | None:
    """None before anything was stored. Raises ResultError or StorageError."""
    results = folder.subfolder(RESULTS)
    if not results.exists(f"{name}.json"):
        return None
    try:
        content: dict[str, Any] = json.loads(results.read(f"{name}.json"))
        tests = {
            tuple(test["settings"]): {key: _number(value) for key, value in test["metrics"].items()}
            for test in content["tests"]
        }
        return TrainingScores(tests, tuple(content["notes"]), content["failed"], content["seconds"])
    except (ValueError, KeyError, TypeError) as error:
        where = results.location(f"{name}.json")
        raise ResultError(
            f"{where} is no stored result ({error}); delete it, and the training is done again"
        ) from error


def row_results(plan: Plan, folder: Folder) -> list[RowResult]:
    """All rows of the table with what is stored so far."""
    found = {training.id: read_scores(folder, training.id) for training in plan.trainings}
    return [_row_result(plan, planned, found) for planned in plan.rows]


def notes_of(plan: Plan, folder: Folder) -> list[str]:
    """The evaluators' remarks, each once."""
    found = (read_scores(folder, training.id) for training in plan.trainings)
    return list(dict.fromkeys(note for scores in found if scores is not None for note in scores.notes))


def _row_result(plan: Plan, planned: PlannedRow, found: dict[str, TrainingScores | None]) -> RowResult:
    if not planned.trainings:
        status = "cited" if planned.row.recipe is None else "skipped"
        return RowResult(planned.row, {}, status, planned.why_not or "")
    of_seeds = [found[name] or TrainingScores() for name in planned.trainings]
    cells = {}
    for place, column in plan.table.columns_of("score"):
        metrics = [scores.tests.get(planned.tests[place]) for scores in of_seeds]
        values = [plan.table.factor * one[column.metric] for one in metrics if one is not None]
        known = [value for value in values if math.isfinite(value) and value >= 0]  # COCO's -1: undefined
        if known:
            cells[place] = spread(known)
    whole = [all(test in scores.tests for test in planned.tests.values()) for scores in of_seeds]
    failures = [
        f"seed {seed}: {scores.failed}" for seed, scores in enumerate(of_seeds) if scores.failed and not whole[seed]
    ]
    if failures:
        return RowResult(planned.row, cells, "failed", "; ".join(failures))
    if all(whole):
        return RowResult(planned.row, cells, "done", "")
    status = "partial" if any(scores.tests for scores in of_seeds) else "waiting"
    return RowResult(planned.row, cells, status, f"{sum(whole)} of {len(whole)} seeds are done")


def spread(values: list[float]) -> Spread:
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan, len(values))


def _finite(metrics: dict[str, float]) -> dict[str, float | None]:
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)

"""A table and what was asked for → the trainings that it needs, and which of their scores stands in which cell."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from engine.config import ConfigError, Recipe, leaves, override
from engine.scorer import ranks_by_network
from tune.budget import smoke_recipe
from tune.places import with_absolute_places
from tune.table import Row, Table
from tune.table_cost import row_recipe
from tune.table_options import AblationOptions

Test = tuple[str, ...]
"""Settings with which a trained network is evaluated, as dotted `key=value`."""

_SCORING = "bottomup.grouping.scoring="
# What changes no score: another run with other values of these is the same training.
_INDIFFERENT = ("name", "run_dir", "data.threads", "data.prefetch", "storage.", "train.seed", "train.verdict_seconds",
                "train.checkpoint_every_steps")  # fmt: skip


@dataclass(frozen=True)
class Training:
    """One training of a table with all its tests. The recipe lacks its run folder; the seed is in it."""

    id: str
    recipe: Recipe
    tests: tuple[Test, ...]


@dataclass(frozen=True)
class PlannedRow:
    """A row's trainings, one for each seed, and the test of each of its score columns by their place in the table.

    Without trainings, `why_not` says why.
    """

    row: Row
    trainings: tuple[str, ...] = ()
    tests: Mapping[int, Test] = field(default_factory=dict)
    why_not: str | None = None


@dataclass(frozen=True)
class Plan:
    """A table's rows in their order, and every training once."""

    table: Table
    rows: tuple[PlannedRow, ...]
    trainings: tuple[Training, ...]


def plan_table(table: Table, options: AblationOptions) -> Plan:
    """Raises ConfigError for a setting that a recipe does not have, and for detectors that the table does not name."""
    _require_known_detectors(table, options)
    rows: list[PlannedRow] = []
    found: dict[str, Training] = {}
    for row in table.rows:
        why_not = _why_not(row, options)
        if why_not is not None:
            rows.append(PlannedRow(row, why_not=why_not))
            continue
        recipe = _trained_recipe(table, row, options)
        tests = {place: _test(recipe, row, column.test, options) for place, column in table.columns_of("score")}
        ids = [_id(row, recipe, seed) for seed in range(options.seeds)]
        for seed, name in enumerate(ids):
            known = found[name].tests if name in found else ()
            own = override(recipe, [f"name={name}", f"train.seed={seed}"])
            found[name] = Training(name, own, tuple(dict.fromkeys((*known, *tests.values()))))
        rows.append(PlannedRow(row, tuple(ids), tests))
    return Plan(table, tuple(rows), tuple(found.values()))


def detectors_of(table: Table) -> tuple[str, ...]:
    """Those that the table compares."""
    return tuple(dict.fromkeys(row.detector for row in table.rows if row.detector is not None))


def _require_known_detectors(table: Table, options: AblationOptions) -> None:
    for name in options.detections:
        if name and name not in detectors_of(table):
            known = ", ".join(detectors_of(table)) or "none: give one file for all rows"
            raise ConfigError(f"{table.name} compares no detector {name!r}; it compares {known}")


def _why_not(row: Row, options: AblationOptions) -> str | None:
    if row.recipe is None:
        return row.why_not
    if row.detector is not None and row.detector not in options.detections:
        return f"needs the boxes of the detector {row.detector}: --detections {row.detector}=FILE"
    return None


def _trained_recipe(table: Table, row: Row, options: AblationOptions) -> Recipe:
    recipe = row_recipe(row)
    if options.budget == "smoke":
        recipe = smoke_recipe(recipe, table.num_keypoints)
    settings = [f"data.train={json.dumps(options.train) if len(options.train) > 1 else options.train[0]}"]
    settings.append(f"data.val={options.val}")
    fitting = [name for name in options.weights if recipe.model.name.endswith(name)]
    if fitting:
        settings.append(f"model.weights={options.weights[max(fitting, key=len)]}")
    return with_absolute_places(override(recipe, (*settings, *options.settings)))


def _test(recipe: Recipe, row: Row, of_column: Test, options: AblationOptions) -> Test:
    settings = (*row.test, *of_column)
    boxes = options.detections.get(row.detector or "")
    if boxes is not None and recipe.bottomup is None:
        settings = (*settings, f"evaluate.detections={boxes}")
    if not ranks_by_network(override(recipe, settings)):  # learned scores rank final poses only
        settings = tuple(one for one in settings if not one.startswith(_SCORING))
    return settings


def _id(row: Row, recipe: Recipe, seed: int) -> str:
    """Readable, and another one whenever anything that matters differs."""
    what = {name: value for name, value in leaves(recipe).items() if not name.startswith(_INDIFFERENT)}
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode()).hexdigest()[:8]
    changes = [re.sub(r"\W+", "-", change.rpartition(".")[2]) for change in row.changes]
    return "_".join([recipe.name, *changes, digest, f"seed{seed}"])

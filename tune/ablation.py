"""An ablation from a paper's table to the same table with our numbers beside the paper's."""

import functools
import time
from dataclasses import asdict, dataclass, replace
from io import StringIO
from typing import Any

import ray
import torch
from ray import tune as ray_tune
from rich.console import Console

from engine.config import override
from sharding.storage import open_folder
from sharding.store_uri import child
from tune.ablation_data import ready_options
from tune.ablation_trial import is_finished, record_failure, train_and_score
from tune.cluster import connected
from tune.experiment import Experiment, run_experiment
from tune.failure import read_failure, write_json
from tune.held import held
from tune.places import absolute, shown_tree
from tune.space import Resources
from tune.table import Table
from tune.table_files import write_table
from tune.table_options import AblationOptions
from tune.table_plan import Plan, Training, plan_table
from tune.table_results import RowResult, read_scores, row_results
from tune.trial import with_reasons

_MOST_CPUS = 4  # of a trial without --cpus; more decode faster than most networks learn


@dataclass(frozen=True)
class ClusterOptions:
    """Where trials run: a Ray cluster's address, or None for this machine; a trial's CPUs and GPUs, or None for what
    the cluster suggests; trials at the same time, or None for as many as fit."""

    address: str | None = None
    cpus: int | None = None
    gpus: float | None = None
    concurrent: int | None = None


@dataclass(frozen=True)
class AblationOutcome:
    """The files of the table, its rows, and whether trials are left that were not given up."""

    files: tuple[str, ...]
    rows: tuple[RowResult, ...]
    interrupted: bool

    def lines(self) -> list[str]:
        """What to tell the user."""
        count = {status: sum(row.status == status for row in self.rows) for status in ("done", "failed")}
        lines = [f"{count['done']} rows done, {count['failed']} failed, of {len(self.rows)}"]
        lines += [f"  failed: {row.remark}" for row in self.rows if row.status == "failed"]
        if self.interrupted:
            lines.append("interrupted; the same command goes on")
        return [*lines, *self.files]


def run_ablation(
    table: Table, out: str, options: AblationOptions, console: Console, cluster: ClusterOptions = ClusterOptions()
) -> AblationOutcome:
    """Train and evaluate whatever the table still lacks, and write it; without anything lacking Ray is not started.

    Trainings are told apart by all that matters to them, so tables may share a folder, and with it their trainings.
    A failed one is tried again.

    Args:
        out: local path, which all machines must see, or URI.
    Raises:
        ConfigError: data is missing or of another benchmark, or a setting does not fit a recipe. ClusterError: no
            cluster, or a trial does not fit into it. StorageError: the folder cannot be used.
    """
    out = absolute(out)
    folder = open_folder(out)
    folder.create()
    options = ready_options(table, options, folder)
    plan = plan_table(table, options)
    left = [training for training in plan.trainings if not is_finished(training, read_scores(folder, training.id))]
    write_json(folder, f"{table.name}.json", _as_data(plan, options))
    write_table(plan, options, folder)
    with held(folder):
        interrupted = bool(left) and _run(table, left, out, options, console, cluster)
    files = write_table(plan, options, folder)
    return AblationOutcome(tuple(files), tuple(row_results(plan, folder)), interrupted)


def show_ablation(table: Table, out: str, options: AblationOptions) -> AblationOutcome:
    """Write the table with what is stored so far. Runs nothing."""
    folder = open_folder(absolute(out))
    options = ready_options(table, options, folder)
    plan = plan_table(table, options)
    return AblationOutcome(tuple(write_table(plan, options, folder)), tuple(row_results(plan, folder)), False)


def _run(
    table: Table, trainings: list[Training], out: str, options: AblationOptions, console: Console,
    cluster: ClusterOptions,
) -> bool:  # fmt: skip
    """Whether some are left. Every call is an experiment of its own: what is done is known from the stored results,
    and what was interrupted goes on from its run folder."""
    trials = child(out, f"trials/{table.name}-{time.strftime('%Y%m%d-%H%M%S')}")
    known = {training.id: training for training in trainings}
    metric = next(column.metric for _, column in table.columns_of("score") if column.plotted)
    with connected(cluster.address):
        resources = _resources(cluster, options)
        finished = run_experiment(
            Experiment(
                folder=trials,
                trial=functools.partial(
                    _trial, known=known, out=out, trials=trials, metric=metric, cpus=resources.cpus,
                    keep=options.budget == "full",
                ),
                space={"training": ray_tune.grid_search(list(known))},
                metric=metric,
                mode="max",
                resources=resources,
                concurrent=cluster.concurrent,
                compete=False,
            ),
            console,
        )  # fmt: skip
    folder = open_folder(trials)
    for trial in finished.trials:
        failure = read_failure(folder.subfolder(trial.trial_id))
        if failure is not None:
            record_failure(known[trial.config["training"]], open_folder(out), failure["reason"])
    return finished.interrupted


def _trial(
    config: dict[str, Any], known: dict[str, Training], out: str, trials: str, metric: str, cpus: int, keep: bool
) -> None:
    """What runs inside a trial."""
    training = known[config["training"]]
    training = replace(training, recipe=override(training.recipe, [f"data.threads={cpus}"]))

    def work() -> None:
        torch.set_num_threads(cpus)
        scores = train_and_score(training, out, Console(file=StringIO()), keep)
        ray_tune.report({metric: scores.tests[training.tests[0]][metric], "epoch": training.recipe.train.epochs})

    with_reasons(work, trials)


def _resources(cluster: ClusterOptions, options: AblationOptions) -> Resources:
    """As asked for; else a GPU where there are any, and its share of the CPUs."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = cluster.gpus
    if gpus is None:
        gpus = 1.0 if any(node.get("GPU", 0) >= 1 for node in nodes) else 0.0
    cpus = cluster.cpus
    if cpus is None and options.budget == "smoke":
        cpus = 1
    if cpus is None:
        able = [node for node in nodes if node.get("GPU", 0) >= gpus and node.get("CPU", 0) >= 1]
        shares = [int(node["CPU"] / max(1, node.get("GPU", 0) // gpus if gpus else 1)) for node in able]
        cpus = max(1, min([_MOST_CPUS, *shares]))
    return Resources(cpus=cpus, gpus=gpus)


def _as_data(plan: Plan, options: AblationOptions) -> dict[str, Any]:
    """What TABLE.json holds: what was asked for, and which trainings stand behind which row."""
    return shown_tree(
        {
            "table": plan.table.name,
            "options": asdict(options),
            "rows": [
                {
                    "label": plan.table.label(planned.row),
                    "recipe": planned.row.recipe,
                    "changes": planned.row.changes,
                    "trainings": planned.trainings,
                    "why_not": planned.why_not,
                }
                for planned in plan.rows
            ],
        }
    )

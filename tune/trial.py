"""What runs inside a trial: one training that reports every epoch, with its checkpoint, to the search."""

import logging
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import torch
from ray import tune as ray_tune
from rich.console import Console

from engine.config import ConfigError, Recipe, override
from engine.observer import EpochReport
from engine.train import LAST, train
from sharding.storage import Folder, open_folder
from tune.failure import read_failure, record, would_repeat
from tune.patience import patiently
from tune.space import Resources, can_change_in_training
from tune.trial_recipe import trial_recipe
from tune.trial_workers import together

_log = logging.getLogger(__name__)


def train_trial(config: dict[str, Any], base: Recipe, resources: Resources, metric: str, folder: str) -> None:
    """Train the base recipe with a trial's settings.

    Args:
        config: searched settings by dotted name.
        metric: must be among the validation split's, or be "loss".
        folder: URI of the experiment.
    """
    free = frozenset(name for name in config if can_change_in_training(name))
    with_reasons(
        lambda: _train(trial_recipe(base, config), resources, metric, free, trial_folder(folder)),  # they may not fit
        folder,
    )


def with_reasons(work: Callable[[], None], folder: str) -> None:
    """Do a trial's work. A failure that would repeat itself is recorded in the trial's folder and ends the trial.

    To Ray such a trial is finished, since Ray would start what failed again. So the searcher also learns from it.
    """
    own = trial_folder(folder)
    if read_failure(own) is not None:
        return
    try:
        work()
    except Exception as error:
        if not would_repeat(error):
            raise
        _log.warning("trial failed: %s", error)
        record(own, error)


def trial_folder(folder: str) -> Folder:
    """The folder of the trial that this process runs, in its experiment's."""
    return open_folder(folder).subfolder(ray_tune.get_context().get_trial_id())


def _train(recipe: Recipe, resources: Resources, metric: str, free: frozenset[str], stored: Folder) -> None:
    torch.set_num_threads(resources.cpus)
    run_dir = Path(ray_tune.get_context().get_trial_dir()) / "run"
    own = override(recipe, [f"run_dir={run_dir}", f"data.threads={resources.cpus}", "train.verdict_seconds=0"])
    reporter = Reporter(reported_checkpoint(), free, metric)
    try:
        with together(own, resources, lambda error: _record_if_it_would_repeat(stored, error)):
            train(own, Console(file=StringIO()), reporter)
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)  # searches would fill the disk; the reported checkpoints are stored


def _record_if_it_would_repeat(stored: Folder, error: Exception) -> None:
    if would_repeat(error):
        record(stored, error)


@dataclass
class Reporter:
    """Tells Ray about every epoch (see engine.observer.Observer)."""

    start_from: Path | None
    may_change: frozenset[str]
    metric: str

    def epoch_done(self, report: EpochReport, checkpoint: Path | None) -> None:
        if report.metrics and self.metric not in {"loss", *report.metrics}:
            raise ConfigError(f"metric {self.metric!r} is none of {', '.join(['loss', *report.metrics])}")
        assert checkpoint is not None  # a trial of one process writes its own
        report_epoch(as_metrics(report), checkpoint)


def as_metrics(report: EpochReport) -> dict[str, float]:
    own = {name: value for name, value in vars(report).items() if name != "metrics"}
    return own | report.metrics


def report_epoch(metrics: dict[str, float], checkpoint: Path) -> None:
    """Store the checkpoint, then tell the search. Comes back when the trial is to go on."""
    upload = checkpoint.with_name("reported")
    shutil.rmtree(upload, ignore_errors=True)
    upload.mkdir()
    os.link(checkpoint, upload / LAST)
    stored = ray_tune.Checkpoint.from_directory(str(upload))
    patiently(lambda: ray_tune.report(dict(metrics), checkpoint=stored), "store a checkpoint")


def reported_checkpoint() -> Path | None:
    """The checkpoint that this trial is to go on from: its own last one, or that of a better trial."""
    stored = ray_tune.get_checkpoint()
    if stored is None:
        return None
    folder = Path(ray_tune.get_context().get_trial_dir()) / "restored"
    shutil.rmtree(folder, ignore_errors=True)
    patiently(lambda: stored.to_directory(str(folder)), "fetch the last checkpoint")
    return folder / LAST

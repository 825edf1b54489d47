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
from pose.errors import UserError
from sharding.storage import Folder, StorageError, open_folder
from tune.failure import read_failure, write_failure
from tune.patience import patiently
from tune.space import Resources, can_change_in_training, trial_recipe

_log = logging.getLogger(__name__)
_REPEATING = (UserError, MemoryError, torch.OutOfMemoryError)


def train_trial(config: dict[str, Any], base: Recipe, resources: Resources, metric: str, folder: str) -> None:
    """Train the base recipe with a trial's settings.

    Args:
        config: searched settings by dotted name.
        metric: must be among the validation split's, or be "loss".
        folder: URI of the experiment.
    """
    free = frozenset(name for name in config if can_change_in_training(name))
    recipe = trial_recipe(base, config)
    if resources.workers > 1:
        trial_folder = open_folder(folder).subfolder(ray_tune.get_context().get_trial_id())
        with_reasons(lambda: _train_on_workers(recipe, resources, trial_folder), folder)
    else:
        with_reasons(lambda: _train(recipe, resources, metric, free), folder)


def with_reasons(work: Callable[[], None], folder: str) -> None:
    """Do a trial's work. A failure that would repeat itself is recorded in the trial's folder and ends the trial.

    To Ray such a trial is finished, since Ray would start what failed again. So the searcher also learns from it.
    """
    trial_folder = open_folder(folder).subfolder(ray_tune.get_context().get_trial_id())
    if read_failure(trial_folder) is not None:
        return
    try:
        work()
    except StorageError:
        raise  # another attempt, later and perhaps from another machine, can succeed
    except _REPEATING as error:
        _log.warning("trial failed: %s", error)
        write_failure(trial_folder, type(error).__name__, str(error) or type(error).__name__)


def _train(recipe: Recipe, resources: Resources, metric: str, free: frozenset[str]) -> None:
    torch.set_num_threads(resources.cpus)
    run_dir = Path(ray_tune.get_context().get_trial_dir()) / "run"
    own = override(recipe, [f"run_dir={run_dir}", f"data.threads={resources.cpus}", "train.verdict_seconds=0"])
    try:
        train(own, Console(file=StringIO()), Reporter(reported_checkpoint(), free, metric))
    finally:
        shutil.rmtree(run_dir, ignore_errors=True)  # searches would fill the disk; the reported checkpoints are stored


def _train_on_workers(recipe: Recipe, resources: Resources, trial_folder: Folder) -> None:
    """Their run folder is in that of the trial; Ray Train's reports go on to the search."""
    from ray.tune.integration.ray_train import TuneReportCallback

    from tune.distributed import Workers, train_on_workers

    number = resources.workers
    own = override(recipe, [f"run_dir={trial_folder.location('run')}", "train.verdict_seconds=0"])
    workers = Workers(number, number, resources.cpus, resources.gpus)
    train_on_workers(own, workers, _log.info, [TuneReportCallback()])


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

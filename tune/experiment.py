"""Running trials with Ray Tune, from the start or from where they were when the process that led them died."""

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import ray
from pyarrow import fs as arrow_fs
from ray import tune as ray_tune
from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.tune.schedulers import TrialScheduler
from rich.console import Console

from sharding.storage import Folder, open_folder
from tune.cluster import require_resources
from tune.interruption import Interruption, own_interrupts
from tune.keeping import STATE, Keeping
from tune.progress import Progress
from tune.remembering import Remembering
from tune.space import Resources

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Experiment:
    """Trials and how they are run.

    Attributes:
        folder: local path or URI; Ray's experiment directory, in which each trial has a folder named by its id.
        trial: is called with a trial's settings in a process of its own.
        space: what Ray takes as `param_space`: settings by name, with its distributions or `grid_search`.
        trials: how many are drawn from the space; with `grid_search`, how often the grid is gone through.
        metric, mode: which of the reported numbers is to become large or small.
        searcher, scheduler: Ray's; by default random choice, and no trial is stopped.
        concurrent: trials at the same time; by default as many as fit.
        max_failures: how often a trial is started again after its process or node died.
        compete: whether one of the trials is to be the best, and said to be.
    """

    folder: str
    trial: Callable[[dict[str, Any]], None]
    space: dict[str, Any]
    metric: str
    mode: Literal["max", "min"]
    trials: int = 1
    searcher: Any = None
    scheduler: TrialScheduler | None = None
    resources: Resources = field(default_factory=Resources)
    concurrent: int | None = None
    max_failures: int = 3
    compete: bool = True


@dataclass(frozen=True)
class Finished:
    """`trials` are Ray's; `interrupted` means that the same call goes on with those that are not finished."""

    trials: list[Trial]
    interrupted: bool


def run_experiment(experiment: Experiment, console: Console) -> Finished:
    """Run, or go on with, all trials of an experiment on the cluster that this process is connected to.

    Raises:
        ClusterError: a trial cannot fit into the cluster. StorageError: the folder cannot be used.
    """
    folder = open_folder(experiment.folder)
    folder.create()
    concurrent = concurrency(experiment.resources, experiment.concurrent)
    resumed = _has_trials(folder)
    if resumed:
        console.print(f"going on in {folder.uri}", markup=False, highlight=False, soft_wrap=True)
    _quieten()
    interruption = Interruption()
    with own_interrupts():
        trials = _run(
            experiment,
            folder,
            concurrent,
            resumed,
            [
                Progress(console, folder, experiment.metric, experiment.mode, experiment.compete),
                Keeping(folder, experiment.scheduler, experiment.metric, experiment.mode),
                Remembering(experiment.scheduler),
                interruption,
            ],
        )  # Ray stores the callbacks' states by their places
    interrupted = interruption.seen or not all(trial.is_finished() for trial in trials)
    return Finished(trials, interrupted)


def _run(
    experiment: Experiment, folder: Folder, concurrent: int, resumed: bool, callbacks: list[Callback]
) -> list[Trial]:
    parent, _, name = folder.path.rstrip("/").rpartition("/")
    analysis = ray_tune.run(
        experiment.trial,
        name=name,
        storage_path=parent or "/",
        storage_filesystem=filesystem_of(folder),
        config=experiment.space,
        num_samples=experiment.trials,
        metric=experiment.metric,
        mode=experiment.mode,
        search_alg=experiment.searcher or ray_tune.search.BasicVariantGenerator(max_concurrent=concurrent),
        scheduler=experiment.scheduler,
        resources_per_trial=_request(experiment.resources),
        max_failures=experiment.max_failures,
        trial_dirname_creator=_trial_id,
        resume_config=ray_tune.ResumeConfig() if resumed else None,
        raise_on_failed_trial=False,
        callbacks=callbacks,
        verbose=0,
    )
    return list(analysis.trials)


def concurrency(resources: Resources, wanted: int | None) -> int:
    """How many trials run at the same time. Raises ClusterError if not even one can."""
    fitting = require_resources(resources.cpus, resources.gpus, resources.workers)
    return min(fitting, wanted or fitting)


def filesystem_of(folder: Folder) -> arrow_fs.FileSystem:
    """One that tries parts of uploads again by itself, for Ray to use."""
    return folder.uploads or folder.filesystem


def _request(resources: Resources) -> ray_tune.PlacementGroupFactory:
    """What Ray reserves for a trial and frees when it ends: a place for each worker, near each other if possible."""
    return ray_tune.PlacementGroupFactory([{"CPU": resources.cpus, "GPU": resources.gpus}] * resources.workers)


def _has_trials(folder: Folder) -> bool:
    """Whether Ray has stored an experiment there from which it can go on."""
    states = [name for name in folder.names() if name.startswith(STATE)]
    return bool(states) and bool(json.loads(folder.read(max(states)))["trial_data"])


def _trial_id(trial: Trial) -> str:
    return trial.trial_id


def _quieten() -> None:
    """Ray's own tables and hints give way to a line per trial, and a stopped trial has ten seconds to go."""
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
    os.environ.setdefault("TUNE_FORCE_TRIAL_CLEANUP_S", "10")
    os.environ.setdefault("TUNE_DISABLE_STRICT_METRIC_CHECKING", "1")  # not every epoch is validated
    os.environ.setdefault("TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S", "0")
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    assert ray.is_initialized()

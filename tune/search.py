"""A search from its space to its best settings."""

import functools
import math
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from engine.config import ConfigError, Recipe
from engine.data import open_split, open_training_splits
from evaluation.coco import COCO_METRICS
from evaluation.crowdpose import CROWDPOSE_METRICS
from evaluation.mpii import MPII_THRESHOLDS
from evaluation.pckh import PCKH_ROWS
from sharding.storage import Folder, open_folder
from tune.claim import claim
from tune.cluster import connected
from tune.experiment import Experiment, Finished, concurrency, run_experiment
from tune.failure import read_failure
from tune.held import held
from tune.places import absolute, with_absolute_places
from tune.progress import best_of, best_trial
from tune.schedulers import make_scheduler
from tune.searchers import make_searcher, sample_space
from tune.space import Space
from tune.trial import train_trial
from tune.trial_recipe import base_recipe

_METRICS = {
    "coco": COCO_METRICS,
    "crowdpose": CROWDPOSE_METRICS,
    "mpii": [f"PCKh@{threshold}{row}" for threshold in MPII_THRESHOLDS for row in ("", *(f"/{r}" for r in PCKH_ROWS))],
}


@dataclass(frozen=True)
class Outcome:
    """What a search found.

    Attributes:
        folder: URI of the experiment. finished, failed: numbers of trials.
        interrupted: the same command goes on.
        trial, value, settings: of the best trial; None and empty if no trial reported the metric.
        checkpoint: URI of the best trial's best checkpoint.
    """

    folder: str
    metric: str
    finished: int
    failed: int
    interrupted: bool
    trial: str | None
    value: float | None
    settings: dict[str, Any]
    checkpoint: str | None

    def lines(self) -> list[str]:
        """What to tell the user."""
        if self.interrupted:
            return ["interrupted; the same command goes on"]
        trials = f"{self.finished} trials, {self.failed} of them failed"
        if self.trial is None:
            return [f"{trials}: none reported {self.metric}; their reasons are in {self.folder}"]
        settings = [f"  {name}={value}" for name, value in self.settings.items()]
        found = f"best {self.metric} {self.value:.4g} in trial {self.trial} ({trials})"
        return [found, *settings, f"checkpoint: {self.checkpoint}", f"next: posestream tune report {self.folder}"]


def search(space: Space, out: str, console: Console, address: str | None = None, cpus: int | None = None) -> Outcome:
    """Run, or go on with, a search; its folder holds Ray's experiment and search.json.

    Args:
        out: local path, which all machines must see, or URI.
        address: of a Ray cluster; None starts Ray on this machine with `cpus` cores.
    Raises:
        ConfigError: the space does not fit the recipe, or the folder holds another search.
        ClusterError: no cluster, or a trial does not fit into it. StorageError: the folder cannot be used.
    """
    base, out = with_absolute_places(base_recipe(space)), absolute(out)  # trials have working folders of their own
    require_data(base, space.metric)
    folder = open_folder(out)
    with held(folder), connected(address, cpus):
        concurrent = concurrency(space.resources, space.concurrent)
        experiment = Experiment(
            folder=out,
            trial=functools.partial(train_trial, base=base, resources=space.resources, metric=space.metric, folder=out),
            space=sample_space(space),
            metric=space.metric,
            mode=space.mode,
            trials=space.trials,
            searcher=make_searcher(space, concurrent),
            scheduler=make_scheduler(space, base.train.epochs),
            resources=space.resources,
            concurrent=concurrent,
            max_failures=space.max_failures,
        )
        claim(folder, space, base)  # not before it is known that trials can run
        return _outcome(run_experiment(experiment, console), folder, space)


def require_data(base: Recipe, metric: str) -> None:
    """Raise, before anything is started, if a split cannot be opened, or its benchmark has no such metric."""
    open_training_splits(base)
    if base.data.val is None:
        return
    dataset = open_split(base.data.val, base.storage).manifest.dataset
    known = ("loss", *_METRICS[dataset])
    if metric not in known:
        raise ConfigError(f"{base.data.val} is scored as {dataset}: tune.metric={metric} is none of {', '.join(known)}")


def _outcome(finished: Finished, folder: Folder, space: Space) -> Outcome:
    trials = finished.trials
    failed = sum(read_failure(folder.subfolder(trial.trial_id)) is not None for trial in trials)
    best = best_trial(trials, folder, space.metric, space.mode)
    value = math.nan if best is None else best_of(best, space.metric, space.mode)
    return Outcome(
        folder=folder.uri,
        metric=space.metric,
        finished=sum(trial.is_finished() for trial in trials),
        failed=failed,
        interrupted=finished.interrupted,
        trial=None if best is None else best.trial_id,
        value=None if best is None else value,
        settings={} if best is None else dict(best.config),
        checkpoint=None if best is None else _best_checkpoint(best, folder, space),
    )


def _best_checkpoint(trial: Any, folder: Folder, space: Space) -> str | None:
    """Of the checkpoints that were kept; the one that was reported with the best value."""
    results = trial.run_metadata.checkpoint_manager.best_checkpoint_results
    scored = [one for one in results if space.metric in one.metrics]
    sign = 1 if space.mode == "max" else -1
    best = max(scored, key=lambda one: sign * one.metrics[space.metric], default=None)
    if best is None:
        return None
    name = best.checkpoint.path.rstrip("/").rsplit("/", 1)[-1]
    return folder.subfolder(trial.trial_id).subfolder(name).location("last.ckpt")

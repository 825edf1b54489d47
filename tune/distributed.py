"""One training on many GPUs and machines: Ray Train starts the processes, and again where some of them have died."""

import os
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ray
import torch
from ray import train as ray_train
from ray.exceptions import RayError
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.exceptions import ControllerError, TrainingFailedError, WorkerGroupError
from rich.console import Console

from engine.config import ConfigError, Recipe, override, parse_recipe
from engine.data import open_storage
from engine.observer import EpochReport
from engine.ranks import require_divisible
from engine.run_folder import LAST
from engine.train import train
from pose.errors import UserError
from sharding.storage import Folder
from tune.cluster import ClusterError, require_resources
from tune.interruption import own_interrupts
from tune.lines import Lines, heard
from tune.overseer import Overseer, failures
from tune.places import with_absolute_places

_ROOM_S = "20"  # then it is counted again how many workers there is room for: Ray notices late that a machine is gone


@dataclass(frozen=True)
class Workers:
    """Processes of a training. With fewer than `most` there is room for, it goes on with what there is, down to
    `least`; it takes more when they appear."""

    least: int = 1
    most: int = 1
    cpus: float = 1
    gpus: float = 0
    max_failures: int = 3


def train_on_workers(recipe: Recipe, workers: Workers, say: Callable[[str], None]) -> None:
    """Train a recipe in processes of the cluster that this one is connected to.

    A process or machine that dies costs what was trained since the last checkpoint. The run folder must be one that all
    machines reach: a shared disk or a URI.

    Args:
        say: told what the first worker says, and about deaths.
    Raises:
        ClusterError: the workers do not fit, or died too often. UserError: the training cannot go on.
    """
    if workers.gpus > 1 or (workers.most > 1 and workers.gpus % 1):
        raise ConfigError(f"{workers.gpus:g} GPUs per worker: a worker uses one, and only a single worker can share it")
    require_divisible(recipe.train.batch_size, *range(workers.least, workers.most + 1))
    require_resources(workers.cpus, workers.gpus, workers.least)
    recipe = with_absolute_places(recipe)
    folder = open_storage(recipe.run_dir, recipe.storage)
    folder.create()
    os.environ.setdefault("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", _ROOM_S)
    with heard(say) as lines, TemporaryDirectory(prefix="posestream-ray-") as record, own_interrupts():
        _fit(_trainer(recipe, workers, lines, record), folder)


def _trainer(recipe: Recipe, workers: Workers, lines: Lines, record: str) -> TorchTrainer:
    """Ray's record of this call is kept apart: what a later call goes on from is the run folder alone."""
    elastic = workers.least < workers.most
    return TorchTrainer(
        _worker,
        train_loop_config={"recipe": recipe.to_json(), "cpus": workers.cpus, "lines": lines},
        torch_config=TorchConfig(backend=_backend(workers.gpus)),
        scaling_config=ray_train.ScalingConfig(
            num_workers=(workers.least, workers.most) if elastic else workers.most,
            use_gpu=workers.gpus > 0,
            resources_per_worker={"CPU": workers.cpus} | ({"GPU": workers.gpus} if workers.gpus else {}),
        ),
        run_config=ray_train.RunConfig(
            storage_path=record,
            failure_config=ray_train.FailureConfig(max_failures=workers.max_failures),
            callbacks=[Overseer(lines)],
        ),
    )


def _fit(trainer: TorchTrainer, folder: Folder) -> None:
    try:
        trainer.fit()
    except TrainingFailedError as error:
        raise _reason(error, folder) from error
    except SystemExit as error:  # so Ray ends upon Ctrl-C
        raise ClusterError("interrupted; the same command goes on") from error
    except RayError as error:
        lost = f"the training in {folder.uri} lost its cluster: {_first_line(error)}; the same command goes on"
        raise ClusterError(lost) from error


def _reason(error: TrainingFailedError, folder: Folder) -> UserError:
    """What to tell whoever wanted the training."""
    if isinstance(error, ControllerError):
        cause = error.controller_failure
        return cause if isinstance(cause, UserError) else UserError(f"{type(cause).__name__}: {_first_line(cause)}")
    errors = error.worker_failures if isinstance(error, WorkerGroupError) else {}
    for mendable in errors.values():
        if isinstance(mendable, UserError):
            return mendable
    last = "; ".join(failures(errors)) or _first_line(error)
    return ClusterError(f"the training in {folder.uri} died too often, the last time: {last}; the same command goes on")


def _worker(config: dict[str, Any]) -> None:
    """One process."""
    threads, lines = max(1, int(config["cpus"])), config["lines"]
    torch.set_num_threads(threads)
    recipe = override(parse_recipe(config["recipe"]), [f"data.threads={threads}"])
    _require_shared(recipe.run_dir)
    train(recipe, Console(file=lines), _Reporter(recipe))


def _require_shared(run_dir: str) -> None:
    """Another machine could not go on with a folder of this one."""
    if "://" not in run_dir and not Path(run_dir).is_dir():
        raise ConfigError(
            f"run_dir={run_dir} was made, but not for {platform.node()}: give a folder that all machines share, or a "
            "URI such as s3://bucket/run"
        )


@dataclass
class _Reporter:
    """Tells Ray Train about every epoch. Checkpoints are in the run folder, which the next attempt goes on from."""

    recipe: Recipe
    start_from: Path | None = None
    may_change: frozenset[str] = frozenset()

    def epoch_done(self, report: EpochReport, checkpoint: Path | None) -> None:
        own = {name: value for name, value in vars(report).items() if name != "metrics"}
        last = open_storage(self.recipe.run_dir, self.recipe.storage).location(LAST)
        ray_train.report(own | report.metrics | {"checkpoint_path": last})


def _backend(gpus: float) -> str:
    """What the processes talk by: NCCL only where there really are GPUs, which Ray's resources do not tell."""
    if not gpus:
        return "gloo"
    probe = ray.remote(num_gpus=gpus, num_cpus=0)(torch.cuda.is_available)
    return "nccl" if ray.get(probe.remote()) else "gloo"


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]

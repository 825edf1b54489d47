"""One training on many GPUs and machines: Ray Train starts the processes, and again where some of them have died."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import torch
from ray import train as ray_train
from ray.exceptions import RayError
from ray.train.torch import TorchConfig, TorchTrainer
from ray.train.v2.api.callback import UserCallback
from ray.train.v2.api.exceptions import TrainingFailedError
from ray.util.queue import Empty, Queue
from rich.console import Console

from engine.config import Recipe, override, parse_recipe
from engine.observer import EpochReport
from engine.ranks import require_divisible
from engine.run_folder import LAST
from engine.train import train
from pose.errors import UserError
from sharding.storage import Folder, StorageError, open_folder
from tune.cluster import ClusterError, require_resources
from tune.experiment import filesystem_of
from tune.failure import FAILURE, read_failure, write_failure
from tune.places import with_absolute_places

_RAY_FILES = "ray"  # in the run folder
_REPEATING = (UserError, MemoryError, torch.OutOfMemoryError)


@dataclass(frozen=True)
class Workers:
    """Processes of a training. With fewer than `most` there is room for, it goes on with what there is, down to
    `least`; it takes more when they appear."""

    least: int = 1
    most: int = 1
    cpus: float = 1
    gpus: float = 0
    max_failures: int = 3


def train_on_workers(
    recipe: Recipe, workers: Workers, say: Callable[[str], None], callbacks: Sequence[UserCallback] = ()
) -> None:
    """Train a recipe in processes of the cluster that this one is connected to.

    A process or machine that dies costs what was trained since the last checkpoint. The run folder must be one that all
    machines reach: a shared disk or a URI.

    Args:
        say: told about finished epochs and deaths. callbacks: of Ray Train.
    Raises:
        ClusterError: the workers do not fit, or died too often. UserError: the training cannot go on.
    """
    for number in range(workers.least, workers.most + 1):
        require_divisible(recipe.train.batch_size, number)
    require_resources(workers.cpus, workers.gpus, workers.least)
    recipe = with_absolute_places(recipe)
    folder = open_folder(recipe.run_dir)
    folder.create()
    folder.delete_file(FAILURE)
    with _heard(say) as lines:
        trainer = TorchTrainer(
            _worker,
            train_loop_config={"recipe": recipe.to_json(), "cpus": workers.cpus, "gpus": workers.gpus},
            torch_config=TorchConfig(backend=_backend(workers.gpus)),
            scaling_config=ray_train.ScalingConfig(
                num_workers=workers.most if workers.least == workers.most else (workers.least, workers.most),
                use_gpu=workers.gpus > 0,
                resources_per_worker={"CPU": workers.cpus} | ({"GPU": workers.gpus} if workers.gpus else {}),
            ),
            run_config=ray_train.RunConfig(
                name=_RAY_FILES,
                storage_path=folder.path,
                storage_filesystem=filesystem_of(folder),
                failure_config=ray_train.FailureConfig(max_failures=workers.max_failures),
                callbacks=[_Speaker(lines), *callbacks],
            ),
        )
        _fit(trainer, folder)


def _fit(trainer: TorchTrainer, folder: Folder) -> None:
    # Ray takes up its own record of an earlier call, finished or failed; what counts is the run folder.
    folder.delete_folder(_RAY_FILES)
    try:
        trainer.fit()
    except TrainingFailedError as error:
        _raise_recorded(folder)
        died = f"the training in {folder.uri} died too often; the last time: {_last_line(error)}"
        raise ClusterError(died) from error
    _raise_recorded(folder)


def _raise_recorded(folder: Folder) -> None:
    failure = read_failure(folder)
    if failure is not None:
        raise UserError(f"{failure['kind']}: {failure['reason']}")


def _worker(config: dict[str, Any]) -> None:
    """One process. A failure that would repeat itself is recorded, so that the processes that Ray starts next know."""
    recipe = parse_recipe(config["recipe"])
    folder = open_folder(recipe.run_dir)
    if read_failure(folder) is not None:
        return
    threads = max(1, int(config["cpus"]))
    torch.set_num_threads(threads)
    own = override(recipe, [f"data.threads={threads}"])
    try:
        train(own, Console(), _Reporter(own))
    except StorageError:
        raise  # another attempt, later, can succeed
    except _REPEATING as error:
        write_failure(folder, type(error).__name__, str(error) or type(error).__name__)
        raise


@dataclass
class _Reporter:
    """Tells Ray Train about every epoch. Checkpoints are in the run folder, which the next attempt goes on from."""

    recipe: Recipe
    start_from: Path | None = None
    may_change: frozenset[str] = frozenset()

    def epoch_done(self, report: EpochReport, checkpoint: Path | None) -> None:
        own = {name: value for name, value in vars(report).items() if name != "metrics"}
        ray_train.report(own | report.metrics | {"checkpoint_path": f"{self.recipe.run_dir}/{LAST}"})


class _Speaker(UserCallback):
    """Sends lines from Ray's controller to the process that waits for it."""

    def __init__(self, lines: Queue) -> None:
        self._lines = lines

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        first = metrics[0]
        shown = "  ".join(
            f"{name} {value:.4g}" for name, value in first.items() if name in ("loss", "AP", "PCKh", "Mean")
        )
        pace = f"{first['samples_per_s']:.1f}/s  waiting for data {first['waiting']:.1%}"
        self._lines.put(f"epoch {first['epoch']}  {shown}  {pace}  on {len(metrics)} workers")

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        for rank, error in sorted(worker_exceptions.items()):
            self._lines.put(f"worker {rank} failed: {_last_line(error)}")


@contextmanager
def _heard(say: Callable[[str], None]) -> Iterator[Queue]:
    """A queue whose lines are said while they come, and until it is empty."""
    lines, ended = Queue(actor_options={"num_cpus": 0}), threading.Event()

    def listen() -> None:
        with suppress(RayError):
            while not ended.is_set() or not lines.empty():
                with suppress(Empty):
                    say(lines.get(timeout=0.5))

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    try:
        yield lines
    finally:
        ended.set()
        listener.join(timeout=10)
        lines.shutdown(force=True)


def _backend(gpus: float) -> str:
    """What the processes talk by: NCCL only where there really are GPUs, which Ray's resources do not tell."""
    if not gpus:
        return "gloo"
    probe = ray.remote(num_gpus=gpus, num_cpus=0)(torch.cuda.is_available)
    return "nccl" if ray.get(probe.remote()) else "gloo"


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1]

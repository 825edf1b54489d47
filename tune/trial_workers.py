"""A trial of several processes: the trial's own is rank 0, the others live in the places that Ray keeps for the trial.

They are Ray actors of the trial's process: when the search stops the trial, or its process dies, they die with it, and
their places are free.
"""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import ray
import torch
import torch.distributed as dist
from ray.exceptions import RayError
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from rich.console import Console

from engine.config import Recipe, parse_recipe
from engine.observer import EpochReport
from engine.train import train
from tune.failure import would_repeat
from tune.space import Resources

_GRACE_S = 10.0  # for rank 0 to fail by itself when another rank has


@contextmanager
def together(recipe: Recipe, resources: Resources, give_up: Callable[[Exception], None]) -> Iterator[None]:
    """Within it, `train` in this process is rank 0 of `resources.workers` processes that train the recipe.

    If another one fails, what is going on here raises, or this process is ended after ten seconds.

    Args:
        give_up: is told what another one raised, before this process is ended for it.
    """
    if resources.workers == 1:
        yield
        return
    place = Place(ray.util.get_node_ip_address(), _free_port(), resources.workers)
    others = [_start(rank, resources) for rank in range(1, resources.workers)]
    work = [other.train.remote(recipe.to_json(), place, rank) for rank, other in enumerate(others, start=1)]
    ended = threading.Event()
    threading.Thread(target=_watch, args=(work, ended, give_up), daemon=True).start()
    try:
        with _environment(place.variables(rank=0)):
            yield
    except Exception as error:
        ended.set()
        if not would_repeat(error):  # another one's end, which may have had a reason
            _raise_what_would_repeat(work)
        raise
    finally:
        ended.set()
        for other in others:
            ray.kill(other)
        if dist.is_initialized():
            dist.destroy_process_group()


@dataclass(frozen=True)
class Place:
    """Where rank 0 is found, and how many ranks there are."""

    address: str
    port: int
    size: int

    def variables(self, rank: int) -> dict[str, str]:
        """As torchrun sets them. A process sees its own GPUs only, so that each is the first one of its machine."""
        return {
            "MASTER_ADDR": self.address,
            "MASTER_PORT": str(self.port),
            "WORLD_SIZE": str(self.size),
            "RANK": str(rank),
            "LOCAL_RANK": "0",
            "LOCAL_WORLD_SIZE": "1",
        }


class _Other:
    """A rank besides the first."""

    def train(self, recipe: str, place: Place, rank: int) -> None:
        os.environ.update(place.variables(rank))
        own = parse_recipe(recipe)
        torch.set_num_threads(own.data.threads)
        train(own, Console(file=StringIO()), _Silent())


@dataclass(frozen=True)
class _Silent:
    """Rank 0 says where to start from, and reports."""

    start_from: Path | None = None
    may_change: frozenset[str] = frozenset()

    def epoch_done(self, report: EpochReport, checkpoint: Path | None) -> None:
        pass


def _start(rank: int, resources: Resources) -> Any:
    kept = PlacementGroupSchedulingStrategy(ray.util.get_current_placement_group(), placement_group_bundle_index=rank)
    options = {"num_cpus": resources.cpus, "num_gpus": resources.gpus, "scheduling_strategy": kept}
    return ray.remote(**options)(_Other).remote()


def _watch(work: list[Any], ended: threading.Event, give_up: Callable[[Exception], None]) -> None:
    try:
        ray.get(work)
    except RayError as error:
        if not ended.wait(_GRACE_S):
            give_up(_cause(error))
            os._exit(1)  # it waits for ranks that are no more; the search starts the trial again


def _raise_what_would_repeat(work: list[Any]) -> None:
    ready, _ = ray.wait(work, num_returns=len(work), timeout=_GRACE_S)
    for one in ready:
        try:
            ray.get(one)
        except RayError as error:
            if would_repeat(_cause(error)):
                raise _cause(error) from error


def _cause(error: RayError) -> Exception:
    """What was raised in the other process; the error itself if that died."""
    return getattr(error, "cause", None) or error


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])

"""What limits a training's speed: the loader or the network, each measured alone at the end of the run."""

import itertools
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from engine.clock import Pace
from engine.learner import Learner
from engine.ranks import Ranks
from pipelines.loader import BatchLoader
from pose.errors import UserError

VERDICT = "verdict.json"


@dataclass(frozen=True)
class Verdict:
    """Samples per second of all ranks: achieved, by the loader alone, by the network alone; and the share of time spent
    waiting.

    On a CPU the two share its cores, so that together they reach less than either alone.
    """

    achieved: float
    loader_alone: float
    network_alone: float
    waiting: float

    @property
    def limit(self) -> str:
        """What to make faster first."""
        return "loader" if self.loader_alone < self.network_alone else "network"

    def line(self, unit: str) -> str:
        return (
            f"{self.achieved:.1f} {unit}/s; alone, the loader makes {self.loader_alone:.1f} and the network takes "
            f"{self.network_alone:.1f}; waiting for data {self.waiting:.1%} of the time: "
            f"the limit is the {self.limit}"
        )

    def write(self, run_dir: Path) -> None:
        content = {name: round(value, 4) for name, value in asdict(self).items()} | {"limit": self.limit}
        part = run_dir / f"{VERDICT}.partial"
        part.write_text(json.dumps(content, indent=1) + "\n")
        os.replace(part, run_dir / VERDICT)


def judge(pace: Pace, loader: BatchLoader[Any], learner: Learner, device: torch.device, seconds: float) -> Verdict:
    """Measure loader and network alone, for `seconds` each. Moves the loader on and changes the network's weights."""
    batch, loader_alone = _loader_measured(loader, learner.ranks, seconds)
    return Verdict(
        achieved=pace.rate,
        loader_alone=loader_alone,
        network_alone=_network_rate(learner, batch, loader.step, device, seconds),
        waiting=pace.waiting,
    )


def _loader_measured(loader: BatchLoader[Any], ranks: Ranks, seconds: float) -> tuple[Any, float]:
    """A batch, and the rate of all ranks' loaders together. Raises UserError on every rank if one of them fails."""
    batch, rate, failed = None, 0.0, ""
    try:
        batch = next(iter(loader))
        loader.close()  # what was fetched ahead while the network worked does not count
        rate = _loader_rate(loader, seconds)
    except (UserError, OSError) as error:
        failed = str(error)
    answers = ranks.share((rate, failed))
    for _, reason in answers:
        if reason:
            raise UserError(reason)
    return batch, sum(rate for rate, _ in answers)


def _loader_rate(loader: BatchLoader[Any], seconds: float) -> float:
    """Valid samples per second of a loader that nobody else keeps busy. Closes it."""
    batches = _endless(loader)
    next(batches)  # threads and graph are up
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        count += int(next(batches).valid.sum())
    rate = count / (time.perf_counter() - started)
    loader.close()
    return rate


def _network_rate(learner: Learner, batch: Any, step: int, device: torch.device, seconds: float) -> float:
    """Valid samples per second of training on one batch again and again."""

    steps = itertools.count()

    def learn() -> int:
        learned = learner.learn(batch, step + next(steps))  # steps go on: one in `accumulate` is the optimiser's
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return int(learned.samples)

    learn()
    count, started = 0, time.perf_counter()
    while learner.ranks.agreed(lambda: time.perf_counter() - started < seconds):
        count += learn()
    return count / (time.perf_counter() - started)


def _endless(loader: BatchLoader[Any]) -> Iterator[Any]:
    while True:
        yield from loader

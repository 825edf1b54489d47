"""How training goes: mean loss, speed, and the share of time spent waiting for data."""

import time
from dataclasses import dataclass
from typing import Any

import torch

from engine.learner import Learned
from pipelines.loader import BatchLoader


@dataclass
class Pace:
    """Samples trained on by all ranks, the seconds that it took, and those of them that were spent in the loader."""

    samples: int = 0
    seconds: float = 0.0
    waited: float = 0.0

    @property
    def rate(self) -> float:
        """Samples per second."""
        return self.samples / max(self.seconds, 1e-9)

    @property
    def waiting(self) -> float:
        """The share of time spent in the loader."""
        return self.waited / max(self.seconds, 1e-9)

    def add(self, other: "Pace") -> None:
        self.samples += other.samples
        self.seconds += other.seconds
        self.waited += other.waited


class EpochClock:
    """Starts when it is made. `loss` is the mean over the samples so far, of all ranks."""

    def __init__(self, loader: BatchLoader[Any]) -> None:
        self._loader = loader
        self._started = time.perf_counter()
        self._waited_before = loader.waited_s
        self._samples = torch.zeros((), dtype=torch.float64)
        self._loss = torch.zeros(())

    def count(self, learned: Learned) -> None:
        """Does not wait for a GPU."""
        device = learned.loss.device
        self._samples = self._samples.to(device) + learned.samples
        self._loss = self._loss.to(device) + learned.samples * learned.loss

    @property
    def loss(self) -> float:
        return float(self._loss) / max(float(self._samples), 1)

    @property
    def pace(self) -> Pace:
        seconds, waited = time.perf_counter() - self._started, self._loader.waited_s - self._waited_before
        return Pace(int(self._samples), seconds, waited)

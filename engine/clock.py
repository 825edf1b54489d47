"""How training goes: mean loss, speed, and the share of time spent waiting for data."""

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from pipelines.loader import BatchLoader


@dataclass
class Pace:
    """Samples trained on, the seconds that it took, and those of them that were spent in the loader."""

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
    """Starts when it is made. `loss` is the mean over the samples so far."""

    def __init__(self, loader: BatchLoader[Any]) -> None:
        self._loader = loader
        self._started = time.perf_counter()
        self._waited_before = loader.waited_s
        self._samples = 0
        self._loss = torch.zeros(())

    def count(self, samples: int, loss: Tensor) -> None:
        self._samples += samples
        self._loss = self._loss.to(loss.device) + samples * loss

    @property
    def loss(self) -> float:
        return float(self._loss) / max(self._samples, 1)

    @property
    def pace(self) -> Pace:
        return Pace(self._samples, time.perf_counter() - self._started, self._loader.waited_s - self._waited_before)

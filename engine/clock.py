"""How an epoch goes: its mean loss, its speed, and the share of time spent waiting for data."""

import time

import torch
from torch import Tensor

from pipelines.topdown import TopDownLoader


class EpochClock:
    """Starts when it is made. `rate` is samples per second, `waiting` the share of time spent in the loader, `loss` the
    mean over the samples so far."""

    def __init__(self, loader: TopDownLoader) -> None:
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
    def rate(self) -> float:
        return self._samples / self._elapsed

    @property
    def waiting(self) -> float:
        return (self._loader.waited_s - self._waited_before) / self._elapsed

    @property
    def _elapsed(self) -> float:
        return max(time.perf_counter() - self._started, 1e-9)

"""How fast an epoch goes, and which share of it is spent waiting for data."""

import time

from pipelines.topdown import TopDownLoader


class EpochClock:
    """Starts when it is made. `rate` is samples per second, `waiting` the share of time spent in the loader."""

    def __init__(self, loader: TopDownLoader) -> None:
        self._loader = loader
        self._started = time.perf_counter()
        self._waited_before = loader.waited_s
        self._samples = 0

    def count(self, samples: int) -> None:
        self._samples += samples

    @property
    def rate(self) -> float:
        return self._samples / self._elapsed

    @property
    def waiting(self) -> float:
        return (self._loader.waited_s - self._waited_before) / self._elapsed

    @property
    def _elapsed(self) -> float:
        return max(time.perf_counter() - self._started, 1e-9)

"""Ctrl-C while trials run: they end, what they stored stays, and whoever waits for them is told."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial


class Interruption(Callback):
    """`seen` once the search was interrupted. Ray ends its trials then, and calls every one of them finished."""

    def __init__(self) -> None:
        self.seen = False
        self._of_ray: Any = None

    def on_step_begin(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if self._of_ray is None and threading.current_thread() is threading.main_thread():
            self._of_ray = signal.getsignal(signal.SIGINT)  # Ray has set it by now
            signal.signal(signal.SIGINT, self._note)

    def _note(self, number: int, frame: Any) -> None:
        self.seen = True
        if callable(self._of_ray):
            self._of_ray(number, frame)


@contextmanager
def own_interrupts() -> Iterator[None]:
    """Ray answers Ctrl-C while it works, and would do so ever after."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

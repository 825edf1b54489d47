"""What a scheduler knows outlives the process that leads the search."""

from typing import Any

from ray.tune import Callback
from ray.tune.schedulers import AsyncHyperBandScheduler

from tune.schedulers import Cloning


class Remembering(Callback):
    """Ray stores nothing of a scheduler, but this with its own state, and hands it to a search that goes on."""

    def __init__(self, scheduler: Any) -> None:
        self.scheduler = scheduler

    def get_state(self) -> dict[str, Any] | None:
        if isinstance(self.scheduler, AsyncHyperBandScheduler):
            return {"rungs": [bracket._rungs for bracket in self.scheduler._brackets]}
        if isinstance(self.scheduler, Cloning):
            return {"trials": self.scheduler.known()}
        return None

    def set_state(self, state: dict[str, Any]) -> None:
        if isinstance(self.scheduler, AsyncHyperBandScheduler):
            for bracket, rungs in zip(self.scheduler._brackets, state["rungs"], strict=True):
                bracket._rungs = rungs
        elif isinstance(self.scheduler, Cloning):
            self.scheduler.remember(state["trials"])

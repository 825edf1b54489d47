"""Which checkpoints of an experiment stay."""

import json
import logging
import math
import time
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from sharding.storage import Folder, StorageError
from tune.schedulers import Cloning

STATE = "experiment_state-"
_LOOK_EVERY_S = 5.0  # Ray stores its state every ten seconds at most
_log = logging.getLogger(__name__)

Place = tuple[str, str]  # a trial's id and the name of one of its checkpoints


class Keeping(Callback):
    """Deletes a trial's checkpoints but its best, its last, and those that another trial goes on from or may clone.

    Ray's own rule looks at one trial at a time, and deletes what a clone still waits to start from. Nothing is deleted
    before Ray has stored a state that no longer names it: a search that was killed goes on from the stored state.
    """

    def __init__(self, folder: Folder, scheduler: Any, metric: str, mode: str) -> None:
        self.folder, self.scheduler = folder, scheduler
        self._metric, self._sign = metric, 1 if mode == "max" else -1
        self._given_up: dict[Place, int] = {}  # and the driver's iteration in which it was
        self._looked_s = -_LOOK_EVERY_S

    def on_trial_save(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        held = {_place(one.checkpoint) for one in trials if one.checkpoint is not None}
        if isinstance(self.scheduler, Cloning):
            held |= self.scheduler.may_be_cloned()
        manager = trial.run_metadata.checkpoint_manager
        results = manager._checkpoint_results
        best = self._best(results)
        gone = [one for one in results if one is not best and _place(one.checkpoint) not in held]
        manager._checkpoint_results = [one for one in results if one not in gone]
        self._given_up |= {_place(one.checkpoint): iteration for one in gone}
        if self._given_up and time.monotonic() - self._looked_s >= _LOOK_EVERY_S:
            self._delete_what_no_state_names()
            self._looked_s = time.monotonic()

    def _best(self, results: list[Any]) -> Any:
        """Not every epoch is validated; where none was yet, the newest."""
        scored = [one for one in results if not math.isnan(one.metrics.get(self._metric, math.nan))]
        return max(scored, key=lambda one: self._sign * one.metrics[self._metric], default=results[-1])

    def on_experiment_end(self, trials: list[Trial], **info: Any) -> None:
        self._delete_what_no_state_names()

    def get_state(self) -> dict[str, Any]:
        """Ray stores it with its own state."""
        return {"given_up": dict(self._given_up)}

    def set_state(self, state: dict[str, Any]) -> None:
        """What the state that the search goes on from still names is in use again."""
        stored = self._stored_iteration()
        self._given_up = {place: when for place, when in state["given_up"].items() if when < stored}

    def _delete_what_no_state_names(self) -> None:
        """What cannot be deleted now is tried again later."""
        if not self._given_up:
            return
        stored = self._stored_iteration()
        for (trial, name), when in list(self._given_up.items()):
            if when < stored:
                try:
                    self.folder.subfolder(trial).delete_folder(name)
                except StorageError as error:
                    _log.warning("%s", error)
                    return
                del self._given_up[trial, name]

    def _stored_iteration(self) -> int:
        """The driver's iteration in which it wrote the newest stored state; -1 if that cannot be read."""
        try:
            states = [name for name in self.folder.names() if name.startswith(STATE)]
            return int(json.loads(self.folder.read(max(states)))["runner_data"]["_iteration"]) if states else -1
        except (StorageError, ValueError, KeyError, TypeError) as error:  # it may be half written
            _log.warning("the state of the search in %s cannot be read now: %s", self.folder.uri, error)
            return -1


def _place(checkpoint: Any) -> Place:
    """Its own trial may be another than that which goes on from it."""
    trial, name = checkpoint.path.rstrip("/").rsplit("/", 2)[-2:]
    return trial, name

"""Which checkpoints of an experiment stay."""

import logging
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from sharding.storage import Folder, StorageError
from tune.schedulers import Cloning

_log = logging.getLogger(__name__)


class Keeping(Callback):
    """Deletes a trial's checkpoints but its best, its last, and those that another trial goes on from or may clone.

    Ray's own rule looks at one trial at a time, and deletes what a clone still waits to start from.
    """

    def __init__(self, folder: Folder, scheduler: Any) -> None:
        self.folder, self.scheduler = folder, scheduler

    def on_trial_save(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        held = {_place(one.checkpoint) for one in trials if one.checkpoint is not None}
        if isinstance(self.scheduler, Cloning):
            held |= self.scheduler.may_be_cloned()
        manager = trial.run_metadata.checkpoint_manager
        *others, best = manager._checkpoint_results  # the best one is the last
        gone = [one for one in others if _place(one.checkpoint) not in held and self._delete(_place(one.checkpoint))]
        manager._checkpoint_results = [one for one in others if one not in gone] + [best]

    def _delete(self, place: tuple[str, str]) -> bool:
        """Whether it is gone; what cannot be deleted now is tried again at the next save."""
        trial, name = place
        try:
            self.folder.subfolder(trial).delete_folder(name)
        except StorageError as error:
            _log.warning("%s", error)
            return False
        return True


def _place(checkpoint: Any) -> tuple[str, str]:
    """Its trial's id, which may be another than that which goes on from it, and its name."""
    trial, name = checkpoint.path.rstrip("/").rsplit("/", 2)[-2:]
    return trial, name

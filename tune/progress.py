"""A line for every trial that ends, and which one is the best."""

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from rich.console import Console

from sharding.storage import Folder, StorageError
from tune.failure import read_failure, write_failure

_log = logging.getLogger(__name__)


class Progress(Callback):
    """Says how each trial ended; Ray calls it in the process that leads the search.

    Args:
        compete: say as well which trial is the best so far.
    """

    def __init__(self, console: Console, folder: Folder, metric: str, mode: str, compete: bool) -> None:
        self.console, self.folder, self.metric, self.mode, self.compete = console, folder, metric, mode, compete
        self.ended = 0

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        failure = None
        with _the_trial_counts_all_the_same():
            failure = read_failure(self.folder.subfolder(trial.trial_id))
        self._say(trials, trial, self._result(trial) if failure is None else f"failed: {failure['reason']}")

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        reason = str(trial.get_error() or "its process died").strip().splitlines()[-1]
        with _the_trial_counts_all_the_same():
            write_failure(self.folder.subfolder(trial.trial_id), "Died", reason)
        self._say(trials, trial, f"failed after {trial.num_failures} attempts: {reason}")

    def on_trial_recover(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._print(f"trial {trial.trial_id} died, goes on from its last checkpoint")

    def _result(self, trial: Trial) -> str:
        epoch = (trial.last_result or {}).get("epoch", 0)
        return f"{self.metric} {best_of(trial, self.metric, self.mode):.4g} after {epoch} epochs"

    def _say(self, trials: list[Trial], trial: Trial, result: str) -> None:
        self.ended += 1
        settings = ", ".join(f"{name}={_short(value)}" for name, value in trial.evaluated_params.items())
        self._print(f"trial {trial.trial_id}  {result}  {settings}")
        with _the_trial_counts_all_the_same():
            if self.compete and best_trial(trials, self.folder, self.metric, self.mode) is trial:
                self._print(f"  the best of {self.ended} so far")

    def _print(self, text: str) -> None:
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def _the_trial_counts_all_the_same() -> Iterator[None]:
    """Ray takes a trial for dead if its callbacks fail, as they do while the store is away."""
    try:
        yield
    except StorageError as error:
        _log.warning("%s", error)


def best_of(trial: Trial, metric: str, mode: str) -> float:
    """The best value that a trial reported; NaN if none."""
    return float(trial.metric_analysis.get(metric, {}).get(mode, math.nan))


def best_trial(trials: list[Trial], folder: Folder, metric: str, mode: str) -> Trial | None:
    """The first of those with the best value, of trials that did not fail; None if there is none."""
    sign = 1 if mode == "max" else -1
    scored = [trial for trial in trials if not math.isnan(best_of(trial, metric, mode))]
    for trial in sorted(scored, key=lambda trial: -sign * best_of(trial, metric, mode)):
        if read_failure(folder.subfolder(trial.trial_id)) is None:
            return trial
    return None


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)

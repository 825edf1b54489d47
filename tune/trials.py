"""What is known of a search's trials, read from the folder that they were stored in. Needs no Ray."""

import json
import math
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from sharding.storage import Folder
from tune.trial_files import ReportedEpoch, TrialFiles, list_trial_files, read_states, reported_epochs

Status = Literal["running", "finished", "stopped", "failed"]
_READERS = 8
SEARCH = "search.json"


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        settings: the searched settings, by dotted name; where they changed in the course of it, the last ones.
        epochs: what it reported, oldest first: epoch, step, loss, the metrics by name, samples_per_s, waiting, seconds,
            timestamp (of the report, s since 1970).
        status: "stopped" by the scheduler before its last epoch. "running" is what Ray last wrote: the process that
            leads the search may have died since.
        reason: why it failed, else None.
        checkpoint: URI of the checkpoint with the best metric among those that were kept, None without one.
    """

    id: str
    settings: dict[str, Any]
    epochs: tuple[dict[str, float], ...]
    status: Status
    reason: str | None
    checkpoint: str | None


def read_trials(folder: Folder) -> list[Trial]:
    """A search's trials in the order in which they began; none if it has not begun any.

    A line or file that is half written, as while the search runs or after a kill, is left out. Folders that are no
    trial's are ignored, and so are trials that wait for their turn.

    Raises:
        StorageError: the folder cannot be read.
    """
    listed = list_trial_files(folder)
    plan = _plan(folder)
    states = read_states(folder)
    with ThreadPoolExecutor(_READERS) as readers:
        known = list(readers.map(lambda files: _read(files, states.get(files.id, {}), plan), listed))
    return [trial for _, trial in sorted(known, key=lambda pair: (pair[0], pair[1].id))]


def scores(trial: Trial, metric: str) -> list[float]:
    """The metric's values that are numbers, oldest first."""
    return [epoch[metric] for epoch in trial.epochs if math.isfinite(epoch.get(metric, math.nan))]


def best_score(trial: Trial, metric: str, mode: str) -> float | None:
    """The best value that it reported; None without one."""
    return (max if mode == "max" else min)(scores(trial, metric), default=None)


def ranked(trials: Iterable[Trial], metric: str, mode: str) -> list[Trial]:
    """The best first; then those that failed, the best first; then those without a value."""

    def rank(trial: Trial) -> tuple[bool, bool, float]:
        score = best_score(trial, metric, mode)
        return score is None, trial.status == "failed", 0.0 if score is None else -score if mode == "max" else score

    return sorted(trials, key=rank)


def best_trial(trials: Sequence[Trial], metric: str, mode: str) -> Trial | None:
    """The best of those that did not fail; None if none of them has a value."""
    first = next(iter(ranked(trials, metric, mode)), None)
    return None if first is None or first.status == "failed" or not scores(first, metric) else first


@dataclass(frozen=True)
class _Plan:
    """`names` of the searched settings; of a folder without search.json, everything is unknown."""

    metric: str | None = None
    mode: str = "max"
    names: frozenset[str] | None = None
    epochs: int | None = None


def _plan(folder: Folder) -> _Plan:
    if not folder.exists(SEARCH):
        return _Plan()
    try:
        found = json.loads(folder.read(SEARCH))
        epochs = found["base"]["train"]["epochs"]
        return _Plan(found["metric"], found["mode"], frozenset(found["search"]), epochs)
    except (ValueError, KeyError, TypeError):
        return _Plan()


def _read(files: TrialFiles, state: dict[str, Any], plan: _Plan) -> tuple[float, Trial]:
    """When it began, and the trial."""
    reported = reported_epochs(files.read("result.json"))
    config = reported[-1].config if reported else files.read_json("params.json") or state.get("config", {})
    settings = {name: value for name, value in config.items() if plan.names is None or name in plan.names}
    reason = files.failure(state)
    began = min([state.get("start_time") or math.inf, *(one.numbers.get("timestamp", math.inf) for one in reported)])
    return began, Trial(
        id=files.id,
        settings=settings,
        epochs=tuple(one.numbers for one in reported),
        status="failed" if reason else _status(reported, state, settings.get("train.epochs", plan.epochs)),
        reason=reason,
        checkpoint=_best_checkpoint(files, reported, plan),
    )


def _status(reported: list[ReportedEpoch], state: dict[str, Any], planned: Any) -> Status:
    """Ray calls all of them terminated; a trial that its scheduler ended was told so at its last report."""
    last = reported[-1] if reported else None
    if last is not None and isinstance(planned, int) and last.numbers["epoch"] >= planned:
        return "finished"
    if last is not None and last.done:
        return "stopped"
    return "finished" if state.get("status") == "TERMINATED" else "running"


def _best_checkpoint(files: TrialFiles, reported: list[ReportedEpoch], plan: _Plan) -> str | None:
    kept = [(one, files.checkpoint(one)) for one in reported]
    stored = [(one.numbers, where) for one, where in kept if where is not None]
    scored = [pair for pair in stored if math.isfinite(pair[0].get(plan.metric or "", math.nan))]
    if not scored:
        return stored[-1][1] if stored else None
    sign = 1 if plan.mode == "max" else -1
    return max(scored, key=lambda pair: sign * pair[0][plan.metric or ""])[1]

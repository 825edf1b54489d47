"""Ray Tune's own files in an experiment folder (Ray 2.60), and a trial's note of its failure."""

import json
import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyarrow import fs as arrow_fs

from sharding.retry import call
from sharding.storage import Folder, StorageError

_OF_A_TRIAL = {"params.json", "result.json", "error.txt", "failure.json"}
_CHECKPOINT = "last.ckpt"
_STATE = "experiment_state-"
_OF_RAY = {
    "done", "should_checkpoint", "training_iteration", "pid", "time_this_iter_s", "time_total_s", "time_since_restore",
    "iterations_since_restore", "episodes_total", "timesteps_total", "timesteps_since_restore",
}  # fmt: skip
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_ATTEMPT = re.compile(r"^Failure # (\d+) \(occurred at [^)]*\)\n", re.MULTILINE)
_RAISED = re.compile(r"^[\w.]+(?:Error|Exception|Interrupt|Exit)\b.*\Z", re.MULTILINE | re.DOTALL)
_DIED = re.compile(r"The actor is dead because .*?(?= Some common causes|\n|\Z)")
_LONGEST_REASON = 500


@dataclass(frozen=True)
class ReportedEpoch:
    """A line of result.json.

    Attributes:
        numbers: what the trial reported, by name, and `timestamp`, s since 1970.
        config: the settings that it had then. done: its scheduler ended it here.
        checkpoint: name of the folder or URI of the file that was stored with it, empty without one.
    """

    numbers: dict[str, float]
    config: dict[str, Any]
    done: bool
    checkpoint: str


@dataclass(frozen=True)
class TrialFiles:
    """A trial's folder; `names` of all files in it, with the folders that they are in."""

    folder: Folder
    names: frozenset[str]

    @property
    def id(self) -> str:
        return self.folder.name

    def read(self, name: str) -> str:
        """A file's text, empty if there is none, or no longer: Ray replaces files while it runs."""
        if name not in self.names:
            return ""
        try:
            return self.folder.read(name).decode("utf-8", errors="replace")
        except StorageError:
            if self.folder.exists(name):
                raise
            return ""

    def read_json(self, name: str) -> dict[str, Any]:
        """The object in a file; empty if there is none or it is half written."""
        return _object(self.read(name))

    def failure(self, state: Mapping[str, Any]) -> str | None:
        """Why the trial failed for good; None if it did not."""
        noted = self.read_json("failure.json")
        if noted:
            return str(noted.get("reason") or noted.get("kind") or "unknown")
        errors = _ATTEMPT.split(self.read("error.txt"))
        attempts, last = len(errors) // 2, errors[-1]
        allowed = state.get("max_failures", 0)
        gone = state.get("status") != "TERMINATED" and 0 <= allowed < attempts  # Ray's last note can come too early
        if state.get("status") == "ERROR" or gone:
            return _reason(last)
        return None

    def checkpoint(self, reported: ReportedEpoch) -> str | None:
        """URI of the file; None if it was deleted."""
        if "/" in reported.checkpoint:
            return reported.checkpoint
        file = f"{reported.checkpoint}/{_CHECKPOINT}"
        return self.folder.location(file) if file in self.names else None


def list_trial_files(folder: Folder) -> list[TrialFiles]:
    """Every trial's. Raises StorageError."""
    selector = arrow_fs.FileSelector(folder.path, allow_not_found=True, recursive=True)
    infos = call(lambda: folder.filesystem.get_file_info(selector), f"look into {folder.uri}", folder.retry)
    names: dict[str, set[str]] = defaultdict(set)
    for info in infos:
        trial, _, name = info.path[len(folder.path) :].strip("/").partition("/")
        if info.is_file and name:
            names[trial].add(name)
    return [
        TrialFiles(folder.subfolder(trial), frozenset(found))
        for trial, found in sorted(names.items())
        if found & _OF_A_TRIAL
    ]


def read_states(folder: Folder) -> dict[str, dict[str, Any]]:
    """By trial id, what Ray last noted of it: status, config, start_time, max_failures. Notes come late."""
    for name in reversed([name for name in folder.names() if name.startswith(_STATE)]):
        trials = _object(folder.read(name).decode("utf-8", errors="replace")).get("trial_data", [])
        pairs = [(_object(state), _object(course)) for state, course in trials]
        if pairs:
            return {state.get("trial_id", ""): state | course for state, course in pairs}
    return {}


def reported_epochs(text: str) -> list[ReportedEpoch]:
    """The lines of result.json. Where a trial went back, to its own or another's checkpoint, later epochs go."""
    epochs: list[ReportedEpoch] = []
    for line in text.splitlines():
        row = _object(line)
        if not row:
            continue  # half written; the next one begins behind it in the same line, and is lost too
        one = _reported(row)
        epochs = [earlier for earlier in epochs if earlier.numbers["epoch"] < one.numbers["epoch"]]
        epochs.append(one)
    return epochs


def _reported(row: dict[str, Any]) -> ReportedEpoch:
    numbers = {name: float(value) for name, value in row.items() if name not in _OF_RAY and _is_number(value)}
    numbers.setdefault("epoch", float(row.get("training_iteration", 0)))
    checkpoint = row.get("checkpoint_path") or row.get("checkpoint_dir_name") or ""
    return ReportedEpoch(numbers, row.get("config") or {}, bool(row.get("done")), str(checkpoint))


def _reason(attempt: str) -> str:
    """What was raised, or how the process died, from a block of error.txt."""
    text = _COLOUR.sub("", attempt).strip()
    raised, died = _RAISED.search(text), _DIED.search(text)
    found = raised[0] if raised else died[0] if died else text
    return found[:_LONGEST_REASON] or "its process died"


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)

"""Experiment folders with Ray's files, written by hand: what a search of known trials leaves behind."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.config import parse_recipe
from tune.claim import as_data
from tune.distributions import Choice, LogUniform
from tune.space import Asha, Space

RECIPE = {
    "name": "tiny",
    "data": {"train": "/data/train", "val": "/data/val", "crop_size": [64, 32]},
    "model": {"name": "simplebaseline_resnet18"},
    "optim": {"lr": 2e-3, "milestones": [1]},
    "train": {"epochs": 4, "batch_size": 8},
}
SEARCH = {
    "optim.lr": LogUniform(1e-5, 1e-1),
    "optim.name": Choice("adam", "adamw"),
    "optim.milestones": Choice((1,), (2, 3)),
}
SETTINGS = {"optim.lr": 1e-3, "optim.name": "adam", "optim.milestones": "[2, 3]"}
CHECKPOINT = "last.ckpt"


@dataclass(frozen=True)
class Made:
    """A trial to write: the `scores` of its epochs (None: not validated), and what Ray notes about it."""

    id: str
    scores: tuple[float | None, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    status: str = "TERMINATED"
    stopped: bool = False
    failure: str | None = None
    start: float = 0.0
    kept: int = 2


def write_search(folder: Path, search: dict[str, Any] | None = None, epochs: int = 4, **fields: Any) -> None:
    """search.json as a search writes it."""
    base = parse_recipe(RECIPE | {"train": {"epochs": epochs, "batch_size": 8}})
    space = Space(recipe="tiny", search=search or SEARCH, trials=8, **{"scheduler": Asha(), **fields})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "search.json").write_text(json.dumps(as_data(space, base) | {"versions": {"ray": "2.60.0"}}))


def write_trials(folder: Path, *trials: Made) -> None:
    """Their folders, and Ray's state of all of them."""
    for trial in trials:
        _write_trial(folder / trial.id, trial)
    data = [
        [
            json.dumps(
                {"trial_id": one.id, "status": one.status, "config": SETTINGS | one.settings, "max_failures": 3}
            ),
            json.dumps({"start_time": one.start}),
        ]
        for one in trials
    ]
    (folder / "experiment_state-2026-11-20_12-00-00.json").write_text(json.dumps({"trial_data": data}))


def line(epoch: int, score: float | None = None, **more: Any) -> str:
    """One of result.json; `more` replaces or adds."""
    row = {
        "epoch": epoch, "step": 10 * epoch, "loss": 1 / epoch, "samples_per_s": 50.0, "waiting": 0.1, "seconds": 2.0,
        "timestamp": 1795216000 + epoch, "checkpoint_dir_name": f"checkpoint_{epoch - 1:06d}", "pid": 7, "done": False,
        "training_iteration": epoch, "config": SETTINGS,
    }  # fmt: skip
    return json.dumps(row | ({} if score is None else {"AP": score}) | more) + "\n"


def _write_trial(folder: Path, trial: Made) -> None:
    folder.mkdir(parents=True)
    config = SETTINGS | trial.settings
    (folder / "params.json").write_text(json.dumps(config))
    last = len(trial.scores)
    lines = [
        line(epoch, score, config=config, done=trial.stopped and epoch == last)
        for epoch, score in enumerate(trial.scores, start=1)
    ]
    (folder / "result.json").write_text("".join(lines))
    for epoch in range(max(last - trial.kept, 0), last):
        (folder / f"checkpoint_{epoch:06d}").mkdir()
        (folder / f"checkpoint_{epoch:06d}" / CHECKPOINT).write_bytes(b"weights")
    if trial.failure is not None:
        (folder / "failure.json").write_text(json.dumps({"reason": trial.failure, "kind": "DivergedError"}))

"""Trials that are watched from inside, and that fail on demand. They travel to Ray's workers by value."""

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import ray
import torch
from ray import cloudpickle
from ray import tune as ray_tune

from engine.config import Recipe, override
from engine.topdown import TopDownTask
from tune import trial as trial_module
from tune.space import Resources
from tune.trial import train_trial

cloudpickle.register_pickle_by_value(sys.modules[__name__])


def watched_trial(
    config: dict[str, Any],
    base: Recipe,
    folder: str,
    notes: str,
    die_at: int | None = None,
    slow_s: float = 0.0,
    resources: Resources | None = None,
) -> None:
    """A tiny training that notes every batch's instances; its process kills itself once, at batch `die_at`.

    `fault` in the settings makes the loss fail in that way, from the first epoch on.
    """
    fault = config.get("fault", "none")
    settings = {name: value for name, value in config.items() if name != "fault"}
    file = Path(notes) / f"{ray_tune.get_context().get_trial_id()}.jsonl"
    _watch(file, die_at, slow_s, fault)
    _note_checkpoints(file)
    train_trial(
        settings,
        override(base, ["data.train=/nowhere"]) if fault == "data" else base,
        resources or Resources(),
        "loss",
        folder,
    )
    _note(file, {"end": time.time()})


def _watch(file: Path, die_at: int | None, slow_s: float, fault: str) -> None:
    loss = TopDownTask.loss

    def watched(task: TopDownTask, maps: Any, outputs: Any, batch: Any, *more: Any) -> Any:
        time.sleep(slow_s)
        if fault == "crash":
            os.kill(os.getpid(), signal.SIGKILL)
        if fault == "memory":
            raise torch.OutOfMemoryError("CUDA out of memory: tried to allocate 20 GiB")
        marker = file.with_suffix(".died")
        if die_at is not None and len(batches(file)) == die_at and not marker.exists():
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        _note(file, {"ids": batch.instance_ids[batch.valid].tolist(), "threads": torch.get_num_threads()})
        result = loss(task, maps, outputs, batch, *more)
        return result * float("nan") if fault == "nan" else result

    TopDownTask.loss = watched  # type: ignore[method-assign]


def _note_checkpoints(file: Path) -> None:
    fetch = trial_module.reported_checkpoint

    def noted() -> Path | None:
        path = fetch()
        digest = None if path is None else _digest(path)
        node = ray.get_runtime_context().get_node_id()
        _note(file, {"start": time.time(), "from": digest, "node": node, "pid": os.getpid()})
        return path

    trial_module.reported_checkpoint = noted
    report = trial_module.report_epoch

    def reporting(metrics: dict[str, float], checkpoint: Path) -> None:
        _note(file, {"reported": _digest(checkpoint), "epoch": metrics["epoch"]})
        report(metrics, checkpoint)
        _note(file, {"known": metrics["epoch"]})  # to the search, which lets the trial go on

    trial_module.report_epoch = reporting


def _digest(checkpoint: Path) -> str:
    return hashlib.sha256(checkpoint.read_bytes()).hexdigest()


def _note(file: Path, content: dict[str, Any]) -> None:
    with file.open("a") as out:
        out.write(json.dumps(content) + "\n")


def read_notes(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def batches(file: Path) -> list[list[int]]:
    return [note["ids"] for note in read_notes(file) if "ids" in note]


def attempts(file: Path) -> list[list[list[int]]]:
    """The batches of each process that worked on the trial."""
    found: list[list[list[int]]] = []
    for note in read_notes(file):
        if "start" in note:
            found.append([])
        elif "ids" in note:
            found[-1].append(note["ids"])
    return found


def known_before(file: Path) -> list[int]:
    """The last epoch that the search surely knew of when each process began, 0 for none."""
    known, found = 0, []
    for note in read_notes(file):
        known = note.get("known", known)
        if "start" in note:
            found.append(known)
    return found


def synthetic_trial(config: dict[str, Any], epochs: int) -> None:
    """No training: its score is its `quality` in every epoch."""
    for epoch in range(1, epochs + 1):
        ray_tune.report({"epoch": epoch, "AP": config["quality"]})

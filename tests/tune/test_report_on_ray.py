"""What Ray itself writes: trials as they are read while a search runs and after it, on a disk and in a store."""

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from made_experiment import write_search
from object_store.store import ObjectStore
from ray import cloudpickle
from ray import tune as ray_tune
from rich.console import Console

from engine.config import override
from engine.observer import EpochReport
from engine.train import train
from recipes import load_recipe
from sharding.storage import open_folder
from tune.experiment import Experiment, run_experiment
from tune.failure import read_failure
from tune.report import RECIPE, write_report
from tune.search import search
from tune.space import Space
from tune.trials import Trial, best_score, read_trials

cloudpickle.register_pickle_by_value(sys.modules[__name__])
pytestmark = pytest.mark.slow
EPOCHS = 4
RATES = [1e-4, 1e-3, 1e-2, 1e-1]  # good, best, raises, is killed


def trial(config: dict[str, Any]) -> None:
    """Reports scores without training anything."""
    import os
    import signal

    rate = config["optim.lr"]
    for epoch in range(1, EPOCHS + 1):
        time.sleep(3 if rate == RATES[0] else 0.1)  # Ray notes every ten seconds what runs
        if epoch == 2 and rate == RATES[2]:
            raise RuntimeError("the loss\nis nan")
        if epoch == 2 and rate == RATES[3]:
            os.kill(os.getpid(), signal.SIGKILL)
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "last.ckpt").write_bytes(b"weights")
            score = epoch * (0.2 if rate == RATES[1] else 0.1)
            numbers = {
                "epoch": epoch,
                "step": epoch,
                "loss": 1 / epoch,
                "AP": score,
                "samples_per_s": 9.0,
                "seconds": 0.1,
            }
            ray_tune.report(numbers, checkpoint=ray_tune.Checkpoint.from_directory(folder))


def run(folder: str) -> None:
    experiment = Experiment(
        folder=folder,
        trial=trial,
        space={"optim.lr": ray_tune.grid_search(RATES), "optim.name": "adam"},
        metric="AP",
        mode="max",
        max_failures=0,
    )
    run_experiment(experiment, Console(file=StringIO()))


@contextmanager
def watching(folder: str) -> Iterator[list[list[Trial]]]:
    """What is read in the meantime, again and again."""
    seen: list[list[Trial]] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.2):
            seen.append(read_trials(open_folder(folder)))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        ended.set()
        thread.join()


def check(trials: list[Trial], folder: str) -> None:
    by_rate = {one.settings["optim.lr"]: one for one in trials}
    assert [by_rate[rate].status for rate in RATES] == ["finished", "finished", "failed", "failed"]
    assert [len(by_rate[rate].epochs) for rate in RATES] == [EPOCHS, EPOCHS, 1, 1]
    best = by_rate[RATES[1]]
    assert best_score(best, "AP", "max") == pytest.approx(0.2 * EPOCHS)
    assert best.checkpoint is not None
    name = best.checkpoint.partition("?")[0].rsplit("/", 3)[1:]
    assert name == [best.id, f"checkpoint_{EPOCHS - 1:06d}", "last.ckpt"]
    assert open_folder(folder).subfolder(best.id).subfolder(name[1]).exists("last.ckpt")
    assert all(by_rate[rate].reason for rate in RATES[2:])


def test_while_it_runs_and_afterwards(ray_here: None, tmp_path: Path) -> None:
    folder = tmp_path / "lr"
    write_search(folder, epochs=EPOCHS)
    with watching(str(folder)) as seen:
        run(str(folder))
    trials = read_trials(open_folder(folder))
    check(trials, str(folder))
    assert any(one.status == "running" and one.epochs for moment in seen for one in moment)
    # Even where nobody noted the reasons, Ray's own files tell them.
    for one in trials:
        if read_failure(open_folder(folder / one.id)) is not None:
            (folder / one.id / "failure.json").unlink()
    without = read_trials(open_folder(folder))
    check(without, str(folder))
    reasons = {one.settings["optim.lr"]: one.reason for one in without}
    assert reasons[RATES[2]] == "RuntimeError: the loss\nis nan"
    assert "worker process has died" in str(reasons[RATES[3]])


def test_in_a_store(object_store: ObjectStore, ray_here: None, tmp_path: Path) -> None:
    write_search(tmp_path / "lr", epochs=EPOCHS)
    uri = object_store.put_folder(tmp_path / "lr", "runs/lr")
    with watching(uri):
        run(uri)
    check(read_trials(open_folder(uri)), uri)
    report = write_report(open_folder(uri), tmp_path / "out", Console(file=StringIO()))
    assert report.recipe == tmp_path / "out" / RECIPE
    assert load_recipe(str(report.recipe)).optim.lr == RATES[1]


def test_the_best_recipe_trains(ray_here: None, tiny_space: Callable[..., Space], tmp_path: Path) -> None:
    outcome = search(tiny_space(trials=2), str(tmp_path / "lr"), Console(file=StringIO()))
    report = write_report(open_folder(outcome.folder), None, Console(file=StringIO()))
    recipe = load_recipe(str(report.recipe))
    assert recipe.optim.lr == outcome.settings["optim.lr"]
    (curve,) = (one for one in read_trials(open_folder(outcome.folder)) if one.id == outcome.trial)
    assert curve.checkpoint == outcome.checkpoint
    observer = Losses()
    train(override(recipe, [f"run_dir={tmp_path / 'again'}"]), Console(file=StringIO()), observer)
    assert observer.losses == pytest.approx([epoch["loss"] for epoch in curve.epochs], rel=1e-4)


@dataclass
class Losses:
    """An observer that keeps the losses."""

    start_from: Path | None = None
    may_change: frozenset[str] = frozenset()
    losses: list[float] = field(default_factory=list)

    def epoch_done(self, report: EpochReport, checkpoint: Path | None) -> None:
        self.losses.append(report.loss)

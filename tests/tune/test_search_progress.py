"""What is said of trials as they end, and which one is the best."""

import math
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from sharding.storage import Folder, StorageError, open_folder
from tune import progress as progress_module
from tune.failure import write_failure
from tune.progress import Progress, best_trial


def ended(name: str, value: float) -> Any:
    """A trial of Ray's whose best AP was `value`."""
    analysis = {} if math.isnan(value) else {"AP": {"max": value, "min": value - 1}}
    return SimpleNamespace(
        trial_id=name, metric_analysis=analysis, evaluated_params={"optim.lr": 1e-3}, last_result={"epoch": 3}
    )


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return open_folder(tmp_path)


def test_a_failed_trial_is_never_the_best(folder: Folder) -> None:
    trials = [ended("a", 0.3), ended("b", 0.9), ended("c", 0.5), ended("d", math.nan)]
    assert best_trial(trials, folder, "AP", "max") is trials[1]
    write_failure(folder.subfolder("b"), "DivergedError", "the loss became nan")
    assert best_trial(trials, folder, "AP", "max") is trials[2]
    assert best_trial(trials, folder, "AP", "min") is trials[0]
    assert best_trial(trials[1:2], folder, "AP", "max") is None


@pytest.mark.parametrize("compete", [True, False])
def test_the_best_one_is_named_where_trials_compete(folder: Folder, compete: bool) -> None:
    said = StringIO()
    progress = Progress(Console(file=said, width=200), folder, "AP", "max", compete)
    trials: list[Any] = []
    for trial in (ended("a", 0.3), ended("b", 0.9), ended("c", 0.5)):
        trials.append(trial)
        progress.on_trial_complete(0, trials, trial)
    lines = said.getvalue().splitlines()
    assert "trial b  AP 0.9 after 3 epochs  optim.lr=0.001" in lines
    assert [line.strip() for line in lines if "best" in line] == (
        ["the best of 1 so far", "the best of 2 so far"] if compete else []
    )


def test_a_trial_ends_while_the_store_is_away(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray would take it for dead if the callback failed."""

    def away(*asked: object) -> None:
        raise StorageError("the store is away")

    monkeypatch.setattr(progress_module, "read_failure", away)
    monkeypatch.setattr(progress_module, "write_failure", away)
    said = StringIO()
    progress = Progress(Console(file=said, width=200), folder, "AP", "max", True)
    finished, died = ended("a", 0.3), ended("b", 0.2)
    died.get_error, died.num_failures = lambda: "its node was gone", 4
    progress.on_trial_complete(0, [finished], finished)
    progress.on_trial_error(0, [finished, died], died)
    assert said.getvalue().splitlines() == [
        "trial a  AP 0.3 after 3 epochs  optim.lr=0.001",
        "trial b  failed after 4 attempts: its node was gone  optim.lr=0.001",
    ]

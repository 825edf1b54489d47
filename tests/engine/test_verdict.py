"""The line at the end of a training: what loader and network make alone, and which of them is the limit."""

import json
import time
from pathlib import Path

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import engine.verdict as verdict_module
from engine.checkpoint import load_checkpoint
from engine.learner import Learner
from engine.train import train
from engine.verdict import VERDICT, Verdict
from pipelines.topdown import TopDownLoader
from sharding.retry import StorageError


def test_it_is_printed_stored_and_logged(tiny, console: Console, tmp_path: Path) -> None:
    result = train(tiny("train.verdict_seconds=0.2", "train.epochs=1"), console)
    assert result.steps == load_checkpoint(result.last).step  # what was measured afterwards was not trained
    stored = json.loads((tmp_path / "run" / VERDICT).read_text())
    assert stored["achieved"] > 0
    assert stored["loader_alone"] > 0
    assert stored["network_alone"] > 0
    assert 0 <= stored["waiting"] <= 1
    verdict = Verdict(**{name: stored[name] for name in ("achieved", "loader_alone", "network_alone", "waiting")})
    assert stored["limit"] == verdict.limit
    assert console.file.getvalue().rstrip().endswith(f"the limit is the {verdict.limit}")  # type: ignore[attr-defined]
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("verdict/achieved")] == [result.steps]
    assert {f"verdict/{name}" for name in ("achieved", "loader_alone", "network_alone", "waiting")} <= set(
        events.Tags()["scalars"]
    )


@pytest.mark.parametrize("slow", ["loader", "network"])
def test_it_blames_what_is_slow(tiny, console: Console, tmp_path: Path, monkeypatch, slow: str) -> None:
    owner, name = (TopDownLoader, "_next") if slow == "loader" else (Learner, "learn")
    fast = getattr(owner, name)

    def slowed(*arguments):
        time.sleep(0.1)
        return fast(*arguments)

    monkeypatch.setattr(owner, name, slowed)
    train(tiny("train.verdict_seconds=0.3", "train.epochs=1"), console)
    stored = json.loads((tmp_path / "run" / VERDICT).read_text())
    assert stored["limit"] == slow
    assert stored[f"{slow}_alone"] < 8 / 0.1  # a batch of 8 takes at least that long
    assert (stored["waiting"] > 0.5) == (slow == "loader")


def test_it_changes_nothing_that_is_saved(tiny, console: Console, tmp_path: Path) -> None:
    train(tiny("train.verdict_seconds=0.2", f"run_dir={tmp_path / 'with'}"), console)
    train(tiny("train.verdict_seconds=0", f"run_dir={tmp_path / 'without'}"), console)
    import torch

    one, other = (torch.load(tmp_path / run / "last.ckpt", weights_only=True) for run in ("with", "without"))
    assert one["step"] == other["step"]
    assert one["loader"] == other["loader"]
    assert all(torch.equal(one["model"][name], other["model"][name]) for name in other["model"])
    assert not (tmp_path / "without" / VERDICT).exists()


def test_a_store_that_fails_then_costs_only_the_verdict(tiny, console: Console, tmp_path: Path, monkeypatch) -> None:
    def fail(*arguments):
        raise StorageError("cannot read s3://bucket/x.tar: 6 attempts failed")

    monkeypatch.setattr(verdict_module, "_loader_rate", fail)
    result = train(tiny("train.verdict_seconds=0.2", "train.epochs=1"), console)
    assert result.last.exists()
    assert "could not be measured: cannot read s3://bucket/x.tar" in console.file.getvalue()  # type: ignore[attr-defined]
    assert not (tmp_path / "run" / VERDICT).exists()


def test_a_finished_run_is_not_measured_again(tiny, console: Console, tmp_path: Path) -> None:
    recipe = tiny("train.verdict_seconds=0.2", "train.epochs=1")
    train(recipe, console)
    (tmp_path / "run" / VERDICT).unlink()
    train(recipe, console)
    assert not (tmp_path / "run" / VERDICT).exists()

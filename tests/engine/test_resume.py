"""A training that is killed anywhere goes on as if nothing had happened."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

import engine.train as training
from engine.checkpoint import CheckpointError, load_checkpoint
from engine.config import Recipe
from engine.inference import Answers
from engine.topdown import TopDownTask
from engine.train import train
from evaluation.predictions import Predictions
from evaluation.score import Score
from models import HeatmapNetwork
from sharding.dataset import ShardedDataset

MakeRecipe = Callable[..., Recipe]
ROOT = Path(__file__).resolve().parents[2]


def assert_same_state(one: Path, other: Path) -> None:
    """Bit for bit: weights, statistics of the norms, and the optimiser's moments."""
    a, b = load_checkpoint(one), load_checkpoint(other)
    assert a.model.keys() == b.model.keys()
    assert [name for name in a.model if not torch.equal(a.model[name], b.model[name])] == []
    assert (a.step, a.validated_epochs, a.best) == (b.step, b.validated_epochs, b.best)
    for number, state in a.optimizer["state"].items():
        for name, value in state.items():
            assert torch.equal(value, b.optimizer["state"][number][name]), (number, name)


def scripted_scores(monkeypatch: pytest.MonkeyPatch, values: list[float]) -> list[float]:
    """Validation answers these values, one after another; returns what is left of them."""
    left = list(values)
    monkeypatch.setattr(training, "predict_together", lambda *arguments: Answers(Predictions.empty(17), 0))
    monkeypatch.setattr(
        training, "score_split", lambda *arguments: Score({"AP": (v := left.pop(0)), "AR": v / 2}, "AP", [], [])
    )
    return left


@pytest.mark.parametrize(
    ("when", "shuffle"),
    [
        ("first epoch", "image"),
        ("second epoch", "instance"),
        ("second epoch", "image"),
        ("no checkpoint", "image"),
    ],
)
def test_killed_in_an_epoch(
    tiny: MakeRecipe, console: Console, seen: Any, tmp_path: Path, mini_coco: ShardedDataset, shuffle: str, when: str
) -> None:
    steps = -(-int(mini_coco.trainable.sum()) // 8)
    die_at = {"first epoch": steps - 1, "second epoch": steps + 2, "no checkpoint": 1}[when]
    common = (f"data.shuffle={shuffle}", "train.checkpoint_every_steps=2")
    train(tiny(*common, f"run_dir={tmp_path / 'whole'}"), console)
    undisturbed, seen.batches = seen.batches, []
    assert len(undisturbed) == 2 * steps

    seen.die_at = die_at
    with pytest.raises(seen.Killed):
        train(tiny(*common), console)
    assert seen.batches == undisturbed[:die_at]
    last = tmp_path / "run" / "last.ckpt"
    reached = load_checkpoint(last).step if last.exists() else 0
    assert reached <= die_at
    assert reached > 0 or when == "no checkpoint"

    seen.die_at, seen.batches = None, []
    result = train(tiny(*common), console)
    assert seen.batches == undisturbed[reached:]
    assert result.steps == 2 * steps
    assert_same_state(tmp_path / "whole" / "last.ckpt", last)


def test_random_layers_go_on_with_the_same_numbers(
    tiny: MakeRecipe, console: Console, seen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = TopDownTask.build_model

    def build_with_dropout(task: TopDownTask, pretrained: bool = True) -> HeatmapNetwork:
        network = build(task, pretrained)
        network.base.head = nn.Sequential(nn.Dropout(0.5), network.base.head)
        return network

    monkeypatch.setattr(TopDownTask, "build_model", build_with_dropout)
    settings = ("train.epochs=1", "train.checkpoint_every_steps=2")
    torch.manual_seed(11)
    train(tiny(*settings, f"run_dir={tmp_path / 'whole'}"), console)
    torch.manual_seed(11)
    seen.batches, seen.die_at = [], 3
    with pytest.raises(seen.Killed):
        train(tiny(*settings), console)
    torch.manual_seed(12)
    seen.die_at = None
    train(tiny(*settings), console)
    assert_same_state(tmp_path / "whole" / "last.ckpt", tmp_path / "run" / "last.ckpt")


CHILD = """
import sys, torch
from rich.console import Console
torch.set_num_threads(1)
from engine.config import parse_recipe
from engine.topdown import TopDownTask
from engine.train import train
loss = TopDownTask.loss
def spoken(*arguments):
    print("batch", flush=True)
    return loss(*arguments)
TopDownTask.loss = spoken
train(parse_recipe(open(sys.argv[1]).read()), Console(quiet=True))
"""


def test_kill_minus_nine_in_another_process(
    tiny: MakeRecipe, console: Console, seen: Any, tmp_path: Path, mini_coco: ShardedDataset
) -> None:
    steps = 3 * -(-int(mini_coco.trainable.sum()) // 8)
    common = ("train.checkpoint_every_steps=1", "train.epochs=3", "optim.schedule=cosine")
    train(tiny(*common, f"run_dir={tmp_path / 'whole'}"), console)
    undisturbed, seen.batches = seen.batches, []

    recipe = tiny(*common)
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    die_at = random.randrange(3, steps)
    child = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", CHILD, str(tmp_path / "recipe.json")],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    spoken = 0
    for line in child.stdout:
        spoken += line == "batch\n"
        if spoken == die_at:
            os.kill(child.pid, signal.SIGKILL)
            break
    _, errors = child.communicate()
    assert (spoken, child.returncode) == (die_at, -signal.SIGKILL), errors

    reached = load_checkpoint(tmp_path / "run" / "last.ckpt").step
    assert reached >= die_at - 1  # a checkpoint after every batch; the child ran on until the signal arrived
    train(recipe, console)
    assert seen.batches == undisturbed[reached:]
    assert_same_state(tmp_path / "whole" / "last.ckpt", tmp_path / "run" / "last.ckpt")


def test_killed_between_an_epoch_and_its_validation(
    tiny: MakeRecipe, mini_shards: Callable[[str], Path], console: Console, seen: Any, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    common = (f"data.val={mini_shards('coco')}", "train.epochs=2", "train.batch_size=16")
    whole = train(tiny(*common, f"run_dir={tmp_path / 'whole'}"), console)
    undisturbed, seen.batches = seen.batches, []
    steps = len(undisturbed) // 2

    class PowerCutError(Exception):
        pass

    def cut(*arguments: object) -> None:
        raise PowerCutError

    with monkeypatch.context() as patch:
        patch.setattr(training, "predict_together", cut)
        with pytest.raises(PowerCutError):
            train(tiny(*common), console)
    interrupted = load_checkpoint(tmp_path / "run" / "last.ckpt")
    assert (interrupted.step, interrupted.validated_epochs, interrupted.best) == (steps, 0, None)

    result = train(tiny(*common), console)
    assert seen.batches == undisturbed
    assert_same_state(whole.last, result.last)
    assert_same_state(whole.best, result.best)
    assert result.score is not None
    assert whole.score is not None
    assert result.score.metrics == whole.score.metrics
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [e.step for e in events.Scalars("val/AP")] == [steps, 2 * steps]


def test_best_is_the_best_epoch_and_survives_worse_ones(
    tiny: MakeRecipe, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mini_shards: Any
) -> None:
    scripted_scores(monkeypatch, [0.3, 0.7, 0.5])
    result = train(tiny(f"data.val={mini_shards('coco')}", "train.epochs=3", "train.batch_size=64"), console)
    best, last = load_checkpoint(result.best), load_checkpoint(result.last)
    assert (best.best, best.validated_epochs) == (0.7, 2)
    assert (last.best, last.validated_epochs) == (0.7, 3)
    assert best.step * 3 == last.step * 2
    assert result.score is not None
    assert result.score.value == 0.5


def test_a_resumed_run_keeps_its_best_through_epochs_that_are_not_scored(
    tiny: MakeRecipe, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mini_shards: Any
) -> None:
    left = scripted_scores(monkeypatch, [0.7, 0.2])
    common = (f"data.val={mini_shards('coco')}", "train.batch_size=64", "train.validate_every=2")
    train(tiny(*common, "train.epochs=2"), console)
    assert left == [0.2]
    result = train(tiny(*common, "train.epochs=4"), console)
    assert left == []
    best = load_checkpoint(result.best)
    assert (best.best, best.validated_epochs) == (0.7, 2)
    assert load_checkpoint(result.last).best == 0.7


def test_the_last_epoch_is_always_scored(
    tiny: MakeRecipe, console: Console, monkeypatch: pytest.MonkeyPatch, mini_shards: Any
) -> None:
    left = scripted_scores(monkeypatch, [0.1, 0.2])
    common = (f"data.val={mini_shards('coco')}", "train.batch_size=64", "train.validate_every=2", "train.epochs=3")
    result = train(tiny(*common), console)
    assert left == []
    assert load_checkpoint(result.best).validated_epochs == 3


def test_without_a_validation_split_the_last_epoch_is_the_best(tiny: MakeRecipe, console: Console) -> None:
    result = train(tiny("train.batch_size=64"), console)
    assert_same_state(result.last, result.best)


def test_a_finished_run_is_left_as_it_is(
    tiny: MakeRecipe, console: Console, seen: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mini_shards: Any
) -> None:
    scripted_scores(monkeypatch, [0.1, 0.9])
    recipe = tiny(f"data.val={mini_shards('coco')}", "train.batch_size=64")
    first = train(recipe, console)
    before = {path: path.read_bytes() for path in (first.last, first.best)}
    seen.batches.clear()
    again = train(recipe, console)
    assert seen.batches == []
    assert again.steps == first.steps
    assert {path: path.read_bytes() for path in (again.last, again.best)} == before
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [e.value for e in events.Scalars("val/AP")] == pytest.approx([0.1, 0.9])
    assert [e.step for e in events.Scalars("train/loss")] == list(range(1, first.steps + 1))


def test_a_finished_run_is_extended_by_more_epochs(
    tiny: MakeRecipe, console: Console, seen: Any, tmp_path: Path
) -> None:
    train(tiny("train.epochs=3", "train.batch_size=16", f"run_dir={tmp_path / 'whole'}"), console)
    undisturbed, seen.batches = seen.batches, []
    train(tiny("train.epochs=1", "train.batch_size=16"), console)
    train(tiny("train.epochs=3", "train.batch_size=16"), console)
    assert seen.batches == undisturbed
    assert_same_state(tmp_path / "whole" / "last.ckpt", tmp_path / "run" / "last.ckpt")


def test_another_recipe_or_split_in_the_run_folder_is_refused(
    tiny: MakeRecipe, console: Console, tmp_path: Path, mini_shards: Any
) -> None:
    train(tiny("train.epochs=1", "train.batch_size=64"), console)
    before = (tmp_path / "run" / "last.ckpt").read_bytes()
    with pytest.raises(CheckpointError, match=r"run/last\.ckpt is of .* \(optim\.lr was 0\.002, is 0\.5\)"):
        train(tiny("train.epochs=1", "train.batch_size=64", "optim.lr=0.5"), console)
    with pytest.raises(CheckpointError, match="the training split is another one"):
        train(tiny("train.epochs=1", "train.batch_size=64", f"data.train={mini_shards('crowdpose')}"), console)
    assert (tmp_path / "run" / "last.ckpt").read_bytes() == before


def test_a_damaged_checkpoint_stops_the_resume_and_is_named(tiny: MakeRecipe, console: Console, tmp_path: Path) -> None:
    last = tmp_path / "run" / "last.ckpt"
    train(tiny("train.epochs=1", "train.batch_size=64"), console)
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"last\.ckpt is not a readable checkpoint"):
        train(tiny("train.epochs=1", "train.batch_size=64"), console)


def test_a_kill_while_saving_leaves_a_run_that_goes_on(tiny: MakeRecipe, console: Console, tmp_path: Path) -> None:
    train(tiny("train.epochs=1", "train.batch_size=64"), console)
    (tmp_path / "run" / "last.ckpt.partial").write_bytes(b"half a checkpoint")
    result = train(tiny("train.epochs=2", "train.batch_size=64"), console)
    assert load_checkpoint(result.last).validated_epochs == 2
    assert not (tmp_path / "run" / "last.ckpt.partial").exists()

"""What stops a training before it does harm: a loss that is no number, a second run, scores of another test."""

import fcntl
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from engine.checkpoint import load_checkpoint, with_trained_settings
from engine.config import ConfigError, Recipe
from engine.diverged import DivergedError
from engine.evaluate import evaluate_weights
from engine.fabric import resolved_precision
from engine.topdown import TopDownTask
from engine.train import BEST, LAST, train
from engine.trained import OwnWeights

MakeRecipe = Callable[..., Recipe]


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(
    tiny: MakeRecipe, console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    last = train(tiny("train.epochs=1"), console).last
    good = last.read_bytes()
    loss = TopDownTask.loss

    def diverging(*arguments: object) -> Tensor:
        return loss(*arguments) * float("nan")  # type: ignore[arg-type]

    monkeypatch.setattr(TopDownTask, "loss", diverging)
    with pytest.raises(DivergedError, match=r"loss became nan .* lower optim\.lr .*last\.ckpt is from batch"):
        train(tiny("train.epochs=2"), console)
    assert last.read_bytes() == good


def test_two_trainings_do_not_share_a_run_folder(tiny: MakeRecipe, console: Console, tmp_path: Path) -> None:
    train(tiny("train.epochs=1"), console)
    with (tmp_path / "run" / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another training runs in"):
            train(tiny(), console)
    assert train(tiny(), console).steps > 0


def test_a_wrong_split_leaves_no_run_folder(tiny: MakeRecipe, console: Console, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"manifest\.json does not exist"):
        train(tiny(f"data.train={tmp_path}"), console)
    assert not (tmp_path / "run").exists()


def test_scores_of_another_test_do_not_hold_back_the_best_checkpoint(
    tiny: MakeRecipe, console: Console, tmp_path: Path, mini_shards: Callable[[str], Path]
) -> None:
    val = f"data.val={mini_shards('coco')}"
    path = train(tiny("train.epochs=1", val), console).last
    content = torch.load(path, weights_only=True)
    torch.save(content | {"best": 2.0}, path)  # better than anything can be
    (tmp_path / "run" / BEST).unlink()
    train(tiny("train.epochs=2", val), console)
    assert not (tmp_path / "run" / BEST).exists()
    torch.save(torch.load(path, weights_only=True) | {"best": 2.0}, path)
    train(tiny("train.epochs=3", val, "evaluate.flip_test=false"), console)
    assert (tmp_path / "run" / BEST).exists()


def test_what_the_weights_were_trained_for_wins_over_the_recipe(
    tiny: MakeRecipe, console: Console, tmp_path: Path
) -> None:
    train(tiny("train.epochs=1", "data.crop_size=96,32", "heatmap.sigma=1", "data.channel_order=bgr"), console)
    asked = tiny("data.val=/somewhere", "evaluate.flip_test=false")
    recipe, changes = with_trained_settings(asked, load_checkpoint(tmp_path / "run" / LAST))
    assert (recipe.data.crop_size, recipe.heatmap.sigma, recipe.data.channel_order) == ((96, 32), 1, "bgr")
    assert (recipe.data.val, recipe.evaluate.flip_test) == ("/somewhere", False)
    assert sorted(change.split(" is ")[0] for change in changes) == [
        "data.channel_order",
        "data.crop_size",
        "heatmap.sigma",
    ]


def test_automatic_precision_is_what_the_hardware_computes_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for capabilities, expected in (({"avx512_bf16": True}, "bf16-mixed"), ({"avx2": True}, "32-true")):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda capabilities=capabilities: capabilities)
        assert resolved_precision("auto") == expected
    assert resolved_precision("bf16-mixed") == "bf16-mixed"


@pytest.mark.parametrize("detections", ["gone.json", "empty.json"])
def test_what_validation_lacks_is_said_before_the_first_epoch(
    tiny: MakeRecipe, mini_shards: Callable[[str], Path], console: Console, tmp_path: Path, detections: str
) -> None:
    (tmp_path / "empty.json").write_text("[]")
    settings = (f"data.val={mini_shards('coco')}", f"evaluate.detections={tmp_path / detections}")
    with pytest.raises(ConfigError, match=detections):
        train(tiny(*settings), console)
    assert not (tmp_path / "run" / LAST).exists()


def test_weights_that_are_no_numbers_are_said_to_be_so(
    tiny: MakeRecipe, mini_shards: Callable[[str], Path], console: Console
) -> None:
    path = train(tiny("train.epochs=1"), console).last
    content = torch.load(path, weights_only=True)
    content["model"]["base.head.final_layer.bias"].fill_(float("nan"))
    torch.save(content, path)
    with pytest.raises(DivergedError, match=r"answer for instance \d+ in picture \d+ is no number"):
        evaluate_weights(tiny(f"data.val={mini_shards('coco')}"), OwnWeights(path), console)

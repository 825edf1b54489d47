"""The same seed proposes the same; and what is proposed comes nearer to the best than chance does."""

import math
import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from searching import proposals

from engine.config import Recipe, override
from engine.diverged import DivergedError
from engine.observer import EpochReport
from engine.train import train
from tune.distributions import Choice, IntUniform, LogUniform, Uniform
from tune.searchers import make_searcher, sample_space
from tune.space import Space
from tune.trial_recipe import trial_recipe

SEARCH = {
    "optim.lr": LogUniform(1e-5, 1e-1),
    "optim.weight_decay": Uniform(0, 0.1),
    "train.batch_size": Choice(32, 64, 128),
}


def space(**fields: Any) -> Space:
    return Space(
        **({"recipe": "demo_synthetic", "search": SEARCH, "metric": "loss", "mode": "min", "trials": 16} | fields)
    )


def distance(config: dict[str, Any]) -> float:
    """0 at lr 1e-3, weight decay 0.03, batches of 64."""
    off = math.log10(config["optim.lr"] / 1e-3) ** 2 + 1e3 * (config["optim.weight_decay"] - 0.03) ** 2
    return off + 0.3 * (config["train.batch_size"] != 64)


@pytest.mark.parametrize("searcher", ["random", "optuna"])
def test_a_fixed_seed_proposes_the_same_again(searcher: str) -> None:
    first = proposals(space(searcher=searcher, seed=1), distance)
    assert proposals(space(searcher=searcher, seed=1), distance) == first
    assert proposals(space(searcher=searcher, seed=2), distance) != first


@pytest.mark.parametrize("searcher", ["random", "optuna"])
def test_proposals_stay_within_the_space(searcher: str) -> None:
    for config, _ in proposals(space(searcher=searcher, trials=40), distance):
        assert 1e-5 <= config["optim.lr"] <= 1e-1
        assert 0 <= config["optim.weight_decay"] <= 0.1
        assert config["train.batch_size"] in (32, 64, 128)


@pytest.mark.parametrize("mode", ["min", "max"])
def test_a_planted_optimum_is_found_better_than_by_chance(mode: str) -> None:
    """16 trials each; the mean over 20 seeds, of which none was chosen."""
    sign = 1 if mode == "min" else -1
    off = {
        searcher: np.array([
            min(sign * value for _, value in proposals(
                space(searcher=searcher, seed=seed, mode=mode, metric="x" if mode == "max" else "loss"),
                lambda config: sign * distance(config),
            ))
            for seed in range(20)
        ])
        for searcher in ("random", "optuna")
    }  # fmt: skip
    assert off["optuna"].mean() < 0.75 * off["random"].mean()


def test_epochs_without_a_score_do_not_disturb(tmp_path: Path) -> None:
    searcher = make_searcher(space(metric="AP", mode="max"), 1)
    searcher.set_search_properties("AP", "max", sample_space(space()))
    proposed = searcher.suggest("one")
    searcher.on_trial_result("one", {"loss": 1.0, "training_iteration": 1})
    searcher.on_trial_result("one", {"AP": 0.5, "training_iteration": 2})
    searcher.on_trial_complete("one", {"AP": 0.5, "training_iteration": 2})
    (learned,) = searcher.searcher._ot_study.trials
    assert learned.params == pytest.approx(proposed)
    assert learned.values == [0.5]
    assert learned.intermediate_values == {2: 0.5}  # of the first epoch nothing was made up


@pytest.mark.slow
def test_a_real_training_is_tuned_better_than_by_chance(tiny_base: Callable[..., Recipe], tmp_path: Path) -> None:
    """16 trials each; the mean over the first 8 seeds of the best loss after two epochs of 9 batches.

    Each of five settings spoils the training in a good part of its range. With 20 other seeds the means were 0.0317 by
    chance and 0.0277 with TPE, deviations 0.0048 and 0.0030: in 98 of 100 draws of 8 from those TPE is better.
    """
    base = tiny_base("train.epochs=2", "train.batch_size=4", "optim.name=adamw", "optim.milestones=1")
    small = base.model.model_copy(update={"options": {"width": 8, "blocks": [1, 1, 1], "deconv_channels": [8, 8]}})
    base = base.model_copy(update={"model": small})
    search = {
        "optim.lr": LogUniform(1e-8, 10.0),
        "optim.weight_decay": LogUniform(1e-2, 1e5),
        "optim.gamma": LogUniform(1e-4, 1),
        "optim.warmup_steps": IntUniform(1, 2000, log=True),
        "train.accumulate": IntUniform(1, 9),
    }
    best = {
        searcher: np.array([
            np.nanmin([value for _, value in proposals(
                space(search=search, searcher=searcher, seed=seed),
                lambda config: loss_of(trial_recipe(base, config), tmp_path / "run"),
            )])
            for seed in range(8)
        ])
        for searcher in ("random", "optuna")
    }  # fmt: skip
    assert best["optuna"].mean() < best["random"].mean(), best


def loss_of(recipe: Recipe, run: Path) -> float:
    """That of the last epoch; NaN if it diverges."""
    losses: list[float] = []

    class Watcher:
        start_from, may_change = None, frozenset[str]()

        def epoch_done(self, report: EpochReport, checkpoint: Path | None) -> None:
            losses.append(report.loss)

    try:
        train(override(recipe, [f"run_dir={run}"]), Console(file=StringIO()), Watcher())
    except DivergedError:
        return math.nan
    finally:
        shutil.rmtree(run)
    return losses[-1]

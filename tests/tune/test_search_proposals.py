"""The same seed proposes the same; and what is proposed comes nearer to the best than chance does."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from searching import proposals

from engine.config import Recipe, override
from engine.train import train
from tune.distributions import Choice, LogUniform, Uniform
from tune.searchers import make_searcher, sample_space
from tune.space import Space

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
    searcher.suggest("one")
    searcher.on_trial_result("one", {"loss": 1.0, "training_iteration": 1})
    searcher.on_trial_result("one", {"AP": 0.5, "training_iteration": 2})
    searcher.on_trial_complete("one", {"AP": 0.5, "training_iteration": 2})


@pytest.mark.slow
def test_the_learning_rate_of_a_tiny_training_is_found_better_than_by_chance(
    tiny_base: Callable[..., Recipe], tmp_path: Path, console: Console
) -> None:
    """The loss after 3 epochs has its optimum at one learning rate out of six orders of magnitude."""
    numbers = iter(range(10_000))

    def loss(config: dict[str, Any]) -> float:
        last: list[float] = []

        class Watcher:
            start_from, may_change = None, frozenset[str]()

            def epoch_done(self, report: Any, checkpoint: Any) -> None:
                last.append(report.loss)

        run = f"run_dir={tmp_path / str(next(numbers))}"
        train(override(tiny_base(), ["train.epochs=3", f"optim.lr={config['optim.lr']}", "optim.milestones=100", run]),
              console, Watcher())  # fmt: skip
        return last[-1]

    search = {"optim.lr": LogUniform(1e-7, 1e-1)}
    best = {
        searcher: [
            min(value for _, value in proposals(space(search=search, searcher=searcher, seed=seed), loss))
            for seed in range(2)
        ]
        for searcher in ("random", "optuna")
    }
    assert np.mean(best["optuna"]) < np.mean(best["random"])

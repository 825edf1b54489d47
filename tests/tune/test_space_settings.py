"""Spaces are found, adjusted from the command line, and checked against their recipes before anything starts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from engine.config import ConfigError
from tune import list_spaces, load_space
from tune.distributions import Choice, LogUniform, Uniform
from tune.search import require_data
from tune.space import Asha, Pbt, Resources, Space
from tune.space_settings import adjusted
from tune.trial_recipe import base_recipe, trial_recipe

MakeSpace = Callable[..., Space]


@pytest.mark.parametrize("name", list_spaces())
def test_every_space_that_comes_with_posestream_fits_its_recipe(name: str) -> None:
    space = adjusted(load_space(name), ["data.train=unset", "data.val=unset"])
    base = base_recipe(space)
    config = {name: distribution.examples[0] for name, distribution in space.search.items()}
    assert trial_recipe(base, config).name == base.name


def test_an_unknown_space_is_answered_with_those_that_there_are() -> None:
    with pytest.raises(ConfigError, match=r"Did you mean learning_rate\?.*augmentation"):
        load_space("learning_rates")


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        "from tune.space import Space\nfrom tune.distributions import LogUniform\n"
        "space = Space(recipe='demo_synthetic', search={'optim.lr': LogUniform(1e-4, 1e-2)})\n"
    )
    assert load_space(str(file)).recipe == "demo_synthetic"
    file.write_text("space = 1")
    with pytest.raises(ConfigError, match="must define `space = Space"):
        load_space(str(file))


def test_own_settings_and_those_of_the_recipe(tiny_space: MakeSpace) -> None:
    search = {"optim.lr": LogUniform(1e-4, 1e-2), "train.batch_size": Choice(4, 8)}
    space = adjusted(
        tiny_space(search=search),
        ["tune.trials=5", "tune.scheduler=asha", "tune.scheduler.reduction=4", "tune.resources.cpus=2",
         "tune.searcher=random", "tune.concurrent=none", "train.batch_size=4"],
    )  # fmt: skip
    assert (space.trials, space.scheduler, space.searcher) == (5, Asha(reduction=4), "random")
    assert space.resources == Resources(cpus=2)
    assert set(space.search) == {"optim.lr"}
    assert base_recipe(space).train.batch_size == 4


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tune.trails=5", r"tune\.trails.*Did you mean tune\.trials\?"),
        ("tune.trials=0", "greater than 0"),
        ("tune.searcher=bohb", "'random' or 'optuna'"),
        ("tune.scheduler=hyperband", "none, asha, pbt"),
        ("tune.scheduler.reduction=2", "no settings of its own"),
        ("tune.resources=2", r"tune\.resources\.cpus"),
        ("tune.resources.gpus=1.5", "only a trial of one worker"),
        ("tune.mode=max", "metric loss needs mode min"),
        ("optim.lr", "not of the form key=value"),
    ],
)
def test_wrong_settings_are_refused_with_the_valid_ones(tiny_space: MakeSpace, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        adjusted(tiny_space(), [text])


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"optim.weigth_decay": LogUniform(1e-4, 1e-2)}, r"Did you mean optim\.weight_decay\?"),
        ({"optim.lr": Uniform(-1, 1)}, "greater than 0"),
        ({"optim.name": Choice("adam", "sgd")}, "sgd"),
        ({"data.threads": Choice(1, 2)}, "set for each trial"),
        ({"model.plugin_options.ratio": Choice(1, 2)}, "ratio"),
        ({"model.options.widht": Choice(8, 16)}, "widht"),
        ({}, "nothing is left to search"),
    ],
)
def test_searched_names_and_values_are_checked(tiny_space: MakeSpace, search: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        base_recipe(tiny_space(search=search))


def test_a_metric_that_the_split_does_not_have(tiny_space: MakeSpace, mini_shards: Callable[[str], Path]) -> None:
    val = f"data.val={mini_shards('mpii')}"
    with pytest.raises(ConfigError, match=r"data\.val"):
        base_recipe(tiny_space(metric="AP", mode="max"))
    with pytest.raises(ConfigError, match=r"PCKh@0\.5"):
        require_data(base_recipe(adjusted(tiny_space(metric="AP", mode="max"), [val])), "AP")


def test_lists_and_none_can_be_chosen(tiny_space: MakeSpace) -> None:
    search = {"optim.milestones": Choice((1,), (1, 2)), "data.shuffle_window": Choice(None, 8)}
    base = base_recipe(tiny_space(search=search))
    recipe = trial_recipe(base, {"optim.milestones": search["optim.milestones"].values[1], "data.shuffle_window": None})
    assert recipe.optim.milestones == (1, 2)
    assert recipe.data.shuffle_window is None


def test_pbt_refuses_what_it_cannot_change_while_a_network_trains(tiny_space: MakeSpace) -> None:
    search = {
        "optim.lr": LogUniform(1e-4, 1e-2),
        "train.batch_size": Choice(4, 8),
        "optim.name": Choice("adam", "adamw"),
    }
    with pytest.raises(ValueError, match=r"train\.batch_size, optim\.name cannot"):
        tiny_space(search=search, scheduler=Pbt(), searcher="random")
    with pytest.raises(ConfigError, match="needs searcher random"):
        adjusted(tiny_space(), ["tune.scheduler=pbt"])
    adjusted(tiny_space(), ["tune.searcher=random", "tune.scheduler=pbt"])

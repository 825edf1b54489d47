"""A search: a recipe, distributions over its leaves, and how they are searched. Knows no Ray."""

import difflib
import json
from collections.abc import Sequence
from typing import Any, Literal, Self

import torch
from pydantic import ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt, ValidationError, model_validator

from engine.build import build_model
from engine.config import ConfigError, Recipe, leaves, override
from engine.frozen import Frozen
from recipes import load_recipe
from tune.distributions import KINDS, assignment

_OF_THE_TRIAL = ("name", "run_dir", "data.threads")  # set for each trial
_PREFIX = "tune."

# PBT changes these while a network trains: neither the sequence of batches nor any tensor's shape depends on them.
_CHANGE_IN_TRAINING = (
    "optim.", "augmentation.", "bottomup.augmentation.", "bottomup.targets.background",
    "bottomup.targets.offset_weight", "bottomup.targets.pull_weight", "bottomup.targets.push_weight",
)  # fmt: skip
_FIXED_IN_TRAINING = ("optim.name",)  # another optimiser has another state


class Asha(Frozen):
    """Asynchronous successive halving: after `grace_epochs`, that times `reduction`, and so on, a trial that is not
    among the best 1/`reduction` of those that came so far is stopped."""

    kind: Literal["asha"] = "asha"
    grace_epochs: PositiveInt = 1
    reduction: int = Field(default=3, ge=2)


class Pbt(Frozen):
    """Population-based training: every `interval_epochs` the worst `quantile` of the trials go on from the weights of
    the best, with settings that are drawn anew with `resample_probability` and else moved by a fifth."""

    kind: Literal["pbt"] = "pbt"
    interval_epochs: PositiveInt = 4
    quantile: float = Field(default=0.25, gt=0, le=0.5)
    resample_probability: float = Field(default=0.25, ge=0, le=1)


_SCHEDULERS = {"none": None, "asha": Asha(), "pbt": Pbt()}


class Resources(Frozen):
    """What each of a trial's `workers` gets; a trial of one worker may have a fraction of a GPU."""

    cpus: PositiveInt = 1
    gpus: NonNegativeFloat = 0
    workers: PositiveInt = 1

    @model_validator(mode="after")
    def _whole_gpus(self) -> Self:
        if self.gpus % 1 and (self.workers > 1 or self.gpus > 1):
            raise ValueError(f"gpus={self.gpus:g}: only a trial of one worker on one GPU can share it with others")
        return self


class Space(Frozen):
    """What is searched.

    Attributes:
        recipe: name or path. settings: of the recipe, as on the command line.
        search: distributions by the dotted names of the leaves.
        metric: of the validation split, such as AP or PCKh@0.5, or the training's loss. mode: which end is better.
        trials: how many. seed: of the proposals; the same one proposes the same where results come in the same order.
        concurrent: trials at the same time; by default as many as fit.
        max_failures: how often a trial goes on from its checkpoint after its process or node died.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    recipe: str
    settings: tuple[str, ...] = ()
    search: dict[str, Any]
    metric: str = "AP"
    mode: Literal["max", "min"] = "max"
    trials: PositiveInt = 32
    seed: NonNegativeInt = 0
    searcher: Literal["random", "optuna"] = "optuna"
    scheduler: Asha | Pbt | None = Field(default=Asha(), discriminator="kind")
    resources: Resources = Resources()
    concurrent: PositiveInt | None = None
    max_failures: NonNegativeInt = 3

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, distribution in self.search.items():
            if not isinstance(distribution, KINDS):
                known = ", ".join(kind.__name__ for kind in KINDS)
                raise ValueError(f"search of {name} is {distribution!r}, expected one of {known}")
        if self.metric == "loss" and self.mode == "max":
            raise ValueError("metric loss needs mode min")
        if isinstance(self.scheduler, Pbt):
            self._fit_for_pbt()
        return self

    def _fit_for_pbt(self) -> None:
        if self.searcher != "random":
            raise ValueError("scheduler pbt changes settings itself and needs searcher random")
        if self.resources.workers > 1:
            raise ValueError("scheduler pbt hands checkpoints from trial to trial and needs resources.workers 1")
        if self.trials < 2:
            raise ValueError("scheduler pbt needs at least two trials")
        fixed = [name for name in self.search if not can_change_in_training(name)]
        if fixed:
            allowed = ", ".join(name for name in _CHANGE_IN_TRAINING)
            raise ValueError(f"scheduler pbt changes settings while training goes on; {', '.join(fixed)} cannot "
                             f"(can: {allowed}; not {', '.join(_FIXED_IN_TRAINING)})")  # fmt: skip


def can_change_in_training(name: str) -> bool:
    return name.startswith(_CHANGE_IN_TRAINING) and name not in _FIXED_IN_TRAINING


def adjusted(space: Space, assignments: Sequence[str]) -> Space:
    """The space with leaves set: its own as `tune.NAME=value`, the recipe's by their names; these are not searched.

    Raises:
        ConfigError: no such setting, or a value that it cannot take.
    """
    for text in assignments:
        name, separator, value = (part.strip() for part in text.partition("="))
        if not separator:
            raise ConfigError(f"{text!r} is not of the form key=value, e.g. tune.trials=16 or data.train=DIR")
        if name.startswith(_PREFIX):
            space = _with_leaf(space, name.removeprefix(_PREFIX), value, _PREFIX)
        else:
            search = {searched: one for searched, one in space.search.items() if searched != name}
            space = space.model_copy(update={"search": search, "settings": (*space.settings, text)})
    return space


def base_recipe(space: Space) -> Recipe:
    """The recipe that trials vary, after checking that it takes everything that is searched.

    Raises:
        ConfigError: a name or value that the recipe cannot take, or nothing is left to search.
    """
    base = override(load_recipe(space.recipe), space.settings)
    given = {name: value for name, value in leaves(base).items() if name in _OF_THE_TRIAL}
    unset = leaves(load_recipe(space.recipe))
    for name in _OF_THE_TRIAL:
        if name in space.search or given[name] != unset[name]:
            raise ConfigError(
                f"{name} is set for each trial: --out says where they go, tune.resources.cpus the threads"
            )
    if not space.search:
        raise ConfigError("nothing is left to search: every searched setting was given a value")
    for name, distribution in space.search.items():
        for value in distribution.examples:
            _require_network(override(base, [assignment(name, value)]), name)
    if base.data.train is None or (base.data.val is None and space.metric != "loss"):
        raise ConfigError("a search needs data.train=DIR and, unless tune.metric is loss, data.val=DIR")
    return base


def _require_network(recipe: Recipe, searched: str) -> None:
    """Raise ConfigError if a network's own options, which no type describes, are not what its builder takes."""
    if searched.startswith("model."):
        with torch.device("meta"):  # nothing is allocated
            build_model(recipe, num_keypoints=17, pretrained=False)


def trial_recipe(base: Recipe, config: dict[str, Any]) -> Recipe:
    """The recipe of the trial with these searched settings. Raises ConfigError if they do not go together."""
    return override(base, [assignment(name, value) for name, value in config.items()])


def _with_leaf(group: Any, path: str, text: str, prefix: str) -> Any:
    name, _, rest = path.partition(".")
    fields = [field for field in type(group).model_fields if field not in ("search", "recipe", "settings", "kind")]
    if name not in fields:
        near = difflib.get_close_matches(name, fields, n=1)
        hint = f" Did you mean {prefix}{near[0]}?" if near else ""
        raise ConfigError(f"no setting {prefix + path!r}.{hint} {prefix}* are: {', '.join(fields)}")
    current = getattr(group, name)
    if rest and not isinstance(current, Frozen):
        raise ConfigError(f"{prefix}{path}: {prefix}{name} is {current!r} and has no settings of its own")
    value = _with_leaf(current, rest, text, f"{prefix}{name}.") if rest else _reading(name, current, text, prefix)
    try:
        return type(group).model_validate({**dict(group), name: value})
    except ValidationError as error:
        problems = "; ".join(row["msg"].removeprefix("Value error, ") for row in error.errors())
        raise ConfigError(f"{prefix}{path}={text}: {problems}") from error


def _reading(name: str, current: Any, text: str, prefix: str) -> Any:
    if name == "scheduler":
        if text not in _SCHEDULERS:
            raise ConfigError(f"{prefix}{name}={text}: expected one of {', '.join(_SCHEDULERS)}")
        return _SCHEDULERS[text]
    if isinstance(current, Frozen):
        known = ", ".join(f"{prefix}{name}.{field}" for field in type(current).model_fields)
        raise ConfigError(f"{prefix}{name} is a group; set one of {known}")
    if text.lower() == "none":
        return None
    try:
        return json.loads(text)
    except ValueError:
        return text

"""A search: a recipe, distributions over its leaves, and how they are searched. Knows no Ray."""

from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from engine.frozen import Frozen
from tune.distributions import KINDS

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


class Resources(Frozen):
    """What each of a trial's `workers` gets; a trial of one worker may have a fraction of a GPU."""

    cpus: PositiveInt = 1
    gpus: NonNegativeFloat = 0
    workers: PositiveInt = 1

    @model_validator(mode="after")
    def _whole_gpus(self) -> Self:
        if self.gpus % 1 and (self.workers > 1 or self.gpus > 1):
            raise ValueError(f"gpus={self.gpus:g}: only a trial of one worker on one GPU can share it with others")
        if self.gpus > 1:
            raise ValueError(f"gpus={self.gpus:g}: a worker uses one GPU; take workers={self.gpus:g} with gpus=1")
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

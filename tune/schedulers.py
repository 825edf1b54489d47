"""Who stops trials, or lets them go on from the weights of others."""

import functools
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from ray.tune import Checkpoint
from ray.tune.experiment import Trial
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, PopulationBasedTraining, TrialScheduler

from tune.distributions import Choice, Distribution, IntUniform
from tune.searchers import sample_space
from tune.space import Asha, Pbt, Space

_TIME = "epoch"
_EPOCHS = "train.epochs"


def make_scheduler(space: Space, epochs: int) -> TrialScheduler:
    """Ray's scheduler for trials of so many epochs, unless these are searched."""
    searched = space.search.get(_EPOCHS)
    epochs = epochs if searched is None else max(int(value) for value in searched.examples)
    match space.scheduler:
        case Asha(grace_epochs=grace, reduction=reduction):
            return ASHAScheduler(
                time_attr=_TIME, max_t=epochs, grace_period=min(grace, epochs), reduction_factor=reduction
            )
        case Pbt() as pbt:
            return Cloning(
                space.seed,
                time_attr=_TIME,
                perturbation_interval=pbt.interval_epochs,
                hyperparam_mutations={name: _mutable(domain) for name, domain in sample_space(space).items()},
                quantile_fraction=pbt.quantile,
                resample_probability=pbt.resample_probability,
                custom_explore_fn=functools.partial(within, space.search),
                require_attrs=False,  # an epoch that was not validated has no metric
            )
    return FIFOScheduler()


class Cloning(PopulationBasedTraining):
    """Population-based training that draws from a seed, and says which checkpoints it may still hand on.

    Who is cloned, and how settings change, depends on the seed, the trial, its epoch and the results so far. These come
    in another order when trials side by side take other times: then a search does not repeat itself.
    """

    def __init__(self, seed: int, **options: Any) -> None:
        super().__init__(**options)
        self._seed = seed
        self._remembered: dict[str, dict[str, Any]] = {}

    def _checkpoint_or_exploit(self, trial: Trial, *more: Any) -> None:
        number = int(trial.trial_id.rsplit("_", 1)[-1])  # the ids' beginning is another one in every search
        with _drawing(self._seed, number, int(self._trial_state[trial].last_train_time)):
            super()._checkpoint_or_exploit(trial, *more)

    def may_be_cloned(self) -> set[tuple[str, str]]:
        """Ids of trials and names of checkpoints: of those that were among the best when they were last compared."""
        return {
            (trial.trial_id, str(state.last_result.get("checkpoint_dir_name")))
            for trial, state in self._trial_state.items()
            if state.last_checkpoint
        }

    def known(self) -> dict[str, dict[str, Any]]:
        """By trial id, how each was when it was last compared."""
        return {
            trial.trial_id: vars(state) | {"last_checkpoint": bool(state.last_checkpoint)}
            for trial, state in self._trial_state.items()
        }

    def remember(self, known: dict[str, dict[str, Any]]) -> None:
        """Give trials, once they are added, what an earlier scheduler knew of them."""
        self._remembered = dict(known)

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        super().on_trial_add(tune_controller, trial)
        known = self._remembered.pop(trial.trial_id, None)
        if known is not None:
            checkpoint = _checkpoint(trial, known["last_result"]) if known["last_checkpoint"] else None
            vars(self._trial_state[trial]).update(known | {"last_checkpoint": checkpoint})


def _checkpoint(trial: Trial, result: dict[str, Any]) -> Checkpoint:
    """That which the trial stored with a result."""
    storage = trial.storage
    return Checkpoint(f"{storage.trial_fs_path}/{result['checkpoint_dir_name']}", storage.storage_filesystem)


@contextmanager
def _drawing(*seeds: int) -> Iterator[None]:
    """Ray draws from Python's and numpy's global states; within this they come from the seeds, after it as before."""
    before, numpy_before = random.getstate(), np.random.get_state()  # noqa: NPY002
    own = np.random.SeedSequence(seeds).generate_state(2)
    random.seed(int(own[0]))
    np.random.seed(int(own[1]))  # noqa: NPY002
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(numpy_before)  # noqa: NPY002


def within(search: dict[str, Distribution], config: dict[str, Any]) -> dict[str, Any]:
    """Settings brought back into their distributions: a perturbation multiplies them, whatever their bounds."""
    return config | {name: _nearest(one, config[name]) for name, one in search.items() if name in config}


def _nearest(distribution: Distribution, value: Any) -> Any:
    if isinstance(distribution, Choice):
        return value
    step = getattr(distribution, "step", None)
    if step is not None:
        value = round(value / step) * step
    inside = min(max(value, distribution.low), distribution.high)
    return int(inside) if isinstance(distribution, IntUniform) else inside


def _mutable(domain: Any) -> Any:
    """Of a choice, PBT moves to a neighbour."""
    return list(domain.categories) if hasattr(domain, "categories") else domain

"""Who stops trials, or lets them go on from the weights of others."""

import functools
from typing import Any

from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, PopulationBasedTraining, TrialScheduler

from tune.distributions import Choice, Distribution, IntUniform
from tune.searchers import sample_space
from tune.space import Asha, Pbt, Space

_TIME = "epoch"


def make_scheduler(space: Space, epochs: int) -> TrialScheduler:
    """Ray's scheduler for trials of so many epochs."""
    match space.scheduler:
        case Asha(grace_epochs=grace, reduction=reduction):
            return ASHAScheduler(
                time_attr=_TIME, max_t=epochs, grace_period=min(grace, epochs), reduction_factor=reduction
            )
        case Pbt() as pbt:
            return PopulationBasedTraining(
                time_attr=_TIME,
                perturbation_interval=pbt.interval_epochs,
                hyperparam_mutations={name: _mutable(domain) for name, domain in sample_space(space).items()},
                quantile_fraction=pbt.quantile,
                resample_probability=pbt.resample_probability,
                custom_explore_fn=functools.partial(within, space.search),
                require_attrs=False,  # an epoch that was not validated has no metric
            )
    return FIFOScheduler()


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

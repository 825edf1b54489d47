"""Who proposes the settings of the next trial."""

from typing import Any

import optuna
from ray import tune as ray_tune
from ray.tune.search import BasicVariantGenerator, ConcurrencyLimiter
from ray.tune.search.optuna import OptunaSearch

from tune.distributions import Choice, Distribution, IntUniform, LogUniform, Uniform
from tune.space import Space

_FIRST_AT_RANDOM = 8  # trials that TPE draws at random before it learns from them, but at most half of all


def make_searcher(space: Space, concurrent: int) -> Any:
    """Ray's search algorithm. It proposes the same settings again after the same results in the same order."""
    if space.searcher == "random":
        return BasicVariantGenerator(max_concurrent=concurrent, random_state=space.seed)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    at_random = min(_FIRST_AT_RANDOM, max(2, space.trials // 2))
    # A trial under way counts as a bad one, so that its neighbourhood is not proposed several times at once.
    sampler = optuna.samplers.TPESampler(seed=space.seed, n_startup_trials=at_random, constant_liar=concurrent > 1)
    return ConcurrencyLimiter(_OptunaOfEpochs(metric=space.metric, mode=space.mode, sampler=sampler), concurrent)


def sample_space(space: Space) -> dict[str, Any]:
    """The searched settings as Ray's distributions."""
    return {name: to_domain(distribution) for name, distribution in space.search.items()}


def to_domain(distribution: Distribution) -> Any:
    match distribution:
        case Uniform(low, high, None):
            return ray_tune.uniform(low, high)
        case Uniform(low, high, step):
            return ray_tune.quniform(low, high, step)
        case LogUniform(low, high):
            return ray_tune.loguniform(low, high)
        case IntUniform(low, high, _, True):
            return ray_tune.lograndint(low, high + 1)
        case IntUniform(low, high, 1):
            return ray_tune.randint(low, high + 1)
        case IntUniform(low, high, step):
            return ray_tune.qrandint(low, high, step)
        case Choice(values):
            return ray_tune.choice(list(values))
    raise AssertionError(f"unknown kind of distribution: {distribution!r}")


class _OptunaOfEpochs(OptunaSearch):
    """Epochs that were not validated have no metric; Ray's own class stumbles over them."""

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if self.metric in result:
            super().on_trial_result(trial_id, result)

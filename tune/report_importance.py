"""How much each searched setting decided whether a trial became one of the best (PED-ANOVA)."""

import json
import warnings
from collections.abc import Sequence
from typing import Any

from tune.plot_axes import is_number
from tune.searched import Searched, is_logarithmic
from tune.trials import Trial, best_score

FEWEST_TRIALS = 12
_BEST = 5  # the evaluator wants so many among the best
_LEAST_SHARE = 0.1


def importances(trials: Sequence[Trial], searched: Searched) -> dict[str, float]:
    """Shares by setting, which add up to 1, the largest first; empty with fewer than FEWEST_TRIALS usable trials.

    Trials count with their best value, stopped ones too. What one value only was tried of has no share.
    """
    import optuna

    usable = [trial for trial in trials if _usable(trial, searched)]
    names = [name for name in searched.search if len({_key(trial.settings.get(name)) for trial in usable}) > 1]
    if len(usable) < FEWEST_TRIALS or not names:
        return {}
    distributions = {name: _distribution(usable, searched, name) for name in names}
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize" if searched.mode == "max" else "minimize")
    study.add_trials([_as_study_trial(trial, searched, distributions) for trial in usable])
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=max(_LEAST_SHARE, _BEST / len(usable)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that all came out equal; the page shows that
        return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))


def _usable(trial: Trial, searched: Searched) -> bool:
    return trial.status != "failed" and best_score(trial, searched.metric, searched.mode) is not None


def _distribution(trials: Sequence[Trial], searched: Searched, name: str) -> Any:
    """What the values lie in; values that are no numbers are choices."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution

    values = [trial.settings.get(name) for trial in trials]
    numbers = [float(value) for value in values if value is not None and is_number(value)]
    if searched.search[name].get("kind") == "Choice" or len(numbers) < len(values):
        return CategoricalDistribution(sorted({_key(value) for value in values}))
    log = is_logarithmic(searched.search[name]) and min(numbers) > 0
    return FloatDistribution(min(numbers), max(numbers), log=log)


def _as_study_trial(trial: Trial, searched: Searched, distributions: dict[str, Any]) -> Any:
    import optuna

    params = {
        name: trial.settings[name] if hasattr(distribution, "low") else _key(trial.settings.get(name))
        for name, distribution in distributions.items()
    }
    value = best_score(trial, searched.metric, searched.mode)
    return optuna.trial.create_trial(params=params, distributions=distributions, value=value)


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)

"""A search without Ray's processes: the searcher is asked, and told what the objective says, one trial at a time."""

import math
import tempfile
from collections.abc import Callable
from typing import Any

from ray.tune.experiment import Experiment
from ray.tune.search import BasicVariantGenerator

from tune.searchers import make_searcher, sample_space
from tune.space import Space

Objective = Callable[[dict[str, Any]], float]


def proposals(space: Space, objective: Objective) -> list[tuple[dict[str, Any], float]]:
    """Every trial's settings and value, in order; a value of NaN is that of a trial that failed before it had one."""
    searcher = make_searcher(space, 1)
    if isinstance(searcher, BasicVariantGenerator):
        return [(config, objective(config)) for config in _drawn(space, searcher)]
    searcher.set_search_properties(space.metric, space.mode, sample_space(space))
    found = []
    for number in range(space.trials):
        config = searcher.suggest(str(number))
        value = objective(config)
        result = {} if math.isnan(value) else {space.metric: value, "training_iteration": 1}
        if result:
            searcher.on_trial_result(str(number), result)
        searcher.on_trial_complete(str(number), result)
        found.append((config, value))
    return found


def _drawn(space: Space, searcher: BasicVariantGenerator) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        searcher.add_configurations(
            [Experiment("drawn", lambda config: None, config=sample_space(space), num_samples=space.trials,
                        storage_path=folder)]
        )  # fmt: skip
        drawn = []
        while (trial := searcher.next_trial()) is not None:
            drawn.append(dict(trial.config))
            searcher.on_trial_complete(trial.trial_id)
        return drawn

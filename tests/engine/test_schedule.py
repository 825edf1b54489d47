"""The learning rate, step by step."""

import math

import pytest

from engine.config import OptimConfig
from engine.schedule import learning_rate


def test_multistep_drops_at_the_first_step_of_each_milestone_epoch() -> None:
    config = OptimConfig(lr=1e-3, milestones=(90, 120))
    rates = [learning_rate(config, step, 10, 140) for step in (0, 899, 900, 1199, 1200, 1399, 5000)]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-4, 1e-4, 1e-5, 1e-5, 1e-5])


def test_gamma_multiplies_and_equal_milestones_count_twice() -> None:
    config = OptimConfig(lr=1.0, milestones=(2, 2, 5), gamma=0.5)
    assert [learning_rate(config, step, 1, 9) for step in (1, 2, 4, 5)] == [1.0, 0.25, 0.25, 0.125]
    assert learning_rate(OptimConfig(lr=1.0, milestones=()), 10**6, 1, 9) == 1.0


def test_cosine_goes_from_lr_to_nothing_through_the_half() -> None:
    config = OptimConfig(lr=0.2, schedule="cosine")
    assert learning_rate(config, 0, 10, 10) == 0.2
    assert learning_rate(config, 25, 10, 10) == pytest.approx(0.1 * (1 + math.sqrt(0.5)))
    assert learning_rate(config, 50, 10, 10) == pytest.approx(0.1)
    assert learning_rate(config, 100, 10, 10) == pytest.approx(0, abs=1e-12)
    assert learning_rate(config, 150, 10, 10) == pytest.approx(0, abs=1e-12)
    rates = [learning_rate(config, step, 10, 10) for step in range(101)]
    assert rates == sorted(rates, reverse=True)


@pytest.mark.parametrize("schedule", ["multistep", "cosine"])
def test_warm_up_is_linear_and_never_zero(schedule: str) -> None:
    config = OptimConfig.model_validate({"lr": 1.0, "schedule": schedule, "warmup_steps": 4, "milestones": (1,)})
    assert [learning_rate(config, step, 1000, 10) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert learning_rate(config, 4, 1000, 10) == pytest.approx(1.0, abs=1e-6)

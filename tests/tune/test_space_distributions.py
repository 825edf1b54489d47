"""Distributions refuse what makes no sense, and mean the same to every searcher."""

import numpy as np
import pytest

from engine.config import ConfigError
from tune.distributions import Choice, IntUniform, LogUniform, Uniform, assignment
from tune.searchers import to_domain


@pytest.mark.parametrize(
    "make",
    [
        lambda: Uniform(1, 1),
        lambda: Uniform(2, 1),
        lambda: Uniform(0, float("inf")),
        lambda: Uniform(0, 1, step=0.3),
        lambda: LogUniform(0, 1),
        lambda: IntUniform(1.5, 3),
        lambda: IntUniform(1, 4, step=2),
        lambda: IntUniform(0, 8, log=True),
        lambda: Choice(1),
        lambda: Choice(1, 1),
        lambda: Choice(1, object()),
    ],
)
def test_refused_when_made(make) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError):
        make()


@pytest.mark.parametrize(
    ("distribution", "ends"),
    [
        (Uniform(0.0, 1.0, step=0.25), (0.0, 1.0)),
        (IntUniform(1, 3), (1, 3)),
        (IntUniform(2, 8, step=2), (2, 8)),
        (IntUniform(1, 4, log=True), (1, 4)),
        (Choice(32, 64), (32, 64)),
    ],
)
def test_both_ends_are_drawn(distribution, ends) -> None:  # type: ignore[no-untyped-def]
    drawn = set(to_domain(distribution).sample(size=300, random_state=np.random.default_rng(0)))
    assert min(drawn) == ends[0]
    assert max(drawn) == ends[1]


def test_a_logarithmic_one_has_as_many_small_ones_as_large_ones() -> None:
    drawn = to_domain(LogUniform(1e-4, 1e-2)).sample(size=2000, random_state=np.random.default_rng(0))
    assert 0.45 < np.mean(np.array(drawn) < 1e-3) < 0.55


def test_values_travel_as_the_command_line_takes_them() -> None:
    mixed = Choice("adam", None, True, (90, 120), 0.5)
    assert [assignment("x", value) for value in mixed.values] == ["x=adam", "x=null", "x=true", "x=[90, 120]", "x=0.5"]

"""What values a searched setting may take."""

import json
import math
from dataclasses import dataclass
from typing import Any

from engine.config import ConfigError


@dataclass(frozen=True)
class Uniform:
    """Numbers between `low` and `high`; with `step`, only multiples of it."""

    low: float
    high: float
    step: float | None = None

    def __post_init__(self) -> None:
        _require_range(self, self.low, self.high)
        _require_steps(self, self.step, self.low, self.high)

    @property
    def examples(self) -> tuple[Any, ...]:
        """Values such that a recipe which takes them takes all."""
        return self.low, self.high


@dataclass(frozen=True)
class LogUniform:
    """Numbers between `low` and `high` of which as many lie between 1 and 10 as between 10 and 100."""

    low: float
    high: float

    def __post_init__(self) -> None:
        _require_range(self, self.low, self.high)
        _require_positive(self, self.low)

    @property
    def examples(self) -> tuple[Any, ...]:
        return self.low, self.high


@dataclass(frozen=True)
class IntUniform:
    """Whole numbers from `low` to `high`, both included; with `step`, only multiples of it; with `log`, as many between
    1 and 10 as between 10 and 100."""

    low: int
    high: int
    step: int = 1
    log: bool = False

    def __post_init__(self) -> None:
        _require_range(self, self.low, self.high)
        _require_steps(self, self.step, self.low, self.high)
        if any(not isinstance(number, int) for number in (self.low, self.high, self.step)):
            raise ConfigError(f"{self}: low, high and step are whole numbers")
        if self.log:
            _require_positive(self, self.low)
            if self.step != 1:
                raise ConfigError(f"{self}: steps and a logarithmic scale do not go together")

    @property
    def examples(self) -> tuple[Any, ...]:
        return self.low, self.high


@dataclass(frozen=True, init=False)
class Choice:
    """One of several values, written as on the command line or as what they are: 64, "adam", None, (90, 120)."""

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        object.__setattr__(self, "values", tuple(_plain(value) for value in values))
        if len(set(map(repr, self.values))) < max(2, len(values)):
            raise ConfigError(f"{self}: give at least two different values, each once")

    @property
    def examples(self) -> tuple[Any, ...]:
        return self.values


Distribution = Uniform | LogUniform | IntUniform | Choice
KINDS = (Uniform, LogUniform, IntUniform, Choice)


def assignment(name: str, value: Any) -> str:
    """`name=value` as the command line takes it."""
    return f"{name}={value if isinstance(value, str) else json.dumps(value)}"


def _plain(value: Any) -> Any:
    """A value that every searcher can handle; lists travel as JSON text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    try:
        return json.dumps(value)
    except TypeError as error:
        raise ConfigError(f"Choice: {value!r} cannot be given as a setting's value") from error


def _require_range(given: object, low: float, high: float) -> None:
    if not (_is_number(low) and _is_number(high) and low < high):
        raise ConfigError(f"{given}: low and high must be finite numbers, low the smaller")


def _require_positive(given: object, low: float) -> None:
    if low <= 0:
        raise ConfigError(f"{given}: a logarithmic scale needs a low above 0")


def _require_steps(given: object, step: float | None, low: float, high: float) -> None:
    if step is None:
        return
    if not _is_number(step) or step <= 0:
        raise ConfigError(f"{given}: step must be a number above 0")
    if any(not math.isclose(end / step, round(end / step), abs_tol=1e-9) for end in (low, high)):
        raise ConfigError(f"{given}: low and high must be multiples of step")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)

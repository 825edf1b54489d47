"""Settings and scores as positions on an axis: its range, its ticks, and where a value lies."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tune.searched import Searched, is_logarithmic, value_text
from tune.trials import Trial

_TICKS = 5
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Axis:
    """`low`, `high`, `ticks` are positions: log10 of the value if `log`, the number of the choice if `choices`."""

    low: float
    high: float
    ticks: tuple[float, ...]
    labels: tuple[str, ...]
    log: bool = False
    choices: tuple[str, ...] = ()

    def position(self, value: Any) -> float | None:
        """None for what cannot lie on it."""
        if self.choices:
            return float(self.choices.index(_key(value))) if _key(value) in self.choices else None
        if not is_number(value) or (self.log and value <= 0):
            return None
        return math.log10(value) if self.log else float(value)


def setting_axis(trials: Sequence[Trial], searched: Searched, name: str) -> Axis:
    """The whole range that was searched, and whatever lies outside of it."""
    distribution = searched.search[name]
    values = [trial.settings[name] for trial in trials if name in trial.settings]
    if distribution.get("kind") == "Choice" or not values or not all(map(is_number, values)):
        return choice_axis([*distribution.get("values", ()), *values])
    ends = [distribution[end] for end in ("low", "high") if is_number(distribution.get(end))]
    return number_axis([*values, *ends], is_logarithmic(distribution))


def choice_axis(values: Sequence[Any]) -> Axis:
    shown = {_key(value): value_text(value) for value in values}
    positions = tuple(float(position) for position in range(len(shown)))
    return Axis(-0.2, max(len(shown) - 0.8, 0.2), positions, tuple(shown.values()), choices=tuple(shown))


def number_axis(values: Sequence[float], log: bool = False) -> Axis:
    log = log and min(values) > 0
    low, high = (math.log10(end) if log else float(end) for end in (min(values), max(values)))
    if low == high:
        margin = abs(low) / 10 or 1.0
        low, high = low - margin, high + margin
    ticks = _log_ticks(low, high) if log else _even_ticks(low, high)
    return Axis(low, high, ticks, tuple(f"{10**tick if log else tick:.6g}" for tick in ticks), log)


def rounded(axis: Axis) -> Axis:
    """The same from tick to tick, with one more at either end if need be. Not for logarithmic ones."""
    if len(axis.ticks) < 2:
        return axis
    step = axis.ticks[1] - axis.ticks[0]
    first, last = axis.ticks[0], axis.ticks[-1]
    low = first if axis.low >= first - step * 1e-9 else first - step
    high = last if axis.high <= last + step * 1e-9 else last + step
    ticks = tuple(low + step * number for number in range(round((high - low) / step) + 1))
    return Axis(low, high, ticks, tuple(f"{tick:.6g}" for tick in ticks))


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _even_ticks(low: float, high: float) -> tuple[float, ...]:
    rough = (high - low) / _TICKS
    size = 10 ** math.floor(math.log10(rough))
    step = size * next(one for one in _STEPS if one * size >= rough * 0.999)
    return tuple(step * number for number in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1))


def _log_ticks(low: float, high: float) -> tuple[float, ...]:
    """Powers of ten; where there are few of them, 2 and 5 times these as well."""
    factors = (1,) if high - low >= 3 else (1, 2, 5)
    decades = range(math.floor(low), math.ceil(high) + 1)
    found = [exponent + math.log10(factor) for exponent in decades for factor in factors]
    inside = [tick for tick in found if low - 1e-9 <= tick <= high + 1e-9]
    return tuple(inside[:: math.ceil(len(inside) / (2 * _TICKS)) or 1])


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)

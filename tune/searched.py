"""What a search searched: its search.json, read for people."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from engine.config import Recipe, leaves, parse_recipe, variant
from pose.errors import UserError
from sharding.storage import Folder
from tune.trial_recipe import trial_recipe
from tune.trials import SEARCH

_NEEDED = {"recipe": str, "search": dict, "metric": str, "mode": str, "base": dict}


class ReportError(UserError):
    """A folder that is none of a search, or nowhere to write the report."""


@dataclass(frozen=True)
class Searched:
    """What search.json says.

    Attributes:
        recipe: its name or path. base: the whole recipe that the trials vary.
        search: distributions by dotted name, each as data with its `kind`.
        metric, mode: what was to become large or small.
        trials: how many were asked for; None if it does not say.
        searcher, scheduler: in words. versions: of packages, by name.
    """

    recipe: str
    base: Recipe
    search: dict[str, dict[str, Any]]
    metric: str
    mode: Literal["max", "min"]
    trials: int | None
    seed: int | None
    searcher: str
    scheduler: str
    versions: dict[str, str]

    @property
    def is_pbt(self) -> bool:
        return self.scheduler.startswith("pbt")

    @property
    def epochs(self) -> int:
        """Those of a trial that nobody stops, unless they are searched themselves."""
        return self.base.train.epochs

    def base_value(self, name: str) -> Any:
        """What the base recipe says of a searched setting; None where it says nothing."""
        return leaves(self.base).get(name)


def read_searched(folder: Folder) -> Searched:
    """What was searched in an experiment's folder.

    Raises:
        ReportError: there is no search.json, or it is not one. ConfigError: its recipe is none of this version.
    """
    if not folder.exists(SEARCH):
        raise ReportError(f"{folder.uri} holds no {SEARCH}; give the --out folder of a `posestream tune`")
    try:
        found = json.loads(folder.read(SEARCH))
    except ValueError as error:
        raise ReportError(f"{folder.location(SEARCH)} is not JSON: {error}") from error
    wrong = [name for name, kind in _NEEDED.items() if not isinstance(found, dict) or type(found.get(name)) is not kind]
    if wrong or found["mode"] not in ("max", "min"):
        raise ReportError(f"{folder.location(SEARCH)} says nothing usable about {', '.join(wrong) or 'mode'}")
    return Searched(
        recipe=found["recipe"],
        base=parse_recipe(found["base"]),
        search={name: one if isinstance(one, dict) else {"kind": str(one)} for name, one in found["search"].items()},
        metric=found["metric"],
        mode=found["mode"],
        trials=found.get("trials"),
        seed=found.get("seed"),
        searcher=str(found.get("searcher") or "random"),
        scheduler=_in_words(found.get("scheduler")),
        versions=dict(found.get("versions") or {}),
    )


def best_recipe(searched: Searched, settings: dict[str, Any], name: str) -> Recipe:
    """The base recipe with a trial's settings, under a name and in a run folder of its own. Raises ConfigError."""
    return variant(trial_recipe(searched.base, settings), name)


def distribution_text(distribution: dict[str, Any]) -> str:
    """Such as "0.0001 … 0.01, logarithmic" or "64 | 128"."""
    kind = distribution.get("kind", "?")
    if kind == "Choice":
        return " | ".join(map(value_text, distribution.get("values", ())))
    if not {"low", "high"} <= distribution.keys():
        return str(kind)
    step = distribution.get("step")
    notes = [
        "whole" if kind == "IntUniform" else "",
        f"steps of {value_text(step)}" if step not in (None, 1) else "",
        "logarithmic" if is_logarithmic(distribution) else "",
    ]
    span = f"{value_text(distribution['low'])} … {value_text(distribution['high'])}"
    return ", ".join([span, *filter(None, notes)])


def short_names(names: Iterable[str]) -> list[str]:
    """Dotted names without their groups, where that leaves them different."""
    dotted = list(names)
    last = [name.rpartition(".")[2] for name in dotted]
    return [short if last.count(short) == 1 else name for name, short in zip(dotted, last, strict=True)]


def is_logarithmic(distribution: dict[str, Any]) -> bool:
    return distribution.get("kind") == "LogUniform" or distribution.get("log") is True


def value_text(value: Any) -> str:
    """A value for people: four digits of a number, words as they are, lists as JSON."""
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def _in_words(scheduler: Any) -> str:
    if not isinstance(scheduler, dict):
        return str(scheduler or "none")
    settings = ", ".join(f"{name} {value_text(value)}" for name, value in scheduler.items() if name != "kind")
    return f"{scheduler.get('kind', '?')} ({settings})" if settings else str(scheduler.get("kind", "?"))

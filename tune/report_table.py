"""The table of a search's trials, for the page and for the screen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich import box
from rich.markup import escape
from rich.table import Table

from tune.plot_axes import is_number
from tune.plot_trials import Shown
from tune.searched import Searched, short_names, value_text
from tune.trials import Trial

_NONE = "–"
_OF_TRIAL, _STATUS = "trial", "status"
_LONGEST = 300


@dataclass(frozen=True)
class Column:
    """`kind` is also how the page sorts it; `note` explains the name."""

    name: str
    kind: Literal["text", "number", "where"]
    note: str = ""


@dataclass(frozen=True)
class Cell:
    """`value` is what is sorted by, empty if there is none; `title` the whole of what `text` shortens; `more` is
    written below it."""

    text: str
    value: str
    title: str = ""
    more: str = ""


def columns(searched: Searched) -> list[Column]:
    best = "largest" if searched.mode == "max" else "smallest"
    return [
        Column("#", "number", "in the order in which they began"),
        Column(_OF_TRIAL, "text", "name of the trial's folder"),
        Column(_STATUS, "text", "stopped: by the scheduler, before its last epoch"),
        Column(searched.metric, "number", f"the {best} that it reported"),
        *([] if searched.metric == "loss" else [Column("loss", "number", "of the last epoch")]),
        *(Column(name, _kind(one), "searched") for name, one in searched.search.items()),
        Column("epochs", "number", "finished"),
        Column("time", "number", "of training, without validation"),
        Column("samples/s", "number", "mean over its epochs"),
        Column("checkpoint", "where", "the one with the best value among those that were kept"),
    ]


def _kind(distribution: dict[str, Any]) -> Literal["text", "number"]:
    return "number" if all(map(is_number, distribution.get("values", ()))) else "text"


def cells(shown: Shown, searched: Searched, folder_uri: str) -> tuple[Cell, ...]:
    """A trial's, in the order of `columns`."""
    trial = shown.trial
    reason = trial.reason or ""
    seconds = [epoch["seconds"] for epoch in trial.epochs if is_number(epoch.get("seconds"))]
    speeds = [epoch["samples_per_s"] for epoch in trial.epochs if is_number(epoch.get("samples_per_s"))]
    speed = len(speeds) / sum(1 / one for one in speeds) if speeds and min(speeds) > 0 else None
    return (
        _number(float(shown.number), str(shown.number)),
        Cell(trial.id, trial.id),
        Cell(trial.status, trial.status, reason, reason if len(reason) <= _LONGEST else reason[:_LONGEST] + "…"),
        _score(shown.score),
        *([] if searched.metric == "loss" else [_score(last_loss(trial))]),
        *(_setting(trial, name) for name in searched.search),
        _number(last_epoch(trial), f"{last_epoch(trial):g}"),
        _number(sum(seconds), duration(sum(seconds))) if seconds else _nothing(),
        _number(speed, f"{speed:.3g}" if speed < 100 else f"{speed:.0f}") if speed is not None else _nothing(),
        _checkpoint(trial, folder_uri),
    )


def best_table(ranked: Sequence[Shown], searched: Searched, most: int) -> Table:
    """The first of them, for the screen."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1))
    for name in (_OF_TRIAL, _STATUS, searched.metric, "epochs"):
        justify: Literal["left", "right"] = "left" if name in (_OF_TRIAL, _STATUS) else "right"
        table.add_column(escape(name), justify=justify, no_wrap=True)
    table.add_column("settings")
    short = dict(zip(searched.search, short_names(searched.search), strict=True))
    for shown in ranked[:most]:
        trial = shown.trial
        settings = "  ".join(f"{short[name]}={_setting(trial, name).text}" for name in searched.search)
        row = [trial.id, trial.status, _score(shown.score).text, f"{last_epoch(trial):g}", settings]
        table.add_row(*map(escape, row), style="bold" if shown.is_best else None)
    return table


def last_epoch(trial: Trial) -> float:
    return trial.epochs[-1]["epoch"] if trial.epochs else 0


def last_loss(trial: Trial) -> float | None:
    """NaN if it diverged; None if it reported no epoch."""
    return trial.epochs[-1].get("loss") if trial.epochs else None


def duration(seconds: float) -> str:
    """Such as 12 s, 12 min, 3.4 h."""
    if seconds < 99.5:
        return f"{seconds:.2g} s" if seconds < 9.95 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 99.5 * 60 else f"{seconds / 3600:.1f} h"


def _score(value: float | None) -> Cell:
    return _nothing() if value is None else _number(value, f"{value:.4g}")


def _setting(trial: Trial, name: str) -> Cell:
    if name not in trial.settings:
        return _nothing()
    value = trial.settings[name]
    if is_number(value):
        return _number(float(value), value_text(value))
    text = value_text(value)
    return Cell(text if len(text) <= 40 else text[:39] + "…", text, text)


def _checkpoint(trial: Trial, folder_uri: str) -> Cell:
    if trial.checkpoint is None:
        return _nothing()
    base = folder_uri.partition("?")[0].rstrip("/") + "/"
    short = trial.checkpoint.removeprefix(base).partition("?")[0]
    return Cell(short, short, trial.checkpoint)


def _number(value: float, text: str) -> Cell:
    return Cell(text, "" if math.isnan(value) else repr(value), repr(value))


def _nothing() -> Cell:
    return Cell(_NONE, "")

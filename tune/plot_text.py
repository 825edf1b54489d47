"""Texts in figures. Whatever comes from data is escaped: plotly knows a few tags of HTML, and %{…} for values."""

from html import escape

from tune.searched import value_text
from tune.trials import Trial


def hover(trial: Trial) -> str:
    """A trial in the few words that fit beside the pointer."""
    settings = [f"{name} = {short(value_text(value))}" for name, value in trial.settings.items()]
    reason = [short(trial.reason)] if trial.reason else []
    return "<br>".join(text_of(line) for line in [f"trial {trial.id}: {trial.status}", *reason, *settings])


def text_of(text: str) -> str:
    """Text of the data, as plotly shows it unchanged: it knows a few tags, and %{…} for values."""
    return escape(text, quote=False).replace("%{", "%&#123;")


def broken(name: str, width: int = 16) -> str:
    """A dotted name over several lines."""
    lines = [""]
    for part in name.replace(".", ".\0").replace("_", "_\0").split("\0"):
        if lines[-1] and len(lines[-1]) + len(part) > width:
            lines.append("")
        lines[-1] += part
    return "<br>".join(text_of(line) for line in lines)


def short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"

"""Parallel coordinates: a line per trial through its settings to its score."""

from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from tune.plot_axes import Axis, number_axis, rounded, setting_axis
from tune.plot_text import broken, short
from tune.plot_trials import SCALE, Shown
from tune.searched import Searched, short_names

_HEIGHT = 420
_LABEL = 16  # characters


def parallel_coordinates(shown: Sequence[Shown], searched: Searched) -> go.Figure:
    """Failed trials too; what a trial does not say lies below the axis."""
    trials = [one.trial for one in shown]
    dimensions = [
        _dimension(broken(label), setting_axis(trials, searched, name), [trial.settings.get(name) for trial in trials])
        for name, label in zip(searched.search, short_names(searched.search), strict=True)
    ]
    scores = [one.score for one in shown]
    known = [score for score in scores if score is not None]
    if known:
        dimensions.append(_dimension(f"<b>{broken(searched.metric)}</b>", rounded(number_axis(known)), scores))
    figure = go.Figure(
        go.Parcoords(
            dimensions=dimensions,
            line={"color": [one.shade for one in shown], "colorscale": SCALE, "cmin": -0.2, "cmax": 1.2},
            labelangle=0,
        )
    )
    return figure.update_layout(height=_HEIGHT, margin={"l": 70, "r": 60, "t": 90, "b": 24})


def _dimension(label: str, axis: Axis, values: Sequence[Any]) -> dict[str, Any]:
    """What a trial does not say lies below the axis."""
    positions = [axis.position(value) for value in values]
    below = axis.low - (axis.high - axis.low) * 0.08
    missing = any(position is None for position in positions)
    return {
        "label": label,
        "values": [below if position is None else position for position in positions],
        "range": [below if missing else axis.low, axis.high],
        "tickvals": [*([below] if missing else []), *axis.ticks],
        "ticktext": [*(["none"] if missing else []), *(short(label, _LABEL) for label in axis.labels)],
    }

"""The figures of a report, in plotly. Whatever comes from data is escaped; colours of text and grid come with the page.

A trial has one colour everywhere: grey to blue from the worst to the best, orange the best, red what failed.
"""

from collections.abc import Sequence

import plotly.graph_objects as go

from tune.plot_axes import is_number, setting_axis
from tune.plot_text import broken, hover, text_of
from tune.plot_trials import BEST, FAILED, SCALE, Shown
from tune.searched import Searched

_HEIGHT = 380
_LINES = {"finished": "solid", "running": "solid", "stopped": "dot", "failed": "dash"}
_ENDS = {"finished": "circle", "running": "circle-open", "stopped": "square", "failed": "x"}
_LOG_FROM = 20  # a loss that spans so much is drawn on a logarithmic scale
_FEW = 12  # trials or epochs, each of which has its own tick


def history(shown: Sequence[Shown], searched: Searched) -> go.Figure:
    """The score of each trial in the order in which they began, and the best so far."""
    scored = [one for one in shown if one.score is not None]
    bests = _best_so_far(scored, searched.mode)
    figure = _figure("trial", searched.metric)
    figure.update_xaxes(range=[0.5, len(shown) + 0.5], tickformat="d", dtick=1 if len(shown) <= _FEW else None)
    figure.add_scatter(
        x=[number for number, _ in bests],
        y=[best for _, best in bests],
        mode="lines",
        line={"color": BEST, "width": 1.5, "shape": "hv"},
        name="best so far",
        hoverinfo="skip",
    )
    _add_points(figure, scored, [one.number for one in scored])
    lost = [one for one in shown if one.score is None]
    if lost and scored:
        values = [one.score for one in scored if one.score is not None]
        floor = min(values) - ((max(values) - min(values)) or 1) * 0.08
        _add_points(figure, lost, [one.number for one in lost], floor, "no value")
    return figure


def slice_of(name: str, shown: Sequence[Shown], searched: Searched) -> go.Figure:
    """The score over one setting."""
    scored = [one for one in shown if one.score is not None and name in one.trial.settings]
    axis = setting_axis([one.trial for one in shown], searched, name)
    figure = _figure(name, searched.metric, height=280)
    _add_points(figure, scored, [axis.position(one.trial.settings[name]) for one in scored], legend=False)
    margin = (axis.high - axis.low) * 0.04
    figure.update_xaxes(
        tickvals=axis.ticks, ticktext=[text_of(label) for label in axis.labels],
        range=[axis.low - margin, axis.high + margin],
    )  # fmt: skip
    return figure


def learning_curves(key: str, title: str, shown: Sequence[Shown]) -> go.Figure:
    """One reported number over the epochs, a line per trial; the last point says how it ended."""
    figure = _figure("epoch", title)
    values = []
    for one in sorted(shown, key=lambda one: one.rank):
        points = [(epoch["epoch"], epoch[key]) for epoch in one.trial.epochs if is_number(epoch.get(key))]
        if not points:
            continue
        values += [value for _, value in points]
        figure.add_scatter(
            x=[epoch for epoch, _ in points],
            y=[value for _, value in points],
            mode="lines+markers",
            opacity=one.opacity,
            line={"color": one.colour, "width": 3 if one.is_best else 1.5, "dash": _LINES[one.trial.status]},
            marker={
                "color": one.colour,
                "size": [0] * (len(points) - 1) + [8],
                "symbol": _ENDS[one.trial.status],
                "line": {"color": one.colour, "width": 1.5},
            },
            showlegend=False,
            hovertemplate=f"{hover(one.trial)}<br>epoch %{{x}}: %{{y:.5g}}<extra></extra>",
        )
    _add_legend(figure, shown)
    figure.update_xaxes(
        tickformat="d", dtick=1 if max((len(one.trial.epochs) for one in shown), default=0) <= _FEW else None
    )
    if key == "loss" and values and min(values) > 0 and max(values) / min(values) > _LOG_FROM:
        figure.update_yaxes(type="log", dtick=1)
    return figure


def importance(shares: dict[str, float]) -> go.Figure:
    """A bar per setting, the largest on top."""
    names = list(reversed(shares))
    figure = _figure("share", "", height=90 + 34 * len(names))
    figure.add_bar(
        x=[shares[name] for name in names],
        y=[broken(name, 28) for name in names],
        orientation="h",
        marker={"color": SCALE[3][1]},
        text=[f"{shares[name]:.0%}" for name in names],
        textposition="auto",
        hoverinfo="skip",
    )
    return figure.update_xaxes(tickformat=".0%", range=[0, 1])


def _best_so_far(scored: Sequence[Shown], mode: str) -> list[tuple[int, float]]:
    """From the first trial that did not fail: numbers of trials, and the best value up to each."""
    better = max if mode == "max" else min
    found: list[tuple[int, float]] = []
    for one in scored:
        own = [] if one.score is None or one.trial.status == "failed" else [one.score]
        known = [*(best for _, best in found[-1:]), *own]
        if known:
            found.append((one.number, better(known)))
    return found


def _figure(x: str, y: str, height: int = _HEIGHT) -> go.Figure:
    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 12, "t": 36, "b": 8},
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0},
        hovermode="closest",
    )
    figure.update_xaxes(title=text_of(x), automargin=True, zeroline=False)
    return figure.update_yaxes(title=text_of(y), automargin=True, zeroline=False, exponentformat="e")


def _add_points(
    figure: go.Figure,
    shown: Sequence[Shown],
    x: Sequence[float | None],
    y: float | None = None,
    note: str = "%{y:.5g}",
    legend: bool = True,
) -> None:
    """A point per trial: its end by its symbol, its rank by its colour; at `y` those without a score."""
    figure.add_scatter(
        x=x,
        y=[one.score if y is None else y for one in shown],
        mode="markers",
        marker={
            "color": [one.colour for one in shown],
            "symbol": [_ENDS[one.trial.status] for one in shown],
            "size": [13 if one.is_best else 9 for one in shown],
            "line": {"color": [one.colour for one in shown], "width": 1.5},
        },
        text=[hover(one.trial) for one in shown],
        hovertemplate=f"%{{text}}<br>{note}<extra></extra>",
        showlegend=False,
    )
    if legend and y is None:
        _add_legend(figure, shown, lines=False)


def _add_legend(figure: go.Figure, shown: Sequence[Shown], lines: bool = True) -> None:
    """How trials of each status look, of those that occur."""
    for status in [status for status in _ENDS if any(one.trial.status == status for one in shown)]:
        colour = FAILED if status == "failed" else SCALE[3][1]
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="lines+markers" if lines else "markers",
            line={"color": colour, "dash": _LINES[status], "width": 1.5},
            marker={"color": colour, "symbol": _ENDS[status], "size": 8, "line": {"color": colour, "width": 1.5}},
            name=status,
        )

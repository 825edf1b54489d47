"""Learning curves, and PCKh over its thresholds."""

from collections.abc import Sequence

from evaluation.evaluation_folder import Curves, Evaluation
from evaluation.report_chart import Line, Points, has_points, line_chart
from evaluation.report_expected import Expected, counterpart
from evaluation.report_html import Html, element, fragment
from evaluation.report_section import Section, absent, run_class, run_key

_LOSS = "train/loss"
_PCKH = "PCKh over the threshold"


def learning_section(runs: Sequence[Evaluation], expected: Expected) -> Section:
    """The headline score and the loss; other curves on demand."""
    known = {number: curves for number, run in enumerate(runs) if (curves := _curves(run))}
    if not known:
        missing = (
            "No learning curves: there is no training.json. `posestream evaluate RECIPE --checkpoint FILE` "
            "takes them from the run folder that the checkpoint lies in."
        )
        return Section("learning", "Learning curves", None, missing)
    names = list(dict.fromkeys(name for curves in known.values() for name in curves))
    primaries = dict.fromkeys(f"val/{run.metrics.primary}" for run in runs)
    first = [name for name in (*primaries, _LOSS) if name in names]
    charts = {name: _learning_chart(name, runs, known, expected) for name in names}
    others = [chart for name, chart in charts.items() if name not in first]
    more = element("details", element("summary", f"{len(others)} more curves"), _grid(others)) if others else None
    note = absent(runs, [run for number, run in enumerate(runs) if number not in known], "training.json")
    main = _grid([charts[name] for name in first])
    return Section("learning", "Learning curves", fragment(run_key(runs, list(known)), main, more, note))


def pckh_section(runs: Sequence[Evaluation]) -> Section | None:
    """None where no run's benchmark has such curves."""
    known = {number: run.curves for number, run in enumerate(runs) if run.curves is not None and _groups(run.curves)}
    expecting = [run for run in runs if run.metrics.primary.startswith("PCKh")]
    if not known:
        missing = "No PCKh curves: there is no curves.json; `posestream evaluate` writes it."
        return Section("pckh", _PCKH, None, missing) if expecting else None
    groups = sorted(
        dict.fromkeys(group for curves in known.values() for group in _groups(curves)),
        key=lambda group: group != "Mean",
    )
    charts = [_pckh_chart(group, runs, known) for group in groups]
    text = element("p", "Percent of keypoints within a distance of the truth, in head sizes.", class_="quiet")
    note = absent(runs, [run for run in expecting if run.curves is None], "curves.json")
    return Section("pckh", _PCKH, fragment(text, run_key(runs, list(known)), _grid(charts), note))


def _curves(run: Evaluation) -> dict[str, Points]:
    """Those that have a value; scores in percent."""
    found: dict[str, Points] = {}
    for name, points in ({} if run.training is None else run.training.curves).items():
        factor = run.metrics.factor if name.removeprefix("val/") in run.metrics.metrics else 1
        if has_points(points):
            found[name] = [(step, None if value is None else factor * value) for step, value in points]
    return found


def _learning_chart(
    name: str, runs: Sequence[Evaluation], known: dict[int, dict[str, Points]], expected: Expected
) -> Html:
    lines = [
        Line(runs[number].name, curves[name], run_class(number)) for number, curves in known.items() if name in curves
    ]
    unit = "" if name.removeprefix("val/") not in runs[0].metrics.metrics else ", percent"
    return line_chart(name + unit, "batches", lines, _published(name, runs, expected), log=name == _LOSS)


def _published(name: str, runs: Sequence[Evaluation], expected: Expected) -> tuple[str, float] | None:
    """The published score, if the runs agree on it."""
    found = set()
    for run in runs:
        rows = expected.get(run.metrics.facts.get("recipe", ""), ())
        match = counterpart([row for row in rows if f"val/{row.metric}" == name], run.recipe)
        found.add(None if match is None else match[0])
    score = found.pop() if len(found) == 1 else None
    return None if score is None else (f"published {score:g}", score)


def _pckh_chart(group: str, runs: Sequence[Evaluation], known: dict[int, Curves]) -> Html:
    lines = [
        Line(runs[number].name, _points(curves, group), run_class(number))
        for number, curves in known.items()
        if group in _groups(curves)
    ]
    return line_chart(f"{group}, percent", "threshold", lines, limits=(0, 100))


def _groups(curves: Curves) -> list[str]:
    """Those that have a value."""
    return [group for group in curves.groups if has_points(_points(curves, group))]


def _points(curves: Curves, group: str) -> Points:
    return list(zip(curves.thresholds, curves.groups[group], strict=True))


def _grid(charts: Sequence[Html]) -> Html:
    return element("div", charts, class_="plots")

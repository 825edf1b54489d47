"""Line charts as inline SVG, small enough to be legible on a phone."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass

from evaluation.report_html import Html, element

_WIDTH, _HEIGHT = 340, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 10, 36
_MOST_POINTS = 400
_LOG_FROM = 30.0  # a range of more than this many times is drawn logarithmically, where that is asked for

Points = Sequence[tuple[float, float | None]]


@dataclass(frozen=True)
class Line:
    """`points`: x and y; None is a gap. `look` is a class of the page's style."""

    name: str
    points: Points
    look: str


@dataclass(frozen=True)
class Axis:
    """A range of values along `length` px from `start` px."""

    low: float
    high: float
    start: float
    length: float
    log: bool = False

    def place(self, value: float) -> float:
        low, high, value = map(math.log10, (self.low, self.high, value)) if self.log else (self.low, self.high, value)
        return round(self.start + (value - low) / (high - low) * self.length, 1)

    def ticks(self) -> list[float]:
        if self.log:
            powers = range(math.ceil(math.log10(self.low) - 1e-9), math.floor(math.log10(self.high) + 1e-9) + 1)
            return [10.0**power for power in powers]
        wide = (self.high - self.low) / 5
        size = 10 ** math.floor(math.log10(wide))
        step = size * next(factor for factor in (1, 2, 5, 10, 20) if wide <= size * factor * (1 + 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def line_chart(
    title: str,
    x_name: str,
    lines: Sequence[Line],
    reference: tuple[str, float] | None = None,
    log: bool = False,
    limits: tuple[float, float] | None = None,
) -> Html:
    """A figure. `reference`: name and value of a level to compare with. `log`: the y axis may be logarithmic.

    `limits`: of the y axis, by default what the values take.
    """
    thinned = [Line(line.name, _thinned(line.points), line.look) for line in lines]
    x, y = _axes(thinned, [] if reference is None else [reference[1]], log, limits)
    parts = [
        _grid(x, y, x_name),
        None if reference is None else _reference(reference, y),
        [_path(line, x, y) for line in thinned],
        element("line", class_="cursor", y1=_TOP, y2=_HEIGHT - _BOTTOM, x1=-9, x2=-9),
    ]
    drawing = element(
        "svg", element("title", f"{title} over {x_name}"), parts, viewBox=f"0 0 {_WIDTH} {_HEIGHT}", role="img",
        tabindex=0, class_="chart",
    )  # fmt: skip
    return element("figure", element("figcaption", title), drawing, class_="plot")


def has_points(points: Points) -> bool:
    return any(y is not None for _, y in points)


def number_text(value: float) -> str:
    """Short, such as 12k, 0.02, 1e-05."""
    if abs(value) >= 1000:
        divisor, unit = (1e6, "M") if abs(value) >= 1e6 else (1e3, "k")
        return f"{value / divisor:.4g}{unit}"
    return f"{round(value, 10):g}"


def _axes(
    lines: Sequence[Line], levels: Sequence[float], log: bool, limits: tuple[float, float] | None
) -> tuple[Axis, Axis]:
    points = [(x, y) for line in lines for x, y in line.points if y is not None]
    values = [*(y for _, y in points), *levels]
    low, high = limits or (min(values), max(values))
    log = log and low > 0 and high / low > _LOG_FROM
    if not log and limits is None:
        margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
        low, high = low if 0 <= low < margin else low - margin, high + margin
    first, last = min(x for x, _ in points), max(x for x, _ in points)
    if first == last:
        first, last = first - 1, last + 1
    along = Axis(first, last, _LEFT, _WIDTH - _LEFT - _RIGHT)
    return along, Axis(low, high, _HEIGHT - _BOTTOM, -(_HEIGHT - _BOTTOM - _TOP), log)


def _grid(x: Axis, y: Axis, x_name: str) -> list[Html]:
    parts = []
    for tick in y.ticks():
        place = y.place(tick)
        parts.append(element("line", class_="grid", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=place, y2=place))
        parts.append(element("text", number_text(tick), x=_LEFT - 5, y=place + 4, text_anchor="end"))
    for tick in x.ticks():
        place = x.place(tick)
        anchor = "end" if place > _WIDTH - 25 else "middle"
        parts.append(element("text", number_text(tick), x=place, y=_HEIGHT - _BOTTOM + 15, text_anchor=anchor))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return [*parts, element("text", x_name, x=middle, y=_HEIGHT - 4, text_anchor="middle")]


def _reference(reference: tuple[str, float], y: Axis) -> list[Html]:
    name, level = reference
    place = y.place(level)
    return [
        element("line", class_="reference", x1=_LEFT, x2=_WIDTH - _RIGHT, y1=place, y2=place),
        element("text", name, x=_LEFT + 4, y=place + (12 if place < _TOP + 14 else -4)),
    ]


def _path(line: Line, x: Axis, y: Axis) -> Html:
    """With its values for the page's script, which shows them under the cursor."""
    commands, drawn, shown, place = [], False, [], (0.0, 0.0)
    for at, value in line.points:
        if value is None:
            drawn = False
            continue
        place = (x.place(at), y.place(value))
        commands.append(f"{'L' if drawn else 'M'}{place[0]:g} {place[1]:g}")
        shown.append([*place, f"{at:.6g}", f"{value:.4g}"])
        drawn = True
    path = element(
        "path", element("title", line.name), class_=f"line {line.look}", d="".join(commands),
        data_name=line.name, data_points=json.dumps(shown, separators=(",", ":")),
    )  # fmt: skip
    return Html(path + _dot(place, line.look)) if len(shown) == 1 else path


def _dot(place: tuple[float, float], look: str) -> Html:
    """A value that has no others beside it."""
    return element("circle", class_=f"dot {look}", cx=place[0], cy=place[1], r=3)


def _thinned(points: Points) -> list[tuple[float, float | None]]:
    """So few that the page stays small; the last one is among them."""
    step = max(1, -(-len(points) // _MOST_POINTS))
    return [point for number, point in enumerate(points) if (len(points) - 1 - number) % step == 0]

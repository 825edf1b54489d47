"""Horizontal bars, beside the names of what they measure."""

from collections.abc import Iterable, Sequence

from evaluation.report_html import Child, Html, element, percent
from evaluation.report_section import run_class

Part = tuple[str, float]
Row = tuple[Child, Child, Child]


def stack(parts: Sequence[Part], name: str) -> Html:
    """A bar of parts that add up to 100 percent, each in the colour of its kind."""
    spans = [
        element("span", class_=f"kind-{kind}", style=f"width:{share:.2f}%", title=f"{kind} {percent(share, 1)} %")
        for kind, share in parts
    ]
    told = ", ".join(f"{kind} {percent(share, 1)} %" for kind, share in parts)
    return element("div", spans, class_="stack", role="img", aria_label=f"{name}: {told}")


def meter(value: float | None, most: float, text: Child, number: int, name: str) -> Html:
    """A bar as long as `value` is of `most`, and its number beside it; `number` is the run's, whose colour it has."""
    share = 0.0 if value is None or most <= 0 else max(0.0, min(100.0, 100 * value / most))
    bar = element("span", element("span", class_=run_class(number), style=f"width:{share:.2f}%"), class_="meter")
    return element("div", bar, element("span", text, class_="number"), class_="measure", title=name)


def bar_rows(rows: Iterable[Row], header: Row | None = None) -> Html:
    """A table of names, bars, and a last column of numbers."""
    head = element("thead", element("tr", [element("th", cell, scope="col") for cell in header])) if header else None
    body = [
        element("tr", element("th", name, scope="row"), element("td", bars, class_="bar"), element("td", last))
        for name, bars, last in rows
    ]
    return element("table", head, element("tbody", body), class_="bars")

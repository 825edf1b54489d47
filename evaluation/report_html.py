"""HTML and SVG that cannot be broken by what stands in them: all text is escaped unless it was built here."""

from collections.abc import Iterable, Sequence
from html import escape

_VOID = frozenset({"br", "img", "input", "link", "meta", "wbr"})
_MISSING = "–"


class Html(str):
    """Markup, complete and safe."""

    __slots__ = ()


Child = str | None | Iterable["Child"]
Attribute = str | float | bool | None


def element(tag: str, *children: Child, **attributes: Attribute) -> Html:
    """An element. Strings among the children are text, unless they are Html; None and "" are nothing.

    Attributes: class_ is class, data_x is data-x; True is one without a value, False and None leave it out.
    """
    name = tag.replace("_", "-")
    opened = f"<{name}{''.join(_attribute(key, value) for key, value in attributes.items())}>"
    return Html(opened if name in _VOID else f"{opened}{fragment(*children)}</{name}>")


def fragment(*children: Child) -> Html:
    """Children without an element around them."""
    return Html("".join(map(_text, children)))


def data_text(text: str) -> Html:
    """Text from data, whose writing direction does not reach what follows, and which may break anywhere."""
    return element("bdi", text, class_="data")


def percent(share: float | None, factor: float = 100, digits: int = 1) -> str:
    """A share as the field prints it; a dash for None, and for -1, which COCO's tools say where nothing counts."""
    return _MISSING if share is None or share < 0 else f"{factor * share:.{digits}f}"


def signed(difference: float | None) -> str:
    """With its sign, such as +1.2 and −0.3; a dash for None."""
    if difference is None:
        return _MISSING
    rounded = round(difference, 1) + 0.0
    return f"{'−' if rounded < 0 else '+' if rounded > 0 else '±'}{abs(rounded):.1f}"


def table(header: Sequence[Child], rows: Iterable[Sequence[Child]], **attributes: Attribute) -> Html:
    """A table whose first column names the rows and whose others are numbers. It scrolls by itself if it is wide."""
    head = element("tr", [element("th", cell, scope="col") for cell in header])
    body = [
        element("tr", element("th", row[0], scope="row"), [element("td", cell) for cell in row[1:]]) for row in rows
    ]
    built = element("table", element("thead", head), element("tbody", body), **attributes)
    return element("div", built, class_="scroll", tabindex=0, role="group", aria_label="table")


def _text(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, str):
        return child if isinstance(child, Html) else escape(child)
    return "".join(map(_text, child))


def _attribute(key: str, value: Attribute) -> str:
    name = key.rstrip("_").replace("_", "-")
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(str(value))}"'

"""The report of a search as one HTML page that needs nothing else. Every text of the data is escaped."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go
import plotly.offline

from tune.report_script import SCRIPT, STYLE
from tune.report_table import Cell, Column

_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline' 'unsafe-eval'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


@dataclass(frozen=True)
class Row:
    """A row of the table of trials; `kind` is "best", "failed" or neither. `number` is the trial's, from 1."""

    number: int
    kind: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Section:
    """Figures under a heading, by the id that they get in the page. Those of a `grid` are small."""

    heading: str
    text: str
    figures: Mapping[str, go.Figure]
    grid: bool = False


@dataclass(frozen=True)
class Page:
    """What the page shows, top to bottom. Texts are plain.

    Attributes:
        facts: lines under the title. best: what was found, in a sentence.
        settings: header and rows of what was searched. commands: a sentence and the command, each.
        trials_text: under the heading of the table of trials.
    """

    title: str
    facts: Sequence[str]
    best: str
    settings: Sequence[Sequence[str]]
    commands: Sequence[tuple[str, str]]
    columns: Sequence[Column]
    rows: Sequence[Row]
    trials_text: str
    sections: Sequence[Section]


def page_html(page: Page) -> str:
    """The whole file, about 5 MB of which are plotly's own script."""
    figures = {name: figure for section in page.sections for name, figure in section.figures.items()}
    parts = [
        "<!doctype html><html lang=en><head><meta charset=utf-8>",
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
        "<meta name=viewport content='width=device-width, initial-scale=1'>",
        f"<title>{escape(page.title)}</title><style>{STYLE}</style></head><body>",
        f"<h1>{_breakable(page.title)}</h1>",
        *(f"<p class=quiet>{escape(fact)}</p>" for fact in page.facts),
        f"<h2>Best settings</h2><p>{escape(page.best)}</p>",
        _settings_table(page.settings),
        *(f"<p class=quiet>{escape(text)}</p><pre>{escape(command)}</pre>" for text, command in page.commands),
        f"<h2>Trials</h2><p class=quiet>{escape(page.trials_text)} <span id=picked></span></p>",
        _trials_table(page.columns, page.rows),
        "<noscript><p>The figures need JavaScript.</p></noscript>" if figures else "",
        *map(_section, page.sections),
        f"<script>{plotly.offline.get_plotlyjs()}</script>" if figures else "",
        f"<script type='application/json' id=figures>{_figures_json(figures)}</script>",
        f"<script>{SCRIPT}</script></body></html>\n",
    ]
    return "\n".join(parts)


def _section(section: Section) -> str:
    divisions = "".join(
        f"<div class=wide><div class=figure id={name} style='min-width:{_least_width(figure)}px'></div></div>"
        for name, figure in section.figures.items()
    )
    body = f"<div class=slices>{divisions}</div>" if section.grid else divisions
    return f"<h2>{escape(section.heading)}</h2><p class=quiet>{escape(section.text)}</p>{body}"


def _least_width(figure: go.Figure) -> int:
    """Parallel axes need room for their names; on a phone they are scrolled."""
    return sum(100 + 130 * (len(one.dimensions) - 1) for one in figure.data if one.type == "parcoords")


def _settings_table(rows: Sequence[Sequence[str]]) -> str:
    header, *others = rows
    head = "".join(f"<th>{escape(text)}</th>" for text in header)
    body = "".join(f"<tr>{''.join(f'<td>{_breakable(text)}</td>' for text in row)}</tr>" for row in others)
    return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _trials_table(columns: Sequence[Column], rows: Sequence[Row]) -> str:
    head = "".join(
        f"<th class='{column.kind}'><button title='{escape(column.note)}'>{_breakable(column.name)}</button></th>"
        for column in columns
    )
    body = "".join(
        f"<tr class='{escape(row.kind)}' data-number={row.number}>"
        + "".join(_cell(column, cell) for column, cell in zip(columns, row.cells, strict=True))
        + "</tr>"
        for row in rows
    )
    return f"<div class=scroll><table id=trials><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _breakable(name: str) -> str:
    """A dotted name that may go on in the next line after each of its parts."""
    return re.sub(r"([._])(?=[^\W\d])", r"\1<wbr>", escape(name))


def _cell(column: Column, cell: Cell) -> str:
    more = f"<small>{escape(cell.more)}</small>" if cell.more else ""
    return (
        f"<td class='{column.kind}' data-value='{escape(cell.value)}' title='{escape(cell.title)}'>"
        f"{escape(cell.text)}{more}</td>"
    )


def _figures_json(figures: Mapping[str, go.Figure]) -> str:
    """JSON that cannot end the script it stands in."""
    trees = {name: json.loads(figure.to_json()) for name, figure in figures.items()}
    for tree in trees.values():
        tree["layout"].pop("template", None)  # comes with the page's colours
    return json.dumps(trees, allow_nan=False).replace("<", "\\u003c").replace("\u2028", " ").replace("\u2029", " ")

"""A table with the paper's numbers and ours side by side, as Markdown and as CSV."""

import csv
import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from tune.table import Cell, Column, Table
from tune.table_cost import RowCost, in_paper_units, row_cost
from tune.table_results import RowResult, Spread

_SPECIAL = re.compile(r"([\\`*_|<>\[\]#~])")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_COUNTED = ("params (M)", "MACs (1e9)")


@dataclass(frozen=True)
class Rendered:
    """Headings and cells as text, the same for every kind of file."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def rendered(table: Table, results: Sequence[RowResult]) -> Rendered:
    """For people: mean ± standard deviation over seeds, what is counted, and a remark on rows that are not whole."""
    headings = [column.name for _, column in table.columns_of("label")]
    for _, column in _compared(table):
        headings += [f"{column.name} paper", f"{column.name} ours"]
    rows = [_text_row(table, result) for result in results]
    return Rendered((*headings, *_COUNTED, "remark"), tuple(rows))


def markdown(table: Table, results: Sequence[RowResult], facts: dict[str, str], notes: Sequence[str]) -> str:
    """A page with the table, the facts of the run, and notes."""
    text = rendered(table, results)
    lines = [
        f"# {escaped(table.name)}: {escaped(table.title)}",
        "",
        _markdown_row(text.headings),
        _markdown_row(["---"] * len(text.headings), as_is=True),
        *(_markdown_row(row) for row in text.rows),
        "",
        *(f"- {escaped(name)}: {escaped(value)}" for name, value in facts.items()),
        *(f"- {escaped(note)}" for note in (table.notes, *notes) if note),
    ]
    return "\n".join(lines) + "\n"


def csv_text(table: Table, results: Sequence[RowResult]) -> str:
    """For programs: numbers unrounded, each in a column of its own; what is not known is empty."""
    headings = [column.name for _, column in table.columns_of("label")]
    for _, column in _compared(table):
        headings += [f"{column.name} paper", *(f"{column.name} {what}" for what in _csv_parts(column))]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*headings, "params", "macs", "macs_dense", "status", "remark"])
    for result in results:
        writer.writerow([_harmless(cell) for cell in _csv_row(table, result)])
    return file.getvalue()


def shown(value: Spread, digits: int) -> str:
    """E.g. 71.3 ± 0.2; without a deviation if there is one seed only."""
    mean = f"{value.mean:.{digits}f}"
    return mean if math.isnan(value.std) else f"{mean} ± {value.std:.{digits}f}"


def digits_of(table: Table, place: int) -> int:
    """As many as the paper prints in that column, at least one."""
    cells = [row.cells[place] for row in table.rows]
    return max([1, *(len(f"{cell:g}".partition(".")[2]) for cell in cells if isinstance(cell, float))])


def escaped(text: str) -> str:
    """In one line, and nothing in it is Markdown."""
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def _compared(table: Table) -> tuple[tuple[int, Column], ...]:
    return table.columns_of("params", "macs", "score")


def _text_row(table: Table, result: RowResult) -> tuple[str, ...]:
    cost = row_cost(table, result.row) if result.row.recipe is not None else None
    cells = [_label(result.row.cells[place]) for place, _ in table.columns_of("label")]
    for place, column in _compared(table):
        digits = digits_of(table, place)
        printed = result.row.cells[place]
        cells += ["" if printed is None else f"{printed:.{digits}f}", _our_text(table, column, place, result, cost)]
    counted = ("", "") if cost is None else (f"{cost.system.params / 1e6:.2f}", f"{cost.system.macs / 1e9:.2f}")
    return (*cells, *counted, _remark(result))


def _our_text(table: Table, column: Column, place: int, result: RowResult, cost: RowCost | None) -> str:
    digits = digits_of(table, place)
    if column.kind != "score":
        counted = None if cost is None else cost.printed
        return "" if counted is None else f"{in_paper_units(counted, table)[column.kind]:.{digits}f}"
    return shown(result.cells[place], digits) if place in result.cells else ""


def _remark(result: RowResult) -> str:
    if result.status == "done":
        return ""
    return f"{result.status}: {result.remark}" if result.remark else result.status


def _label(cell: Cell) -> str:
    if isinstance(cell, bool):
        return "✓" if cell else ""
    return "" if cell is None else f"{cell:g}" if isinstance(cell, int | float) else cell


def _markdown_row(cells: Sequence[str], as_is: bool = False) -> str:
    return f"| {' | '.join(cell if as_is else escaped(cell) for cell in cells)} |"


def _csv_parts(column: Column) -> tuple[str, ...]:
    return ("mean", "std", "seeds") if column.kind == "score" else ("ours",)


def _csv_row(table: Table, result: RowResult) -> list[Cell]:
    cost = row_cost(table, result.row) if result.row.recipe is not None else None
    cells: list[Cell] = [result.row.cells[place] for place, _ in table.columns_of("label")]
    for place, column in _compared(table):
        cells.append(result.row.cells[place])
        if column.kind == "score":
            value = result.cells.get(place)
            cells += [None] * 3 if value is None else [value.mean, _known(value.std), value.count]
        else:
            printed = None if cost is None else cost.printed
            cells.append(None if printed is None else in_paper_units(printed, table)[column.kind])
    counted = [None] * 3 if cost is None else [cost.system.params, cost.system.macs, cost.system.macs_dense]
    return [*cells, *counted, result.status, result.remark]


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def _harmless(cell: Cell) -> Cell:
    """Text that a spreadsheet would take for a formula is quoted."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell

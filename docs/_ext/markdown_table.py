"""Markdown tables."""

from collections.abc import Iterable, Sequence


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; what would end a cell is escaped. An empty string if there are no rows."""
    lines = [_line(row) for row in rows]
    return "\n".join([_line(head), _line(["---"] * len(head)), *lines, ""]) if lines else ""


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"

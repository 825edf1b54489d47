"""Costs of networks as rows, and as tables for the screen."""

from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table

from models.cost import model_cost
from models.create import list_models, list_plugins
from models.paper_costs import PAPER_COSTS, UNITS, counted

Row = dict[str, Any]

_PAPER_COLUMNS = (
    "crop", "K", "params", "paper", "MACs 1e9", "dense 1e9", "paper", "dense 2^30", "paper", "note", "source"
)  # fmt: skip


def cost_rows(num_keypoints: int, crop_size: tuple[int, int]) -> list[Row]:
    """The cost of every network that `create_model` knows, for crops of (height, width) px.

    One that cannot take them has a `problem` instead.
    """
    rows: list[Row] = []
    for name in list_models():
        try:
            found = asdict(model_cost(name, num_keypoints, crop_size))
        except ValueError as error:
            found = {"problem": str(error)}
        rows.append({"name": name, **found, "crop_size": crop_size, "num_keypoints": num_keypoints})
    return rows


def paper_rows() -> list[Row]:
    """Every system of the papers: what the paper prints under `paper`, beside what is counted."""
    return [{"name": row.name, **asdict(counted(row)), "paper": asdict(row)} for row in PAPER_COSTS]


def cost_table(rows: list[Row]) -> Table:
    """A table of `cost_rows`; below, what some cannot take."""
    height, width = rows[0]["crop_size"]
    problems = [f"{row['name']}: {row['problem'].removeprefix(row['name'] + ': ')}" for row in rows if "problem" in row]
    table = Table(
        "name",
        title=f"{rows[0]['num_keypoints']} keypoints, {height}x{width} px",
        caption="\n".join([f"plug-ins: {', '.join(list_plugins())}", *problems]),
        caption_justify="left",
    )
    columns = ("params", "macs", "macs_dense")
    for column in columns:
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(row["name"], *(f"{row[column]:,}" if column in row else "–" for column in columns))
    return table


def paper_table(rows: list[Row]) -> Table:
    """A table of `paper_rows`: each printed figure to the right of the one in the same unit; below, why some differ."""
    reasons = list(dict.fromkeys(row["paper"]["differs"] for row in rows if row["paper"]["differs"]))
    caption = "\n".join(f"{number}: {reason}" for number, reason in enumerate(reasons, start=1))
    table = Table("name", box=box.SIMPLE_HEAD, padding=(0, 0, 0, 1), caption=caption, caption_justify="left")
    for column in _PAPER_COLUMNS:
        table.add_column(column, justify="left" if column == "source" else "right")
    for row in rows:
        table.add_row(*_cells(row, reasons))
    return table


def _cells(row: Row, reasons: list[str]) -> list[str]:
    paper = row["paper"]
    printed = {unit: (paper["macs"] if unit == paper["unit"] else None) or "" for unit in UNITS}
    return [
        row["name"],
        "x".join(map(str, paper["crop_size"])),
        str(paper["num_keypoints"]),
        f"{row['params']:,}",
        f"{paper['params']}M" if paper["params"] else "",
        f"{row['macs'] / UNITS['1e9']:.3f}",
        f"{row['macs_dense'] / UNITS['1e9']:.3f}",
        printed["1e9"],
        f"{row['macs_dense'] / UNITS['2^30']:.3f}",
        printed["2^30"],
        str(reasons.index(paper["differs"]) + 1) if paper["differs"] else "",
        paper["source"],
    ]

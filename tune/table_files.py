"""A table's files: Markdown, CSV, and a plot as PNG and SVG."""

import tempfile
from pathlib import Path

from sharding.storage import Folder
from sharding.store_uri import redacted
from tune.table import Table
from tune.table_options import AblationOptions
from tune.table_plan import Plan
from tune.table_plot import table_plot
from tune.table_results import notes_of, row_results
from tune.table_text import csv_text, markdown

_SMOKE = "smoke: small crops, one epoch of a few persons. It says that the rows run, and nothing about their scores."


def write_table(plan: Plan, options: AblationOptions, folder: Folder) -> list[str]:
    """Write the table with what is stored so far; returns where the files are.

    Raises:
        ResultError: a stored result cannot be read. StorageError: the folder cannot be written.
    """
    table, results = plan.table, row_results(plan, folder)
    page = markdown(table, results, _facts(plan, options), notes_of(plan, folder))
    subtitle = "smoke budget: the scores mean nothing" if options.budget == "smoke" else redacted(options.val)
    files = {
        "md": page.encode(),
        "csv": csv_text(table, results).encode(),
        **{kind: table_plot(table, results, kind, subtitle) for kind in ("png", "svg")},
    }
    return [_write(folder, f"{table.name}.{kind}", content) for kind, content in files.items()]


def _facts(plan: Plan, options: AblationOptions) -> dict[str, str]:
    """What one must know to read the numbers."""
    return {
        "measured on": redacted(options.val),
        "trained on": redacted(", ".join(options.train)),
        "the paper's are on": plan.table.dataset,
        "seeds": str(options.seeds),
        "budget": _SMOKE if options.budget == "smoke" else "full",
        "settings": redacted(", ".join(options.settings)) or "as published",
        **({} if plan.table.benchmark == "mpii" else {"boxes": _boxes(plan, options)}),
        "params, MACs": "of the whole system, at the published crop size",
        **({"the paper's GFLOPs": _unit(plan.table)} if plan.table.columns_of("macs") else {}),
    }


def _boxes(plan: Plan, options: AblationOptions) -> str:
    if not any(training.recipe.bottomup is None for training in plan.trainings):
        return "none"
    given = [f"{name or 'all rows'}: {file}" for name, file in options.detections.items()]
    return redacted(", ".join(given)) or "annotated ones, with which scores are higher than with a detector's"


def _unit(table: Table) -> str:
    alone = ", of the plug-in alone" if table.plugin_alone else ""
    return f"{table.unit} MACs, transposed convolutions counted densely{alone}"


def _write(folder: Folder, name: str, content: bytes) -> str:
    with (
        tempfile.TemporaryDirectory(dir=folder.local, prefix=".writing-") as scratch,
        folder.write(name, Path(scratch)) as file,
    ):
        file.write(content)
    return folder.location(name)

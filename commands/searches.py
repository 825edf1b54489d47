"""Searches of settings, and the papers' tables."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from commands.options import Address, Overrides
from commands.screen import console, say


class SpaceOrCommand(TyperGroup):
    """`tune SPACE …` is short for `tune run SPACE …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = not args or args[0] in self.commands or args[0] == "--help"
        return super().parse_args(ctx, args if own else ["run", *args])


class Budget(StrEnum):
    """How much of a table's work is done."""

    full = "full"
    smoke = "smoke"


def tune_run(
    space: Annotated[str, typer.Argument(help="A search space's name (`list` names all), or a path to a .py file")],
    out: Annotated[
        str,
        typer.Option(help="Folder or URI; the same command goes on there  [default: runs/tune/SPACE]"),
    ] = "",
    settings: Overrides = None,
    address: Address = None,
    cpus: Annotated[int | None, typer.Option(min=1, help="Cores of a Ray started here  [default: all]")] = None,
) -> None:
    """Search a recipe's settings with Ray Tune. `tune.NAME=VALUE` sets the search's own, such as tune.trials=16.

    Example: `posestream tune learning_rate data.train=DIR data.val=DIR --out runs/lr`
    """
    from tune import list_spaces, load_space

    if space == "list":
        print("\n".join(list_spaces()))
        return
    chosen = load_space(space)
    from tune.search import search
    from tune.space_settings import adjusted

    folder = out or f"runs/tune/{Path(space).stem}"
    outcome = search(adjusted(chosen, settings or []), folder, console(), address, cpus)
    for line in outcome.lines():
        say(line)
    if outcome.interrupted or outcome.trial is None:
        raise typer.Exit(1)


def tune_report(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The --out folder of a search, local or a URI")],
    out: Annotated[Path | None, typer.Option(help="Where to write  [default: DIR; for a URI runs/NAME-report]")] = None,
) -> None:
    """Show a search's best trials, also while it runs; write best_recipe.json, for `posestream train`, and report.html.

    Example: `posestream tune report runs/lr`, or `posestream tune report s3://bucket/lr --out lr-report`
    """
    from sharding.storage import open_folder
    from tune.report import write_report

    report = write_report(open_folder(folder), out, console())
    for note in report.notes:
        say(f"note: {note}")
    if report.recipe is not None:
        say(f"train with the best settings: posestream train {report.recipe}")
    say(f"all of it: {report.page}")


def ablate(
    table: Annotated[str, typer.Argument(help="A paper's table such as enhancenet-5d; `list` names all")],
    out: Annotated[
        str, typer.Option(help="Folder or URI that all machines see: networks, results, and the table's files")
    ] = "runs/ablation",
    data: Annotated[list[str] | None, typer.Option(help="Training split; several are mixed")] = None,
    val: Annotated[str, typer.Option(help="The split that the table is measured on")] = "",
    budget: Annotated[
        Budget, typer.Option(help="full: as published; smoke: minutes, on synthetic people unless --data is given")
    ] = Budget.full,
    seeds: Annotated[int | None, typer.Option(min=1, help="Trainings of each row  [default: 3; smoke: 1]")] = None,
    detections: Annotated[
        list[str] | None, typer.Option(help="FILE of detected boxes, or DETECTOR=FILE where a table compares detectors")
    ] = None,
    weights: Annotated[
        list[str] | None, typer.Option(help="NETWORK=FILE to start from, by the end of a network's name: resnet50=FILE")
    ] = None,
    address: Address = None,
    cpus: Annotated[int | None, typer.Option(min=1, help="Of each trial  [default: a GPU's share, at most 4]")] = None,
    gpus: Annotated[float | None, typer.Option(min=0, help="Of each trial  [default: 1 where there are any]")] = None,
    concurrent: Annotated[int | None, typer.Option(min=1, help="Trials at a time  [default: as many as fit]")] = None,
    show: Annotated[bool, typer.Option("--show", help="Only write the table with what is there so far")] = False,
    settings: Overrides = None,
) -> None:
    """Run a paper's table: its rows x seeds as trials, the paper's numbers and ours side by side as files.

    Writes TABLE.md, .csv, .png and .svg. Interrupted, the same command goes on; rows that failed are tried again.
    Tables in the same folder share their trainings.

    Example: `posestream ablate enhancenet-5d --budget smoke`, or `posestream ablate efafnet-x --data
    s3://bucket/coco/train2017 --val s3://bucket/coco/val2017 --detections boxes.json --weights resnet50=resnet50.pth
    --address head:6379 --out s3://bucket/ablation`
    """
    from tune.tables import find_table, list_tables

    if table == "list":
        print("\n".join(list_tables()))
        return
    found = find_table(table)  # before Ray is imported
    from tune.ablation import ClusterOptions, run_ablation, show_ablation
    from tune.table_options import AblationOptions, named_files

    options = AblationOptions(
        train=tuple(data or ()),
        val=val,
        seeds=seeds or (3 if budget is Budget.full else 1),
        budget=budget.value,
        detections=named_files(detections or []),
        weights=named_files(weights or [], name_needed=True),
        settings=tuple(settings or ()),
    )
    if show:
        outcome = show_ablation(found, out, options)
    else:
        outcome = run_ablation(found, out, options, console(), ClusterOptions(address, cpus, gpus, concurrent))
    for line in outcome.lines():
        say(line)
    if outcome.interrupted or any(row.status == "failed" for row in outcome.rows):
        raise typer.Exit(1)

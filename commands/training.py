"""Training, and what there is to train."""

import json
import os
import re
from typing import TYPE_CHECKING, Annotated

import typer

from commands.chosen_recipe import chosen_recipe
from commands.options import Address, Overrides
from commands.screen import console, say

if TYPE_CHECKING:
    from engine.config import Recipe


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a path to a .py file that defines one")],
    settings: Overrides = None,
    workers: Annotated[
        str, typer.Option(help="N processes that Ray starts, or LEAST-MOST: as many as there is room for")
    ] = "",
    gpus_per_worker: Annotated[float, typer.Option(min=0, help="With --workers")] = 0,
    cpus_per_worker: Annotated[
        float, typer.Option(min=0.1, help="With --workers; also the threads of each one's loader: give a GPU its share")
    ] = 1,
    address: Address = None,
) -> None:
    """Train a recipe; a run folder that holds a checkpoint of it is resumed. The run folder may be a URI.

    Example: `posestream train simplebaseline_resnet50_coco_256x192 data.train=/data/coco/train2017
    data.val=/data/coco/val2017 model.weights=resnet50.pth`, or on 8 GPUs of a Ray cluster with
    `--workers 8 --gpus-per-worker 1 --address head:6379 run_dir=s3://bucket/runs/r50`
    """
    from engine.train import train as train_recipe

    chosen = chosen_recipe(recipe, settings)
    if not workers:
        train_recipe(chosen, console())
        if int(os.environ.get("RANK", "0")) == 0:
            _say_where(chosen)
        return
    from tune.cluster import connected
    from tune.distributed import Workers, train_on_workers

    match = re.fullmatch(r"([1-9]\d*)(?:-([1-9]\d*))?", workers)
    if match is None:
        raise typer.BadParameter(f"expected N or LEAST-MOST, got {workers!r}", param_hint="--workers")
    least, most = int(match[1]), int(match[2] or match[1])
    if least > most:
        raise typer.BadParameter(f"{least} is more than {most}", param_hint="--workers")
    with connected(address):
        train_on_workers(chosen, Workers(least, most, cpus_per_worker, gpus_per_worker), say)
    _say_where(chosen)


def recipes(part: Annotated[str, typer.Argument(help="Only those with this in their names")] = "") -> None:
    """List the recipes that come with posestream; their files in recipes/ say what to expect of them.

    Example: `posestream recipes hrnet`
    """
    from recipes import list_recipes

    found = [name for name in list_recipes() if part.lower() in name]
    if not found:
        raise typer.BadParameter(f"no recipe has {part!r} in its name", param_hint="PART")
    print("\n".join(found))


def models(
    table: Annotated[bool, typer.Option("--table", help="The papers' systems beside the papers' figures")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table")] = False,
    keypoints: Annotated[int, typer.Option(min=1, help="Number of keypoints")] = 17,
    crop: Annotated[str, typer.Option(help="HEIGHTxWIDTH of the crop, px")] = "256x192",
) -> None:
    """List networks with parameters and multiply-accumulates (MACs).

    `macs` counts transposed convolutions on their input side (the work done), `macs_dense` on their output side (as
    papers do). With --table, a figure that a paper prints stands to the right of the one in the same unit.

    Example: `posestream models --json`, or `posestream models --table`
    """
    from models.cost_table import cost_rows, cost_table, paper_rows, paper_table

    match = re.fullmatch(r"(\d+)x(\d+)", crop)
    if match is None or "0" in match.groups():
        raise typer.BadParameter(f"expected HEIGHTxWIDTH such as 256x192, got {crop!r}", param_hint="--crop")
    if table and (keypoints, crop) != (17, "256x192"):
        raise typer.BadParameter("--table has the papers' own keypoints and crops", param_hint="--keypoints, --crop")
    rows = paper_rows() if table else cost_rows(keypoints, (int(match[1]), int(match[2])))
    if as_json:
        print(json.dumps(rows, indent=1))
    elif table:
        console(width=200).print(paper_table(rows))  # in a narrow one, numbers would be cut
    else:
        console().print(cost_table(rows))


def _say_where(recipe: "Recipe") -> None:
    """Where a training's checkpoints are."""
    from engine.data import open_storage
    from engine.run_folder import BEST, LAST

    folder = open_storage(recipe.run_dir, recipe.storage)
    say(f"best: {folder.location(BEST)}, last: {folder.location(LAST)}")

"""Looking at splits."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.chosen_recipe import chosen_recipe
from commands.options import Overrides
from commands.screen import console, progress, say

if TYPE_CHECKING:
    from pose.drawing import Picture

_RECIPE_OF_SHEET = {
    "coco": "simplebaseline_resnet50_coco_256x192",
    "mpii": "simplebaseline_resnet50_mpii_256x256",
    "crowdpose": "simplebaseline_resnet50_crowdpose_256x192",
}


def inspect(
    uri: Annotated[str, typer.Argument(help="A sharded split")],
    sheet: Annotated[Path | None, typer.Option(help="Draw augmented crops with skeletons to this .png or .jpg")] = None,
    recipe: Annotated[
        str, typer.Option(help="Recipe whose crops and augmentation --sheet shows; a run's recipe.json serves too")
    ] = "",
    instance: Annotated[int | None, typer.Option(help="Draw this instance as training saw it, to --sheet")] = None,
    epoch: Annotated[int | None, typer.Option(min=0, help="With --instance: in which epoch, counted from 0")] = None,
    pass_: Annotated[
        int | None,
        typer.Option("--pass", min=0, help="Instead of --epoch, with data.weights: passes over the split before it"),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed of the training  [default: the recipe's]")] = None,
    settings: Overrides = None,
) -> None:
    """Show counts, keypoint statistics and shard sizes; with --sheet, draw what a network will see.

    With --instance the sheet (by default instance-ID-epoch-E.png) holds the very crop that training saw, its exact
    pixels beside the drawn keypoints.

    Example: `posestream inspect /data/coco/val2017 --sheet crops.png augmentation.rotation_factor=80`, or
    `posestream inspect /data/coco/train2017 --sheet crop.png --recipe runs/r50/recipe.json --instance 1831 --epoch 12`
    """
    from sharding.dataset import open_dataset
    from sharding.statistics import statistics
    from sharding.statistics_table import statistics_tables

    if sheet is not None and sheet.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise typer.BadParameter(f"expected a .png or .jpg file, got {sheet}", param_hint="--sheet")
    if epoch is not None and pass_ is not None:
        raise typer.BadParameter("give --epoch or --pass, not both", param_hint="--pass")
    dataset = open_dataset(uri)
    name = recipe or _RECIPE_OF_SHEET[dataset.manifest.dataset]
    if instance is None:
        for table in statistics_tables(dataset, statistics(dataset)):
            console().print(table)
        if sheet is not None:
            from engine.pictures import crop_sheet

            _write_sheet(sheet, crop_sheet(chosen_recipe(name, settings, seed), dataset))
            say(f"crops of recipe {name}: {sheet}")
        return
    from engine.pictures import replayed_crop

    chosen = chosen_recipe(name, settings, seed)
    if pass_ is None and any(weight != 1 for weight in chosen.data.weights or ()):
        raise typer.BadParameter(
            f"the recipe goes {chosen.data.weights} times through its splits in an epoch; say in which pass",
            param_hint="--pass",
        )
    when = f"epoch {epoch or 0}" if pass_ is None else f"pass {pass_}"
    sheet = sheet or Path(f"instance-{instance}-{when.replace(' ', '-')}.png")
    _write_sheet(sheet, replayed_crop(chosen, dataset, instance, (epoch if pass_ is None else pass_) or 0))
    say(f"instance {instance} in {when} of recipe {name}: {sheet}")


def verify(uri: Annotated[str, typer.Argument(help="A sharded split")]) -> None:
    """Check sizes, checksums, and every sidecar row against its tar. Exit status 1 if anything is wrong.

    Example: `posestream verify s3://bucket/coco/val2017`
    """
    from sharding.manifest import read_manifest
    from sharding.storage import open_folder
    from sharding.verify import verify as verify_split

    folder = open_folder(uri)
    manifest = read_manifest(folder)
    with progress("verifying", len(manifest.shards), "shards") as bar:
        problems = verify_split(folder, lambda shard: bar.advance(1))
    for problem in problems:
        say(problem)
    if problems:
        say(f"{len(problems)} problems in {uri}")
        raise typer.Exit(1)
    say(f"{uri}: {len(manifest.shards)} shards, {manifest.images} images, all intact")


def _write_sheet(sheet: Path, picture: "Picture") -> None:
    from pose.drawing import encode_picture

    sheet.write_bytes(encode_picture(picture, sheet.suffix))

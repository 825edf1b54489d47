"""Making splits, and looking at them."""

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.chosen_recipe import chosen_recipe
from commands.options import Address, Overrides
from commands.screen import console, progress, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pose.drawing import Picture
    from sharding.manifest import Manifest
    from sharding.synthetic import SyntheticFiles

_FINISHED_WITH_REFUSALS = 3
_RECIPE_OF_SHEET = {
    "coco": "simplebaseline_resnet50_coco_256x192",
    "mpii": "simplebaseline_resnet50_mpii_256x256",
    "crowdpose": "simplebaseline_resnet50_crowdpose_256x192",
}


def convert(
    dataset: Annotated[str, typer.Argument(help="coco, mpii or crowdpose")],
    images: Annotated[Path, typer.Option(help="Folder that the annotations' file names are relative to")],
    annotations: Annotated[Path, typer.Option(help="Raw annotation file (.json; for mpii also the release .mat)")],
    out: Annotated[str, typer.Option(help="Where to write the split: a folder or a URI such as s3://bucket/coco/val")],
    split: Annotated[str | None, typer.Option(help="Name of the split  [default: the last part of --out]")] = None,
    skeleton: Annotated[
        Path | None, typer.Option(help="For coco: a JSON file that defines keypoints of your own")
    ] = None,
    category: Annotated[
        str | None, typer.Option(help="For coco: the category to take  [default: the only one with keypoints]")
    ] = None,
    shard_size: Annotated[str, typer.Option(help="Largest size of a tar")] = "256MB",
    workers: Annotated[
        int | None, typer.Option(min=1, help="Readers  [default: all cores]; with --ray, of each shard  [default: 1]")
    ] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Stop at the first thing that has to be refused")] = False,
    check_images: Annotated[bool, typer.Option(help="Decode every picture once to find damaged files")] = True,
    ray: Annotated[bool, typer.Option("--ray", help="Build the shards on all nodes of a Ray cluster")] = False,
    address: Address = None,
) -> None:
    """Convert a raw split to tar shards with Arrow sidecars.

    What cannot be used is listed in rejects.jsonl with its reason. Exit status: 0 everything was converted,
    3 finished but something was refused, 1 stopped. Killed, the same command goes on where it was.

    Example: `posestream convert coco --images val2017 --annotations annotations/person_keypoints_val2017.json
    --out /data/coco/val2017`, or with `--skeleton horse.json` for keypoints of your own
    """
    from pose.skeleton_file import read_skeleton
    from sharding.convert import REJECTS, ConversionSettings
    from sharding.manifest import MANIFEST
    from sharding.raw import read_raw
    from sharding.storage import open_folder

    if address is not None and not ray:
        raise typer.BadParameter("is for --ray", param_hint="--address")
    if not images.is_dir():
        raise typer.BadParameter(f"{images} is not a folder", param_hint="--images")
    folder = open_folder(out)
    readers = workers or (1 if ray else os.cpu_count() or 1)
    settings = ConversionSettings(images, split or folder.name, _bytes(shard_size), readers, strict, check_images)
    _require_dataset(dataset)
    own = None if skeleton is None else read_skeleton(skeleton)
    raw = read_raw(dataset, annotations, settings.split, own, category)
    finished_before = folder.exists(MANIFEST)
    with _converter(ray, address) as convert_split, progress("converting", len(raw.images), "images") as bar:
        manifest = convert_split(raw, folder, settings, bar.advance)
    for note in manifest.notes:
        say(f"note: {note}")
    refused = f"{manifest.rejected} refused, see {folder.location(REJECTS)}" if manifest.rejected else "nothing refused"
    if finished_before:
        again = f"; delete {folder.uri} to try what was refused again" if manifest.rejected else ""
        say(f"converted before; nothing was done{again}")
    say(
        f"{folder.uri}: {manifest.images} images, {manifest.instances} instances in {len(manifest.shards)} shards; "
        f"{refused}"
    )
    if manifest.rejected and not manifest.instances and dataset == "coco":
        say("nobody could be used; keypoints of your own: --skeleton FILE.json, another category: --category NAME")
    if manifest.rejected:
        raise typer.Exit(_FINISHED_WITH_REFUSALS)


def synth(
    layout: Annotated[str, typer.Argument(help="coco, mpii or crowdpose")],
    out: Annotated[Path, typer.Option(help="Folder to write to")],
    images: Annotated[int, typer.Option(min=1, help="How many pictures")] = 300,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same pictures")] = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes  [default: all cores]")] = None,
    crowd: Annotated[
        str, typer.Option(help="LEAST-MOST persons who huddle in every picture  [default: nobody, one or several]")
    ] = "",
) -> None:
    """Render photographs of synthetic people in a benchmark's own raw layout.

    Example: `posestream synth coco --out /tmp/people --images 300 --seed 0`, or with `--crowd 2-12`
    """
    _require_dataset(layout)
    match = re.fullmatch(r"([1-9]\d?)-([1-9]\d?)", crowd)
    if crowd and (match is None or int(match[1]) > int(match[2])):
        raise typer.BadParameter(f"expected LEAST-MOST such as 2-12, got {crowd!r}", param_hint="--crowd")
    files = render(layout, out, images, seed, workers, (int(match[1]), int(match[2])) if match else None)
    say(
        f"{images} pictures in {files.images}; next:\n"
        f"posestream convert {layout} --images {files.images} --annotations {files.annotations} --out SHARDS"
    )


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


def render(
    layout: str, out: Path, images: int, seed: int, workers: int | None, crowd: tuple[int, int] | None = None
) -> "SyntheticFiles":
    from sharding.synthetic import write_dataset

    with progress("rendering", images, "images") as bar:
        return write_dataset(layout, out, images, seed, workers, lambda index: bar.advance(1), crowd)


@contextmanager
def _converter(ray: bool, address: str | None) -> "Iterator[Callable[..., Manifest]]":
    """What converts: this process, or a Ray cluster while it is needed."""
    if not ray:
        from sharding.convert import convert as convert_here

        yield convert_here
        return
    from tune.cluster import connected
    from tune.convert import convert_on_ray

    with connected(address):
        yield convert_on_ray


def _require_dataset(name: str) -> None:
    from sharding.raw import DATASETS

    if name not in DATASETS:
        raise typer.BadParameter(f"{name!r} is none of {', '.join(DATASETS)}", param_hint="dataset")


def _bytes(text: str) -> int:
    from sharding.byte_size import parse_byte_size

    try:
        return parse_byte_size(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--shard-size") from error


def _write_sheet(sheet: Path, picture: "Picture") -> None:
    from pose.drawing import encode_picture

    sheet.write_bytes(encode_picture(picture, sheet.suffix))

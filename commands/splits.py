"""Making splits."""

import os
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.options import Address
from commands.screen import progress, say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sharding.manifest import Manifest
    from sharding.synthetic import SyntheticFiles

_FINISHED_WITH_REFUSALS = 3


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

"""The command line: one function per command. Heavy imports happen inside, so that --help is instant."""

import importlib.util
import json
import os
import re
import sys
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console

    from engine.config import Recipe
    from engine.progress import SampleProgress
    from engine.trained import Weights
    from pose.drawing import Picture
    from sharding.manifest import Manifest
    from sharding.synthetic import SyntheticFiles

_PACKAGES = ("pose", "sharding", "pipelines", "models", "evaluation", "engine", "recipes", "tune")
_FINISHED_WITH_REFUSALS = 3
_INTERRUPTED = 130

app = typer.Typer(
    help="2-D human pose estimation whose data pipeline comes first.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="KEY=VALUE", help="Settings of the recipe, e.g. optim.lr=5e-4")
]


class Budget(StrEnum):
    """How much of a table's work is done."""

    full = "full"
    smoke = "smoke"


Address = Annotated[
    str | None, typer.Option(help="HOST:PORT of a Ray cluster  [default: the one this job runs in, else this machine]")
]
Dashboard = Annotated[
    str, typer.Option(envvar="RAY_API_SERVER_ADDRESS", help="The cluster's dashboard, such as http://head:8265")
]


@app.command()
def convert(
    dataset: Annotated[str, typer.Argument(help="coco, mpii or crowdpose")],
    images: Annotated[Path, typer.Option(help="Folder that the annotations' file names are relative to")],
    annotations: Annotated[Path, typer.Option(help="Raw annotation file (.json; for mpii also the release .mat)")],
    out: Annotated[str, typer.Option(help="Where to write the split: a folder or a URI such as s3://bucket/coco/val")],
    split: Annotated[str | None, typer.Option(help="Name of the split  [default: the last part of --out]")] = None,
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
    --out /data/coco/val2017`
    """
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
    raw = read_raw(dataset, annotations, settings.split)
    finished_before = folder.exists(MANIFEST)
    with _converter(ray, address) as convert_split, _progress("converting", len(raw.images), "images") as bar:
        manifest = convert_split(raw, folder, settings, bar.advance)
    for note in manifest.notes:
        _say(f"note: {note}")
    refused = f"{manifest.rejected} refused, see {folder.location(REJECTS)}" if manifest.rejected else "nothing refused"
    if finished_before:
        again = f"; delete {folder.uri} to try what was refused again" if manifest.rejected else ""
        _say(f"converted before; nothing was done{again}")
    _say(
        f"{folder.uri}: {manifest.images} images, {manifest.instances} instances in {len(manifest.shards)} shards; "
        f"{refused}"
    )
    if manifest.rejected:
        raise typer.Exit(_FINISHED_WITH_REFUSALS)


@app.command()
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
    files = _render(layout, out, images, seed, workers, (int(match[1]), int(match[2])) if match else None)
    _say(
        f"{images} pictures in {files.images}; next:\n"
        f"posestream convert {layout} --images {files.images} --annotations {files.annotations} --out SHARDS"
    )


@app.command()
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
            _console().print(table)
        if sheet is not None:
            from engine.pictures import crop_sheet

            _write_sheet(sheet, crop_sheet(_chosen_recipe(name, settings, seed), dataset))
            _say(f"crops of recipe {name}: {sheet}")
        return
    from engine.pictures import replayed_crop

    chosen = _chosen_recipe(name, settings, seed)
    if pass_ is None and any(weight != 1 for weight in chosen.data.weights or ()):
        raise typer.BadParameter(
            f"the recipe goes {chosen.data.weights} times through its splits in an epoch; say in which pass",
            param_hint="--pass",
        )
    when = f"epoch {epoch or 0}" if pass_ is None else f"pass {pass_}"
    sheet = sheet or Path(f"instance-{instance}-{when.replace(' ', '-')}.png")
    _write_sheet(sheet, replayed_crop(chosen, dataset, instance, (epoch if pass_ is None else pass_) or 0))
    _say(f"instance {instance} in {when} of recipe {name}: {sheet}")


@app.command()
def verify(uri: Annotated[str, typer.Argument(help="A sharded split")]) -> None:
    """Check sizes, checksums, and every sidecar row against its tar. Exit status 1 if anything is wrong.

    Example: `posestream verify s3://bucket/coco/val2017`
    """
    from sharding.manifest import read_manifest
    from sharding.storage import open_folder
    from sharding.verify import verify as verify_split

    folder = open_folder(uri)
    manifest = read_manifest(folder)
    with _progress("verifying", len(manifest.shards), "shards") as bar:
        problems = verify_split(folder, lambda shard: bar.advance(1))
    for problem in problems:
        _say(problem)
    if problems:
        _say(f"{len(problems)} problems in {uri}")
        raise typer.Exit(1)
    _say(f"{uri}: {len(manifest.shards)} shards, {manifest.images} images, all intact")


@app.command()
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

    chosen = _chosen_recipe(recipe, settings)
    if not workers:
        train_recipe(chosen, _console())
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
        train_on_workers(chosen, Workers(least, most, cpus_per_worker, gpus_per_worker), _say)
    _say_where(chosen)


class _SpaceOrCommand(TyperGroup):
    """`tune SPACE …` is short for `tune run SPACE …`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        own = not args or args[0] in self.commands or args[0] == "--help"
        return super().parse_args(ctx, args if own else ["run", *args])


tune_app = typer.Typer(cls=_SpaceOrCommand, no_args_is_help=True, rich_markup_mode="markdown")
app.add_typer(tune_app, name="tune", help="Search a recipe's settings: `posestream tune SPACE`.")


@tune_app.command("run")
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
    outcome = search(adjusted(chosen, settings or []), folder, _console(), address, cpus)
    for line in outcome.lines():
        _say(line)
    if outcome.interrupted or outcome.trial is None:
        raise typer.Exit(1)


@tune_app.command("report")
def tune_report(
    folder: Annotated[str, typer.Argument(metavar="DIR", help="The --out folder of a search, local or a URI")],
    out: Annotated[Path | None, typer.Option(help="Where to write  [default: DIR; for a URI runs/NAME-report]")] = None,
) -> None:
    """Show a search's best trials, also while it runs; write best_recipe.json, for `posestream train`, and report.html.

    Example: `posestream tune report runs/lr`, or `posestream tune report s3://bucket/lr --out lr-report`
    """
    from sharding.storage import open_folder
    from tune.report import write_report

    report = write_report(open_folder(folder), out, _console())
    for note in report.notes:
        _say(f"note: {note}")
    if report.recipe is not None:
        _say(f"train with the best settings: posestream train {report.recipe}")
    _say(f"all of it: {report.page}")


@app.command()
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
        outcome = run_ablation(found, out, options, _console(), ClusterOptions(address, cpus, gpus, concurrent))
    for line in outcome.lines():
        _say(line)
    if outcome.interrupted or any(row.status == "failed" for row in outcome.rows):
        raise typer.Exit(1)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def submit(
    context: typer.Context,
    command: Annotated[str, typer.Argument(help="train, tune, ablate or convert; its own arguments follow")],
    address: Dashboard,
    env: Annotated[
        list[str] | None, typer.Option(help="A variable for the job, NAME (as it is here) or NAME=VALUE; repeatable")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Show what the job prints until it ends, and end with its status")] = True,
) -> None:
    """Run a command on a Ray cluster, with a copy of this checkout. Interrupting this leaves the job running.

    Paths must mean the same there: absolute, or URIs. A recipe or search space in a file is sent along. Of the
    environment the job gets AWS_ENDPOINT_URL and AWS_DEFAULT_REGION; secrets only by --env, and whoever can open the
    cluster's dashboard can read them.

    Example: `posestream submit train hrnet_w32_coco_256x192 data.train=s3://bucket/coco/train2017
    run_dir=s3://bucket/runs/w32 --workers 8 --gpus-per-worker 1 --address http://head:8265`
    """
    from typer.main import get_command

    from tune.job_arguments import SUBMITTED, portable_arguments
    from tune.job_client import open_client
    from tune.jobs import passed_on
    from tune.jobs import submit as submit_job

    if command not in SUBMITTED:
        raise typer.BadParameter(f"{command!r} is none of {', '.join(SUBMITTED)}", param_hint="command")
    known = get_command(app).commands  # type: ignore[attr-defined]
    parser = known["tune"].commands["run"] if command == "tune" else known[command]
    parsed = parser.make_context(command, list(context.args), context.parent)
    arguments = portable_arguments(command, context.args, parsed.params)
    client = open_client(address)
    job_id = submit_job(client, command, arguments, passed_on(env or []))
    if wait:
        _watch(job_id, address)
    else:
        print(job_id)


@app.command()
def status(
    job_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="A job  [default: all of them]")] = None,
    *,
    address: Dashboard,
    lines: Annotated[int, typer.Option(min=0, help="How many of its last lines to show")] = 20,
    follow: Annotated[bool, typer.Option("--follow", help="Show what it prints until it ends")] = False,
) -> None:
    """List the jobs of a cluster, or show one.

    Example: `posestream status --address http://head:8265`, or `posestream status raysubmit_1 --follow --address ...`
    """
    from tune.job_client import open_client
    from tune.job_table import failure, job_table, summary
    from tune.jobs import job, jobs, last_lines

    client = open_client(address)
    if job_id is None:
        _console().print(job_table(jobs(client)))
        return
    if follow:
        _watch(job_id, address)
        return
    found = job(client, job_id)
    _say(last_lines(client, job_id, lines).rstrip("\n"))
    _say(summary(found))
    if (reason := failure(found)) is not None:
        _say(reason)


@app.command()
def stop(job_id: Annotated[str, typer.Argument(metavar="ID", help="A job")], address: Dashboard) -> None:
    """End a job; the same `submit` begins it again from its last checkpoint.

    Example: `posestream stop raysubmit_1 --address http://head:8265`
    """
    from tune.job_client import open_client
    from tune.job_table import summary
    from tune.jobs import stop as stop_job

    _say(summary(stop_job(open_client(address), job_id)))


@app.command()
def evaluate(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a path to a .py file that defines one")],
    checkpoint: Annotated[str | None, typer.Option(help="A .ckpt file of a training run, or its URI")] = None,
    weights: Annotated[Path | None, typer.Option(help="Instead: a public checkpoint of the recipe's network")] = None,
    settings: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results  [default: one in the run folder]")] = None,
) -> None:
    """Score a checkpoint with the benchmark's official evaluator on the recipe's data.val.

    Network, heatmaps and crops are as the --checkpoint was trained (for --weights: as the recipe says), unless settings
    say otherwise. Writes metrics.json, results.json (submission layout), recipe.json and report.html.

    Example: `posestream evaluate hrnet_w32_coco_256x192 --checkpoint best.ckpt data.val=/data/coco/val2017
    evaluate.detections=person_detections_val2017.json`, or with `--weights pose_hrnet_w32_256x192.pth`
    """
    from engine.evaluate import evaluate_weights, write_evaluation
    from evaluation.table import score_table

    chosen, given = _with_weights(recipe, checkpoint, weights, settings)
    evaluated = evaluate_weights(chosen, given, _console())
    if out is not None:
        folder = out
    elif checkpoint is not None and "://" not in checkpoint:
        folder = given.path.parent / "evaluation"
    else:
        run = Path("runs", chosen.name) if "://" in chosen.run_dir else Path(chosen.run_dir)
        folder = run / f"evaluation-{given.path.stem}"
    write_evaluation(evaluated, folder)
    _console().print(score_table({Path(evaluated.weights).stem: evaluated.score}))
    for note in evaluated.score.notes:
        _say(f"note: {note}")
    _say(f"metrics.json, results.json, recipe.json, report.html: {folder}")


@app.command("score-net")
def score_net(
    recipe: Annotated[str, typer.Argument(help="A bottom-up recipe's name, or a path to a file that defines one")],
    checkpoint: Annotated[str | None, typer.Option(help="A .ckpt file of a training run, or its URI")] = None,
    weights: Annotated[Path | None, typer.Option(help="Instead: a public checkpoint of the recipe's network")] = None,
    settings: Overrides = None,
) -> None:
    """Learn to rank poses: train a small network on what a trained network sees in data.train, and on how right it is.

    Writes NAME.score-net.pt beside the weights; `posestream evaluate ... bottomup.grouping.scoring=learned` uses it.

    Example: `posestream score-net guided_hrnet_w32_coco_512 --checkpoint best.ckpt data.train=/data/coco/train2017`
    """
    from engine.scorer import learn_scoring

    chosen, given = _with_weights(recipe, checkpoint, weights, settings)
    learnt = learn_scoring(chosen, given, _console())
    first, last = learnt.losses[0], learnt.losses[-1]
    _say(f"{learnt.poses} poses; squared error of their OKS {first:.4f} in the first epoch, {last:.4f} in the last")
    if learnt.left_out:
        _say(f"note: {learnt.left_out} pictures could not be read or decoded")
    _say(f"use it: posestream evaluate {recipe} ... bottomup.grouping.scoring=learned")
    _say(str(learnt.path))


@app.command()
def recipes(part: Annotated[str, typer.Argument(help="Only those with this in their names")] = "") -> None:
    """List the recipes that come with posestream; their files in recipes/ say what to expect of them.

    Example: `posestream recipes hrnet`
    """
    from recipes import list_recipes

    found = [name for name in list_recipes() if part.lower() in name]
    if not found:
        raise typer.BadParameter(f"no recipe has {part!r} in its name", param_hint="PART")
    print("\n".join(found))


@app.command()
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
        _console(width=200).print(paper_table(rows))  # in a narrow one, numbers would be cut
    else:
        _console().print(cost_table(rows))


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder to write to; a finished step in it is not done again")] = Path(
        "runs/demo"
    ),
    images: Annotated[int, typer.Option(min=4, help="Training pictures to render")] = 1500,
    settings: Overrides = None,
) -> None:
    """The whole path on synthetic people: render, convert, train, score, report. Needs no data and no GPU.

    Example: `posestream demo --out runs/demo`
    """
    from engine.evaluate import evaluate_weights, write_evaluation
    from engine.train import train as train_recipe
    from engine.trained import OwnWeights
    from evaluation.table import score_table

    for name, count, seed in (("train", images, 0), ("val", max(images // 6, 2), 1)):
        shards = out / "shards" / name
        if not (shards / "manifest.json").exists():
            files = _render("coco", out / "raw" / name, count, seed, None)
            convert("coco", files.images, files.annotations, str(shards))
    defaults = [f"data.{name}={out / 'shards' / name}" for name in ("train", "val")] + [f"run_dir={out / 'run'}"]
    recipe = _chosen_recipe("demo_synthetic", defaults + (settings or []))
    inspect(str(out / "shards" / "train"), out / "crops.png", "demo_synthetic", settings=settings)
    result = train_recipe(recipe, _console())
    untrained = evaluate_weights(recipe, None, _console())
    write_evaluation(untrained, out / "untrained")
    trained = evaluate_weights(recipe, OwnWeights(result.best), _console())
    write_evaluation(trained, out, compared={"untrained": untrained.score})
    _console().print(score_table({"trained": trained.score, "untrained": untrained.score}))
    before, after = 100 * untrained.score.value, 100 * trained.score.value
    _say(
        f"AP {after:.1f} after {result.steps} batches, {before:.1f} untrained.\n"
        f"Look at {out / 'report.html'} (answers) and {out / 'crops.png'} (what the network saw)."
    )


def _chosen_recipe(name: str, settings: list[str] | None, seed: int | None = None) -> "Recipe":
    from engine.config import override
    from recipes import load_recipe

    return override(load_recipe(name), (settings or []) + ([] if seed is None else [f"train.seed={seed}"]))


def _with_weights(
    name: str, checkpoint: str | None, weights: Path | None, settings: list[str] | None
) -> tuple["Recipe", "Weights"]:
    """The recipe as the checkpoint was trained, or for public weights as it is, with the command line's settings."""
    from engine.checkpoint import load_checkpoint, with_trained_settings
    from engine.config import override
    from engine.remote_file import local_file
    from engine.trained import OwnWeights, PublicWeights
    from recipes import load_recipe

    if (checkpoint is None) == (weights is None):
        raise typer.BadParameter("give one of them", param_hint="--checkpoint, --weights")
    if weights is not None:
        return _chosen_recipe(name, settings), PublicWeights(weights)
    assert checkpoint is not None
    path = local_file(checkpoint)
    base, changes = with_trained_settings(load_recipe(name), load_checkpoint(path))
    for change in changes:
        _say(f"note: {change}")
    return override(base, settings or []), OwnWeights(path)


def _watch(job_id: str, address: str) -> None:
    """Show what a job prints, and exit with its status."""
    from tune.job_client import open_client
    from tune.job_table import exit_status, failure, summary
    from tune.jobs import watch

    _say(f"job {job_id}; interrupting this leaves it running")
    try:
        found = watch(open_client(address), job_id, lambda text: print(text, end="", flush=True))
    except KeyboardInterrupt:
        _say(
            f"\njob {job_id} goes on. To watch it again: posestream status {job_id} --follow --address {address}\n"
            f"To end it: posestream stop {job_id} --address {address}"
        )
        raise typer.Exit(_INTERRUPTED) from None
    _say(summary(found))
    if (reason := failure(found)) is not None:
        _say(reason)
    raise typer.Exit(exit_status(found))


def _say_where(recipe: "Recipe") -> None:
    """Where a training's checkpoints are."""
    from engine.data import open_storage
    from engine.run_folder import BEST, LAST

    folder = open_storage(recipe.run_dir, recipe.storage)
    _say(f"best: {folder.location(BEST)}, last: {folder.location(LAST)}")


def _write_sheet(sheet: Path, picture: "Picture") -> None:
    from pose.drawing import encode_picture

    sheet.write_bytes(encode_picture(picture, sheet.suffix))


_RECIPE_OF_SHEET = {
    "coco": "simplebaseline_resnet50_coco_256x192",
    "mpii": "simplebaseline_resnet50_mpii_256x256",
    "crowdpose": "simplebaseline_resnet50_crowdpose_256x192",
}


def _render(
    layout: str, out: Path, images: int, seed: int, workers: int | None, crowd: tuple[int, int] | None = None
) -> "SyntheticFiles":
    from sharding.synthetic import write_dataset

    with _progress("rendering", images, "images") as bar:
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


def _progress(label: str, total: int, unit: str) -> "SampleProgress":
    from engine.progress import SampleProgress

    return SampleProgress(_console(), label, total, unit=unit)


def _say(text: str) -> None:
    """A line as it is: paths are neither wrapped nor read as markup."""
    _console().print(text, markup=False, highlight=False, soft_wrap=True)


def _console(width: int | None = None) -> "Console":
    from rich.console import Console

    return Console(width=width)


def _require_own_packages() -> None:
    """In an editable install a foreign top-level `models` in site-packages would win over ours."""
    root = Path(__file__).resolve().parent
    for name in _PACKAGES:
        spec = importlib.util.find_spec(name)
        found = Path(spec.origin).resolve() if spec is not None and spec.origin is not None else None
        if found is None or root not in found.parents:
            sys.exit(
                f"posestream: the package {name!r} comes from {found}, not from {root}; "
                "uninstall what brings it, or run from the checkout"
            )


def main() -> None:
    """Entry point: errors that a user can mend are printed without a traceback."""
    _require_own_packages()
    from pose.errors import UserError

    try:
        app()
    except (UserError, OSError) as error:  # an OSError that reaches this far names a file that cannot be used
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()

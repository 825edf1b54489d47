"""Scores, and what they are made of."""

import json
from pathlib import Path
from typing import Annotated

import typer

from commands.chosen_recipe import with_weights
from commands.options import Overrides
from commands.screen import console, say


def evaluate(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, or a path to a .py file that defines one")],
    checkpoint: Annotated[str | None, typer.Option(help="A .ckpt file of a training run, or its URI")] = None,
    weights: Annotated[Path | None, typer.Option(help="Instead: a public checkpoint of the recipe's network")] = None,
    settings: Overrides = None,
    out: Annotated[Path | None, typer.Option(help="Folder of the results  [default: one in the run folder]")] = None,
    page: Annotated[
        Path | None,
        typer.Option("--report", metavar="DIR", help="Folder of report.html  [default: that of the results]"),
    ] = None,
) -> None:
    """Score a checkpoint with the benchmark's official evaluator on the recipe's data.val, and say what went wrong.

    Network, heatmaps and crops are as the --checkpoint was trained (for --weights: as the recipe says), unless settings
    say otherwise. Writes metrics.json, results.json (submission layout), recipe.json, diagnosis.json (MPII:
    curves.json), the worst and the median pictures, and report.html, one page about all of it.

    Example: `posestream evaluate hrnet_w32_coco_256x192 --checkpoint best.ckpt data.val=/data/coco/val2017
    evaluate.detections=person_detections_val2017.json`, or with `--weights pose_hrnet_w32_256x192.pth`
    """
    from engine.evaluate import evaluate_weights
    from engine.evaluation_files import write_evaluation
    from evaluation.table import score_table

    chosen, given = with_weights(recipe, checkpoint, weights, settings)
    evaluated = evaluate_weights(chosen, given, console())
    if out is not None:
        folder = out
    elif checkpoint is not None and "://" not in checkpoint:
        folder = given.path.parent / "evaluation"
    else:
        run = Path("runs", chosen.name) if "://" in chosen.run_dir else Path(chosen.run_dir)
        folder = run / f"evaluation-{given.path.stem}"
    console().print(score_table({Path(evaluated.weights).stem: evaluated.score}))
    diagnosis = write_evaluation(evaluated, folder)
    for note in evaluated.score.notes:
        say(f"note: {note}")
    if diagnosis is not None:
        from evaluation.diagnosis_table import diagnosis_summary

        say(diagnosis_summary(diagnosis.to_json()))
    written = write_report([folder], (page or folder) / "report.html")
    say(f"metrics.json, results.json, recipe.json, {'curves' if diagnosis is None else 'diagnosis'}.json: {folder}")
    say(f"look at {written}")


def diagnose(
    results: Annotated[
        list[Path], typer.Argument(help="Results in COCO layout, of any framework (.json); several are compared")
    ],
    annotations: Annotated[Path, typer.Option(help="Annotations of the same split (.json)")],
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON instead")] = False,
    skeleton: Annotated[
        Path | None, typer.Option(help="JSON file of the skeleton, if it is neither COCO's nor CrowdPose's")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="coco or crowdpose  [default: told by the number of keypoints]")
    ] = None,
) -> None:
    """Say what a set of results gets wrong, and how much AP each kind of error costs.

    Keypoints of matched persons are good, or err by jitter, inversion, swap or miss (Ronchi & Perona, ICCV 2017).

    Of several files the tables show what changed against the first.

    Example: `posestream diagnose runs/r50/evaluation/results.json --annotations person_keypoints_val2017.json`
    """
    from evaluation.diagnosis import KINDS
    from evaluation.diagnosis_comparison import compare as side_by_side
    from evaluation.diagnosis_files import diagnose_files
    from evaluation.diagnosis_table import comparison_table, diagnosis_summary, diagnosis_tables
    from pose.skeleton_file import read_skeleton

    if layout is not None and layout not in KINDS:
        raise typer.BadParameter(f"{layout!r} is not one of {', '.join(KINDS)}", param_hint="--layout")
    own = read_skeleton(skeleton) if skeleton is not None else None
    diagnoses = diagnose_files(results, annotations, own, layout)
    told = {name: diagnosis.to_json() for name, diagnosis in diagnoses.items()}
    comparison = side_by_side(told) if len(told) > 1 else None
    if as_json:
        content = next(iter(told.values())) if comparison is None else {"diagnoses": told, "comparison": comparison}
        print(json.dumps(content, indent=1))
        return
    for name, one in told.items():
        say(f"{name}: {diagnosis_summary(one)}")
    if comparison is not None:
        console().print(comparison_table(comparison))
        return
    for table in diagnosis_tables(next(iter(told.values()))):
        console().print(table)
    for note in next(iter(told.values()))["notes"]:
        say(f"note: {note}")


def report(
    runs: Annotated[list[Path], typer.Argument(help="Folders that `evaluate` wrote, or run folders with one inside")],
    out: Annotated[Path, typer.Option(help="The page")] = Path("report.html"),
) -> None:
    """Write one page about evaluations, side by side: scores, curves, errors, and pictures. It needs no network.

    Example: `posestream report runs/w32 runs/w48 --out compared.html`
    """
    say(f"look at {write_report(runs, out / 'report.html' if out.is_dir() else out)}")


def write_report(folders: list[Path], page: Path) -> Path:
    """Scores are shown beside those that the recipes are published with."""
    from commands.expected_scores import expected_scores
    from evaluation.evaluation_folder import read_evaluations
    from evaluation.report_page import report_page

    content = report_page(read_evaluations(folders), expected_scores())
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(content, encoding="utf-8")
    return page


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

    chosen, given = with_weights(recipe, checkpoint, weights, settings)
    learnt = learn_scoring(chosen, given, console())
    first, last = learnt.losses[0], learnt.losses[-1]
    say(f"{learnt.poses} poses; squared error of their OKS {first:.4f} in the first epoch, {last:.4f} in the last")
    if learnt.left_out:
        say(f"note: {learnt.left_out} pictures could not be read or decoded")
    say(f"use it: posestream evaluate {recipe} ... bottomup.grouping.scoring=learned")
    say(str(learnt.path))

"""Scores, and what they are made of."""

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
) -> None:
    """Score a checkpoint with the benchmark's official evaluator on the recipe's data.val.

    Network, heatmaps and crops are as the --checkpoint was trained (for --weights: as the recipe says), unless settings
    say otherwise. Writes metrics.json, results.json (submission layout), recipe.json and report.html.

    Example: `posestream evaluate hrnet_w32_coco_256x192 --checkpoint best.ckpt data.val=/data/coco/val2017
    evaluate.detections=person_detections_val2017.json`, or with `--weights pose_hrnet_w32_256x192.pth`
    """
    from engine.evaluate import evaluate_weights, write_evaluation
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
    write_evaluation(evaluated, folder)
    console().print(score_table({Path(evaluated.weights).stem: evaluated.score}))
    for note in evaluated.score.notes:
        say(f"note: {note}")
    say(f"metrics.json, results.json, recipe.json, report.html: {folder}")


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

"""New pictures."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.screen import console, say

if TYPE_CHECKING:
    from engine.estimator import Estimator

_SETTING = re.compile(r"[a-z_]+(\.[a-z_0-9]+)*=")
_SHOWN = 10
_FINISHED_WITH_DAMAGE = 3


def predict(
    words: Annotated[
        list[str],
        typer.Argument(
            metavar="CHECKPOINT INPUT... [KEY=VALUE]...",
            help="A .ckpt file or its URI; pictures, folders, videos, sharded splits; settings of the recipe",
        ),
    ],
    recipe: Annotated[str | None, typer.Option(help="Instead of CHECKPOINT: a recipe's name, with --weights")] = None,
    weights: Annotated[Path | None, typer.Option(help="A public checkpoint of the recipe's network")] = None,
    out: Annotated[Path, typer.Option(help="Folder of the results")] = Path("predictions"),
    boxes: Annotated[
        Path | None, typer.Option(help="Persons' boxes: JSON rows {image_id or file_name, bbox, score}, or COCO's")
    ] = None,
    detector: Annotated[
        str | None, typer.Option(help="Who finds persons: torchvision's fasterrcnn_resnet50_fpn, or FILE.py:CALLABLE")
    ] = None,
    whole_image: Annotated[bool, typer.Option("--whole-image", help="Each picture shows one person")] = False,
    heatmaps: Annotated[bool, typer.Option("--heatmaps", help="Also write a panel of heatmaps per picture")] = False,
    overlays: Annotated[bool, typer.Option(help="Write pictures and videos with skeletons")] = True,
    as_stored: Annotated[
        bool, typer.Option("--as-stored", help="Pay no heed to EXIF and videos' rotation, as `evaluate` does")
    ] = False,
) -> None:
    """Find poses in pictures, folders of them, videos and sharded splits.

    Writes predictions.json (COCO results), images.json (names, ids and sizes) and overlays to --out. Networks of single
    persons need --boxes, --detector or --whole-image (splits have annotated boxes), those of whole pictures none.
    Pictures are looked at upright, as EXIF says. Exit status 3: done, but for damaged pictures.

    Example: `posestream predict best.ckpt holiday/ clip.mp4 --detector fasterrcnn_resnet50_fpn --out poses`
    """
    from engine.predict import PredictSettings, predict_inputs

    settings = [word for word in words if _SETTING.match(word) and not Path(word).exists()]
    given = [word for word in words if word not in settings]
    if (recipe is None) != (weights is None):
        raise typer.BadParameter("give both, or a checkpoint", param_hint="--recipe, --weights")
    if recipe is None and len(given) < 2:
        raise typer.BadParameter("give a checkpoint, and what to look at", param_hint="CHECKPOINT INPUT...")
    estimator = _of_checkpoint(given.pop(0), settings) if recipe is None else _of_weights(recipe, weights, settings)
    chosen = PredictSettings(boxes, detector, whole_image, as_stored, overlays, heatmaps)
    predicted = predict_inputs(estimator, given, out, chosen, console())
    unit = estimator.task.unit
    count = predicted.instances if estimator.takes_boxes else predicted.pictures
    say(
        f"{predicted.persons} persons in {predicted.pictures} pictures; {count} {unit} in {predicted.seconds:.1f} s, "
        f"{count / max(predicted.seconds, 1e-9):.1f} {unit}/s"
    )
    for note in predicted.notes:
        say(f"note: {note}")
    _say_some(f"note: no box in {len(predicted.without_boxes)} pictures", predicted.without_boxes)
    damaged = [f"{name}: {problem}" for name, problem in predicted.damaged.items()]
    _say_some(f"{len(damaged)} pictures could not be looked at", damaged)
    say(f"predictions.json, images.json{', overlays' if overlays else ''}{', heatmaps' if heatmaps else ''}: {out}")
    if damaged:
        raise typer.Exit(_FINISHED_WITH_DAMAGE)


def _of_checkpoint(checkpoint: str, settings: list[str]) -> "Estimator":
    from engine.estimator import load
    from engine.remote_file import local_file

    return load(local_file(checkpoint), settings=settings)


def _of_weights(recipe: str, weights: Path | None, settings: list[str]) -> "Estimator":
    from commands.chosen_recipe import chosen_recipe
    from engine.estimator import make_estimator
    from engine.predict_skeleton import skeleton_of_recipe
    from engine.trained import PublicWeights

    assert weights is not None
    chosen = chosen_recipe(recipe, settings)
    return make_estimator(chosen, skeleton_of_recipe(chosen), PublicWeights(weights))


def _say_some(title: str, lines: list[str]) -> None:
    """A list that may be long."""
    if lines:
        more = [f"... and {len(lines) - _SHOWN} more, see images.json"] if len(lines) > _SHOWN else []
        say("\n  ".join([f"{title}:", *lines[:_SHOWN], *more]))

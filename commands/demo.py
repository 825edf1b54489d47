"""The whole path at once."""

from pathlib import Path
from typing import Annotated

import typer

from commands.chosen_recipe import chosen_recipe
from commands.inspection import inspect
from commands.options import Overrides
from commands.results import write_report
from commands.screen import console, say
from commands.splits import convert, render


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
    from engine.evaluate import evaluate_weights
    from engine.evaluation_files import write_evaluation
    from engine.train import train as train_recipe
    from engine.trained import OwnWeights
    from evaluation.table import score_table

    for name, count, seed in (("train", images, 0), ("val", max(images // 6, 2), 1)):
        shards = out / "shards" / name
        if not (shards / "manifest.json").exists():
            files = render("coco", out / "raw" / name, count, seed, None)
            convert("coco", files.images, files.annotations, str(shards))
    defaults = [f"data.{name}={out / 'shards' / name}" for name in ("train", "val")] + [f"run_dir={out / 'run'}"]
    recipe = chosen_recipe("demo_synthetic", defaults + (settings or []))
    inspect(str(out / "shards" / "train"), out / "crops.png", "demo_synthetic", settings=settings)
    result = train_recipe(recipe, console())
    untrained = evaluate_weights(recipe, None, console())
    write_evaluation(untrained, out / "untrained")
    trained = evaluate_weights(recipe, OwnWeights(result.best), console())
    write_evaluation(trained, out / "trained")
    page = write_report([out / "untrained", out / "trained"], out / "report.html")
    console().print(score_table({"trained": trained.score, "untrained": untrained.score}))
    before, after = 100 * untrained.score.value, 100 * trained.score.value
    say(
        f"AP {after:.1f} after {result.steps} batches, {before:.1f} untrained.\n"
        f"Look at {page} (scores, errors, pictures) and {out / 'crops.png'} (what the network saw)."
    )

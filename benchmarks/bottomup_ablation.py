"""What each part of heatmap-guided bottom-up estimation is worth: the paper's Table 4 on small networks, one budget.

    python -m benchmarks.bottomup_ablation --train URI --val URI --out runs/ablation --name crowds

Rows are switched on one after the other, as in the table: guidance, tradeoff, adaptive convolutions, learned scores.
The associative-embedding network HigherHRNet, of the same backbone, stands beside them. Each run is a `posestream` run
folder, so a call that was stopped goes on where it was; results are stored after every run in
benchmarks/results/bottomup_ablation_NAME.json: AP of the regressed poses, of the heatmaps grouped by annotated poses,
and of the final poses, on the pictures that were trained on ("train") and on others ("val").
"""

import argparse
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.result_file import RESULTS, store
from engine.bottomup_config import BottomUpConfig, GroupingConfig, PictureConfig, TargetConfig
from engine.config import (
    DataConfig,
    EvaluateConfig,
    HeatmapConfig,
    ModelConfig,
    OptimConfig,
    Recipe,
    TrainConfig,
    override,
)
from engine.evaluate import evaluate_weights
from engine.scorer import learn_scoring
from engine.train import train
from engine.trained import OwnWeights
from models.cost import model_cost

_BACKBONE: dict[str, Any] = {"width": 16, "stem": 32, "modules": (1, 1, 1), "blocks": 1}
_GUIDED = _BACKBONE | {"regression_width": 64}

# Model, its options, and the weight of the background in the heatmap loss.
ROWS: dict[str, tuple[str, dict[str, Any], float]] = {
    "baseline": ("guided_hrnet_w32", _GUIDED | {"guidance": False, "adaptive": False}, 1.0),
    "+ guidance": ("guided_hrnet_w32", _GUIDED | {"adaptive": False}, 1.0),
    "+ tradeoff": ("guided_hrnet_w32", _GUIDED | {"adaptive": False}, 0.1),
    "+ adaptive": ("guided_hrnet_w32", _GUIDED, 0.1),
    "HigherHRNet": ("higherhrnet_w32", _BACKBONE | {"deconv_blocks": 1}, 1.0),
}
_LEARNED = "+ scoring"  # what the last row of the paper adds to the network of the one before
_QUALITIES = ("regression", "heatmaps", "final")


def recipe_of(row: str, seed: int, args: argparse.Namespace) -> Recipe:
    """The one budget: everything but the row's parts and the seed is the same."""
    model, options, background = ROWS[row]
    return Recipe(
        name=f"ablation_{args.name}",
        run_dir=str(args.out / f"{row.strip('+ ').lower()}-{seed}"),
        data=DataConfig(train=args.train, val=args.val, crop_size=(args.side, args.side), threads=1),
        model=ModelConfig(name=model, options=options),
        heatmap=HeatmapConfig(encoding="exact"),
        bottomup=BottomUpConfig(
            fit="long",
            targets=TargetConfig(background=background),
            test=PictureConfig(fit="long"),
            # The paper's 75 px are of inputs whose short side is 512 px.
            grouping=GroupingConfig(
                threshold=0.1 if model.startswith("higher") else 0.01, absorb_px=75 * args.side / 512
            ),
        ),
        optim=OptimConfig(lr=args.lr, schedule="cosine", warmup_steps=20),
        train=TrainConfig(
            epochs=args.epochs,
            batch_size=args.batch,
            seed=seed,
            validate_every=args.epochs,
            precision="32-true",
            verdict_seconds=0,
        ),
        evaluate=EvaluateConfig(flip_test=False),
    )


def run_of(row: str, seed: int, args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Train a row and score it in every way, or read what an earlier call found. The run folder keeps the answer."""
    recipe = recipe_of(row, seed, args)
    answer = Path(recipe.run_dir) / "result.json"
    if not answer.exists():
        console.print(f"{row}, seed {seed}", markup=False)
        result = train(override(recipe, ["data.val=none"]), console)
        found = {"row": row, "seed": seed, "seconds": round(result.seconds)} | _scores(recipe, result.last, console)
        answer.write_text(json.dumps(found) + "\n")
    return dict(json.loads(answer.read_text()))


def _scores(recipe: Recipe, checkpoint: Path, console: Console) -> dict[str, Any]:
    """AP in percent, by split and quality; learned scores too where every part is on."""
    weights, settings = OwnWeights(checkpoint), {quality: [f"grouping.quality={quality}"] for quality in _QUALITIES}
    if recipe.model.name.startswith("higher"):
        settings = {"final": []}
    elif recipe.model.options.get("adaptive", True):
        learn_scoring(recipe, weights, console)
        settings[_LEARNED] = ["grouping.scoring=learned"]
    return {
        split: {
            name: 100
            * evaluate_weights(
                override(recipe, [f"data.val={uri}", *(f"bottomup.{one}" for one in chosen)]), weights, console
            ).score.value
            for name, chosen in settings.items()
        }
        for split, uri in (("train", recipe.data.train), ("val", recipe.data.val))
    }


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Mean and standard deviation over seeds, and of the final AP the difference to the baseline seed by seed."""
    found: dict[str, dict[str, list[float]]] = {}
    base = {run["seed"]: run for run in runs if run["row"] == "baseline"}
    for row, split in itertools.product(dict.fromkeys(run["row"] for run in runs), ("train", "val")):
        own = [run for run in runs if run["row"] == row]
        entry: dict[str, list[float]] = {}
        for quality in own[0][split]:
            values = np.array([run[split][quality] for run in own])
            spread = values.std(ddof=1) if len(values) > 1 else float("nan")
            entry[quality] = [round(float(values.mean()), 2), round(float(spread), 2)]
        entry["final, to the baseline"] = [
            round(run[split]["final"] - base[run["seed"]][split]["final"], 2) for run in own if run["seed"] in base
        ]
        found[f"{row}, {split}"] = entry
    return found


def main() -> None:
    args = _arguments()
    console = Console()
    costs = {
        row: vars(model_cost(model, 17, (args.side, args.side), **options))
        for row, (model, options, _) in ROWS.items()
        if row in args.rows
    }
    runs: list[dict[str, Any]] = []
    for seed, row in itertools.product(args.seeds, args.rows):  # each round compares all rows
        runs.append(run_of(row, seed, args, console))
        content = {"costs": costs, "summary": summary(runs), "runs": runs, "epochs": args.epochs, "side": args.side}
        store(RESULTS / f"bottomup_ablation_{args.name}.json", content, _command(args))
    console.print(_table(summary(runs)))


def _table(found: Mapping[str, Mapping[str, Sequence[float]]]) -> Table:
    names = (*_QUALITIES, _LEARNED)
    table = Table("row, split", *names)
    for row, entry in found.items():
        cells = [f"{entry[name][0]:.1f} ± {entry[name][1]:.1f}" if name in entry else "" for name in names]
        table.add_row(row, *cells)
    return table


def _command(args: argparse.Namespace) -> str:
    seeds = " ".join(map(str, args.seeds))
    return (
        f"python -m benchmarks.bottomup_ablation --train TRAIN --val VAL --out RUNS --name {args.name} "
        f"--epochs {args.epochs} --batch {args.batch} --lr {args.lr} --side {args.side} --seeds {seeds}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train every row of the ablation under one budget and compare.")
    parser.add_argument("--train", required=True, help="URI of a sharded split in COCO's layout")
    parser.add_argument("--val", required=True, help="URI of another one")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run folders")
    parser.add_argument("--name", required=True, help="of the results: bottomup_ablation_NAME.json")
    parser.add_argument("--epochs", type=int, default=150)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--side", type=int, default=256, help="px of the square that pictures are shown in")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--rows", nargs="+", default=list(ROWS), choices=list(ROWS))
    return parser.parse_args()


if __name__ == "__main__":
    main()

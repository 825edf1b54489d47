"""Which system learns how much: all under one budget, with the same seeds, on the same data.

    python -m benchmarks.systems --train URI --val URI --out runs/systems --name lsp

Small networks without ImageNet weights, so that a CPU can do it: one bottleneck for each stage of the ResNet, and every
layer a quarter as wide as published (EnhanceNet's half). Each run is a `posestream` run folder, so a call that was
stopped goes on where it was. Results are stored after every run in benchmarks/results/systems_NAME.json, with
parameters and multiply-accumulates of the networks as trained.
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
from engine.config import DataConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from engine.train import train
from models.cost import model_cost
from pipelines.augmentation import Augmentation
from sharding.dataset import open_dataset

_BACKBONE: dict[str, Any] = {"width": 16, "blocks": (1, 1, 1, 1)}
_SMALL = _BACKBONE | {"deconv_channels": (64, 64, 64)}

SYSTEMS: dict[str, ModelConfig] = {
    "SimpleBaseline": ModelConfig(name="simplebaseline_resnet50", options=_SMALL),
    "+ EnhanceNet": ModelConfig(
        name="simplebaseline_resnet50", options=_SMALL, plugin="enhancenet", plugin_options={"channels": 64}
    ),
    "+ PoseReNet": ModelConfig(name="simplebaseline_resnet50", options=_SMALL, plugin="poserenet"),
    "MRFeaNet1": ModelConfig(name="mrfeanet1_resnet50", options=_BACKBONE),
    "EFAFNet": ModelConfig(name="efafnet_resnet50", options=_BACKBONE),
}
_VARIED = Augmentation(scale_factor=0.25, rotation_factor=30, flip_probability=0.5)
_REPORTED = ("PCKh@0.5", "PCKh@0.1", "AP", "AP50", "AP75", "AR")


def recipe_of(system: str, seed: int, args: argparse.Namespace) -> Recipe:
    """The one budget: everything but the network and the seed is the same. Targets and decoding are the papers'."""
    folder = system.strip("+ ").lower()
    return Recipe(
        name=f"systems_{args.name}",
        run_dir=str(args.out / f"{folder}-{seed}"),
        data=DataConfig(train=args.train, val=args.val, crop_size=tuple(args.crop)),
        model=SYSTEMS[system],
        augmentation=Augmentation() if args.by_heart else _VARIED,
        optim=OptimConfig(lr=args.lr, schedule="cosine", warmup_steps=100),
        train=TrainConfig(
            epochs=args.epochs, batch_size=32, seed=seed, validate_every=args.epochs, verdict_seconds=0.0
        ),
    )


def run_of(system: str, seed: int, args: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Train and score a system, or read what an earlier call found. The run folder keeps the answer."""
    recipe = recipe_of(system, seed, args)
    answer = Path(recipe.run_dir) / "result.json"
    if not answer.exists():
        console.print(f"{system}, seed {seed}", markup=False)
        result = train(recipe, console)
        if result.score is None:
            raise RuntimeError(f"{recipe.run_dir} was trained, but not by this benchmark; give another --out")
        metrics = {name: result.score.metrics[name] for name in _REPORTED if name in result.score.metrics}
        found = {"system": system, "seed": seed, "metrics": metrics, "seconds": round(result.seconds)}
        answer.write_text(json.dumps(found) + "\n")
    return dict(json.loads(answer.read_text()))


def summary(runs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """Mean and standard deviation over seeds of each metric, and its mean difference to SimpleBaseline seed by seed."""
    found: dict[str, dict[str, list[float]]] = {}
    base = {run["seed"]: run["metrics"] for run in runs if run["system"] == "SimpleBaseline"}
    for system in dict.fromkeys(run["system"] for run in runs):
        own = [run for run in runs if run["system"] == system]
        found[system] = {}
        for name in own[0]["metrics"]:
            values = np.array([run["metrics"][name] for run in own])
            gains = [run["metrics"][name] - base[run["seed"]][name] for run in own if run["seed"] in base]
            spread = values.std(ddof=1) if len(values) > 1 else float("nan")
            found[system][name] = [round(float(values.mean()), 2), round(float(spread), 2)]
            found[system][f"{name} to SimpleBaseline"] = [round(float(gain), 2) for gain in gains]
    return found


def main() -> None:
    args = _arguments()
    console = Console()
    path = RESULTS / f"systems_{args.name}.json"
    num_keypoints = open_dataset(args.train).skeleton.num_keypoints
    costs = {}
    for system in args.systems:
        config = SYSTEMS[system]
        cost = model_cost(
            config.name,
            num_keypoints,
            tuple(args.crop),
            plugin=config.plugin,
            plugin_options=config.plugin_options,
            **config.options,
        )
        costs[system] = vars(cost)
    runs: list[dict[str, Any]] = []
    for seed, system in itertools.product(args.seeds, args.systems):  # each round compares all systems
        runs.append(run_of(system, seed, args, console))
        content = {"costs": costs, "summary": summary(runs), "runs": runs, "epochs": args.epochs, "crop": args.crop}
        store(path, content, _command(args))
    console.print(_table(summary(runs), costs))


def _table(found: Mapping[str, Mapping[str, Sequence[float]]], costs: Mapping[str, Mapping[str, int]]) -> Table:
    names = [name for name in _REPORTED if any(name in row for row in found.values())]
    table = Table("system", "params", "MACs", *names)
    for system, row in found.items():
        cells = [f"{row[name][0]:.2f} ± {row[name][1]:.2f}" for name in names]
        table.add_row(system, f"{costs[system]['params']:,}", f"{costs[system]['macs'] / 1e9:.3f}e9", *cells)
    return table


def _command(args: argparse.Namespace) -> str:
    seeds = " ".join(map(str, args.seeds))
    return (
        f"python -m benchmarks.systems --train TRAIN --val VAL --out RUNS --name {args.name} --epochs {args.epochs} "
        f"--lr {args.lr} --crop {args.crop[0]} {args.crop[1]} --seeds {seeds}{' --by-heart' * args.by_heart}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Train every system under one budget and compare.")
    parser.add_argument("--train", required=True, help="URI of a sharded split")
    parser.add_argument("--val", required=True, help="URI of a sharded split")
    parser.add_argument("--out", type=Path, required=True, help="folder of the run folders")
    parser.add_argument("--name", required=True, help="of the results: systems_NAME.json")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--lr", type=float, default=6e-3)
    parser.add_argument("--crop", type=int, nargs=2, default=[96, 96], metavar=("HEIGHT", "WIDTH"))
    parser.add_argument("--by-heart", action="store_true", help="no augmentation: for few pictures, also as --val")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=list(SYSTEMS))
    return parser.parse_args()


if __name__ == "__main__":
    main()

"""What a search costs beyond its trainings, and whether trials side by side keep to their cores.

    python -m benchmarks.tuning

Tiny trainings on rendered pictures, in a Ray of two cores: seconds from one trial's start to the next, less what its
training reports, with one trial at a time; then the threads that each of two concurrent trials uses.
"""

import functools
import json
import os
import tempfile
import time
from io import StringIO
from pathlib import Path
from typing import Any

import ray
import torch
from ray import tune as ray_tune
from rich.console import Console

from benchmarks.result_file import RESULTS, store
from engine.config import Recipe, override
from recipes import load_recipe
from sharding.convert import ConversionSettings, convert
from sharding.raw import read_raw
from sharding.storage import open_folder
from sharding.synthetic import write_dataset
from tune.cluster import connected
from tune.experiment import Experiment, run_experiment
from tune.space import Resources
from tune.trial import train_trial

TRIALS = 6


def main() -> None:
    with tempfile.TemporaryDirectory() as scratch, connected(None, cpus=2):
        folder = Path(scratch)
        recipe = _recipe(folder)
        one, two = (_run(recipe, folder / str(concurrent), concurrent) for concurrent in (1, 2))
    result = {"trials": TRIALS, "one_at_a_time": one, "two_at_a_time": two}
    store(RESULTS / "tuning.json", result, "python -m benchmarks.tuning", ("torch", "ray"))
    print(json.dumps(result, indent=1))


def _recipe(folder: Path) -> Recipe:
    files = write_dataset("coco", folder / "raw", 64, seed=0, workers=1)
    convert(read_raw("coco", files.annotations, "mini"), open_folder(folder / "mini"),
            ConversionSettings(files.images, "mini"))  # fmt: skip
    settings = [f"data.train={folder / 'mini'}", "train.epochs=3", "train.batch_size=16", "data.crop_size=96,64"]
    return override(load_recipe("demo_synthetic"), settings)


def _run(recipe: Recipe, folder: Path, concurrent: int) -> dict[str, Any]:
    folder.mkdir()
    notes = folder / "notes"
    notes.mkdir()
    trial = functools.partial(_noted_trial, base=recipe, folder=str(folder / "out"), notes=str(notes))
    started = time.perf_counter()
    run_experiment(
        Experiment(str(folder / "out"), trial, {"optim.lr": ray_tune.loguniform(1e-4, 1e-2)}, "loss", "min", TRIALS,
                   concurrent=concurrent),
        Console(file=StringIO()),
    )  # fmt: skip
    wall_s = time.perf_counter() - started
    noted = [json.loads(file.read_text()) for file in notes.iterdir()]
    training_s = sum(note["seconds"] for note in noted)
    return {
        "wall_s": round(wall_s, 2),
        "training_s": round(training_s / TRIALS, 2),
        "overhead_s_per_trial": round((wall_s * concurrent - training_s) / TRIALS, 2),
        "torch_threads": sorted({note["torch_threads"] for note in noted}),
        "cpu_s_per_wall_s_of_training": round(sum(note["cpu_s"] for note in noted) / training_s, 2),
        "trials_noted": len(noted),
    }


def _noted_trial(config: dict[str, Any], base: Recipe, folder: str, notes: str) -> None:
    started, cpu = time.perf_counter(), time.process_time()
    train_trial(config, base, Resources(), "loss", folder)
    note = {
        "seconds": time.perf_counter() - started,
        "cpu_s": time.process_time() - cpu,
        "torch_threads": torch.get_num_threads(),
        "pid": os.getpid(),
        "node": ray.get_runtime_context().get_node_id(),
    }
    Path(notes, f"{ray_tune.get_context().get_trial_id()}.json").write_text(json.dumps(note))


if __name__ == "__main__":
    main()

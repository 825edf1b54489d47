"""Workers that note what they see, and that fail on demand. They travel to Ray's workers by value.

python watched_workers.py ADDRESS RECIPE.json LOG_FOLDER: a driver of its own, of two of them.
"""

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle

from engine.config import Recipe, override, parse_recipe
from engine.learner import Learner
from tune import distributed
from tune.distributed import Workers, train_on_workers

cloudpickle.register_pickle_by_value(sys.modules[__name__])
_worker, _learn = distributed._worker, Learner.learn


def small_steps(recipe: Recipe, *settings: str) -> Recipe:
    """Adam turns rounding errors into steps as long as all others; short ones keep the comparison about the rest."""
    return override(recipe, ["optim.lr=1e-5", "train.sync_batchnorm=true", *settings])


def watched(
    config: dict[str, Any], logs: str, kill: tuple[int, int] | None, error: Exception | None, slow_s: float
) -> None:
    """A process that kills itself, or raises `error`, once, at `kill`: rank and step."""
    rank, folder = int(os.environ["RANK"]), Path(logs)
    folder.mkdir(exist_ok=True)
    _note(folder / f"starts-{rank}.jsonl", {"pid": os.getpid(), "of": int(os.environ["WORLD_SIZE"])})

    def noted(learner: Learner, batch: Any, step: int) -> Any:
        if (rank, step) == kill and (error is not None or not (folder / "killed").exists()):
            (folder / "killed").touch()
            if error is not None:
                raise error
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(slow_s)
        learned = _learn(learner, batch, step)
        ids = batch.instance_ids[batch.valid].tolist()
        _note(folder / f"steps-{rank}.jsonl", {"step": step, "seen": ids, "pid": os.getpid()})
        return learned

    Learner.learn = noted  # type: ignore[method-assign]
    _worker(config)


def _note(file: Path, row: dict[str, Any]) -> None:
    with file.open("a") as opened:
        opened.write(json.dumps(row) + "\n")


def rows(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def samples(logs: Path) -> dict[int, list[int]]:
    """What was seen at each step, by all ranks in their order; a step that was repeated must have seen the same."""
    shares: dict[int, dict[str, list[int]]] = {}
    for file in sorted(logs.glob("steps-*.jsonl")):
        for row in rows(file):
            shares.setdefault(row["step"], {})[f"{file.stem} {row['pid']}"] = row["seen"]
    by_step = {}
    for step, seen in shares.items():
        by_step[step] = sorted({sample for share in seen.values() for sample in share})
    return by_step


def run(
    recipe: Recipe,
    workers: Workers,
    say: Callable[[str], None],
    logs: Path,
    kill: tuple[int, int] | None = None,
    error: Exception | None = None,
    slow_s: float = 0.0,
) -> None:
    """`train_on_workers` with watched ones."""
    distributed._worker = partial(watched, logs=str(logs), kill=kill, error=error, slow_s=slow_s)
    try:
        train_on_workers(recipe, workers, say)
    finally:
        distributed._worker = _worker


if __name__ == "__main__":
    from tune.cluster import connect

    connect(sys.argv[1])
    run(parse_recipe(Path(sys.argv[2]).read_text()), Workers(2, 2), print, Path(sys.argv[3]), slow_s=0.3)
    ray.shutdown()

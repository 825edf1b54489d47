"""Run by torchrun in tests: trains a recipe and notes what each rank saw and what the first one was told.

python launched_training.py RECIPE.json LOG_FOLDER [KILL_RANK KILL_STEP]
"""

import json
import os
import signal
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from engine.config import parse_recipe
from engine.learner import Learner
from engine.observer import EpochReport
from engine.train import train

torch.set_num_threads(1)
recipe, logs = parse_recipe(Path(sys.argv[1]).read_text()), Path(sys.argv[2])
rank = os.environ.get("RANK", "0")
kill_rank, kill_step = sys.argv[3:5] if len(sys.argv) > 3 else ("-1", "-1")
killed = logs / "killed"


class Notes:
    start_from = None
    may_change: frozenset[str] = frozenset()

    def epoch_done(self, report: EpochReport, checkpoint: Path | None) -> None:
        assert (checkpoint is not None) == (rank == "0")
        with (logs / f"epochs-{rank}.jsonl").open("a") as file:
            file.write(json.dumps(asdict(report)) + "\n")


learn = Learner.learn


def noted(learner: Learner, batch: Any, step: int) -> Any:
    if (rank, str(step)) == (kill_rank, kill_step) and not killed.exists():
        killed.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    learned = learn(learner, batch, step)
    ids = batch.image_ids if hasattr(batch, "person_image") else batch.instance_ids
    row = {"step": step, "seen": ids[batch.valid].tolist(), "loss": float(learned.loss)}
    with (logs / f"steps-{rank}.jsonl").open("a") as file:
        file.write(json.dumps(row) + "\n")
    return learned


Learner.learn = noted  # type: ignore[method-assign]
train(recipe, Console(), Notes())

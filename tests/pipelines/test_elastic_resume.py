"""Ranks in processes of their own, killed −9 at random steps and resumed in other numbers: still one sequence."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[2]
BATCH, EPOCHS, SEED = 24, 6, 5

RANK = f"""
import hashlib, sys, time, torch
from pipelines.augmentation import Augmentation
from pipelines.samples import annotated_samples
from pipelines.topdown import TopDownLoader, TopDownSettings
from sharding.dataset import open_dataset

torch.set_num_threads(1)
split, rank, world_size, start, stop, window, log, pause = sys.argv[1:]
settings = TopDownSettings(
    (32, 24), {BATCH}, seed={SEED}, window=int(window), rank=int(rank), world_size=int(world_size), threads=1,
    augmentation=Augmentation(0.35, 45, 0.6, 0.5, 0.3, translation_factor=0.1),
)
loader = TopDownLoader(annotated_samples(open_dataset(split)), settings)
loader.load_state_dict(dict(step=int(start), window=int(window)))
with open(log, "a", buffering=1) as file:
    while loader.step < int(stop):
        for batch in loader:
            rows = []
            for row in range(len(batch.valid)):
                seen = hashlib.sha256(batch.crops[row].contiguous().numpy().tobytes()).hexdigest()[:12]
                rows.append(f"{{batch.instance_ids[row]}}:{{seen}}" if batch.valid[row] else "-")
            time.sleep(float(pause))
            file.write(f"{{loader.step - 1}} {{' '.join(rows)}}\\n")
            if loader.step == int(stop):
                break
loader.close()
"""


def start_ranks(split, world_size, start, stop, window, folder, pause=0.0):
    folder.mkdir(exist_ok=True)
    logs = [folder / f"{world_size}-{start}-{rank}.log" for rank in range(world_size)]
    ranks = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", RANK]
            + [str(value) for value in (split, rank, world_size, start, stop, window, log, pause)],
            cwd=ROOT, stderr=subprocess.PIPE, text=True,
        )
        for rank, log in enumerate(logs)
    ]  # fmt: skip
    return ranks, logs


def whole_lines(log):
    """What a rank wrote before it was killed; the last line may be torn."""
    text = log.read_text() if log.exists() else ""
    lines = text[: text.rfind("\n") + 1].splitlines()
    return [line.split()[1:] for line in lines]


def finish(ranks, logs):
    for rank in ranks:
        errors = rank.communicate()[1]
        assert rank.returncode == 0, errors
    return [whole_lines(log) for log in logs]


def global_batches(parts):
    """Rank by rank shares → steps done by all of them, each with its rows in global order."""
    return [[row for share in shares for row in share] for shares in zip(*parts, strict=False)]


@pytest.mark.slow
@pytest.mark.parametrize("window", [0, 8])
def test_killed_and_resumed_in_other_numbers(mini_shards, tmp_path, window):
    split = mini_shards("coco")
    persons = json.loads((split / "manifest.json").read_text())["instances"]
    steps = EPOCHS * -(-persons // BATCH) * 4  # some persons are not trained on, so this is more than EPOCHS
    whole = global_batches(finish(*start_ranks(split, 1, 0, steps, window, tmp_path / "whole")))
    assert len(whole) == steps
    done: list[list[str]] = []
    chance = random.Random(window)
    for world_size in (1, 2, 4, 8, 3):
        last = world_size == 3
        ranks, logs = start_ranks(
            split, world_size, len(done), steps, window, tmp_path / "killed", 0.0 if last else 0.05
        )
        wanted = chance.randrange(1, steps // 6)
        while not last and min(len(whole_lines(log)) for log in logs) < wanted:
            assert all(rank.poll() in (None, 0) for rank in ranks)
            time.sleep(0.01)
        if not last:
            for rank in ranks:
                os.kill(rank.pid, signal.SIGKILL)
            for rank in ranks:
                rank.communicate()
            done += global_batches([whole_lines(log) for log in logs])
        else:
            done += global_batches(finish(ranks, logs))
    assert done == whole


def test_the_order_is_pinned(make_loader):
    """A change here changes every training run. Instance ids in order, for both kinds of shuffling in both extents."""
    found = {}
    for shuffle in ("image", "instance"):
        for window in (0, 8):
            loader = make_loader(batch_size=5, seed=SEED, shuffle=shuffle, window=window)
            ids = torch.cat([batch.instance_ids[batch.valid] for _ in range(3) for batch in loader])
            found[shuffle, window] = hashlib.sha256(ids.numpy().tobytes()).hexdigest()[:12]
    assert found == GOLDENS


GOLDENS = {
    ("image", 0): "9c08a6aed896",
    ("image", 8): "d4bf7e15d111",
    ("instance", 0): "03357af5e06d",
    ("instance", 8): "e8e029d456ed",
}

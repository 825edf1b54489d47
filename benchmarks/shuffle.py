"""How well windows of pictures mix a split whose order means something, and what ranks read for it. Needs no data.

    python -m benchmarks.shuffle        # prints and stores benchmarks/results/shuffle.json; ten seconds

A simulated split as large as COCO train2017 (57,000 pictures of some 80 KB, 149,813 persons, shards of 256 MiB, blocks
of 4 MiB) has four labels: one that rises from the first picture to the last, and one each that is constant in a shard,
in a block, and in a clip of ten pictures. Batches hold 128 persons; persons of a picture stay together. Figures are
means over seeds.

- spread: standard deviation of the batches' mean label, divided by that of batches of independently shuffled pictures;
  1 is perfect. spread_10: the same of means over ten batches, which shows how far the stream wanders.
- blocks_per_batch, pictures_per_batch: how many different ones a batch draws from, all ranks together.
- neighbour_steps: median number of steps between two pictures that are neighbours in the data. neighbours_in_batch: how
  often both are in one batch.
- rank_correlation: of places in the epoch with places in the data, without its sign.
- window_mb: pictures of a window, at 80 KB each, all ranks together. plan_ms: time to plan an epoch.
- ranks: see benchmarks/shuffle_reading.py.

"buffer" is what loaders of tar streams do, for comparison: shards in random order, one after the other, through a
buffer of as many pictures as the window, out of which the next one is drawn.
"""

import argparse
import json
import os
import platform
import time
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch

from benchmarks.shuffle_reading import reading
from benchmarks.shuffle_split import (
    BATCH,
    PERSONS,
    PICTURE_BYTES,
    PICTURES,
    Floats,
    Ints,
    Split,
    labels_of,
    simulate,
    through_buffer,
)

WINDOWS = (0, 64, 256, 1024, 2048, 8192)
RANKS = (1, 2, 4, 8, 16)
RESULTS = Path(__file__).parent / "results"


def mixing(split: Split, order: Ints, reference: Ints, labels: dict[str, Floats]) -> dict[str, float]:
    """Measures of one epoch's order: the picture of each person, and the same of independently shuffled pictures."""
    found = {}
    for name, batches in (("spread", 1), ("spread_10", 10)):
        for label, values in labels.items():
            found[f"{name} {label}"] = _spread(values[order], batches) / _spread(values[reference], batches)
    full = order[: len(order) // BATCH * BATCH].reshape(-1, BATCH)
    places = np.empty(PICTURES, dtype=np.int64)
    places[order[::-1]] = np.arange(len(order))[::-1]  # where each picture comes first
    steps_apart = np.abs(np.diff(places // BATCH))
    return found | {
        "blocks_per_batch": _different(split.blocks[full]),
        "pictures_per_batch": _different(full),
        "neighbour_steps": float(np.median(steps_apart)),
        "neighbours_in_batch": float(np.mean(steps_apart == 0)),
        "rank_correlation": abs(float(np.corrcoef(places, np.arange(PICTURES))[0, 1])),
    }


def _spread(values: Floats, batches: int) -> float:
    """Standard deviation of the means over so many batches at a time."""
    size = BATCH * batches
    return float(values[: len(values) // size * size].reshape(-1, size).mean(axis=1).std())


def _different(batches: Ints) -> float:
    """How many different values a row has, on average."""
    return float((np.diff(np.sort(batches, axis=1), axis=1) != 0).sum(axis=1).mean() + 1)


def _rounded(measures: Sequence[dict[str, float]]) -> dict[str, float]:
    """Means, three digits each."""
    return {name: float(f"{np.mean([row[name] for row in measures]):.3g}") for name in measures[0]}


def measure_window(split: Split, window: int, seeds: int) -> dict[str, object]:
    labels, plans = labels_of(split), [split.plan(seed, window) for seed in range(seeds)]
    references = [split.persons_in(np.random.default_rng(100 + seed).permutation(PICTURES)) for seed in range(seeds)]
    started = time.perf_counter()
    orders = [split.image_rows[plan.order(0).samples] for plan in plans]
    seconds = (time.perf_counter() - started) / seeds
    found: dict[str, object] = {
        "window_mb": round(window * PICTURE_BYTES / 1e6, 1),
        "plan_ms": round(1000 * seconds, 1),
        "posestream": _rounded([mixing(split, *pair, labels) for pair in zip(orders, references, strict=True)]),
        "ranks": {str(ranks): _rounded([reading(split, plans[0], ranks)]) for ranks in RANKS},
    }
    if window:
        buffered = [split.persons_in(through_buffer(split, seed, window)) for seed in range(seeds)]
        found["buffer"] = _rounded([mixing(split, *pair, labels) for pair in zip(buffered, references, strict=True)])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description="How well windows of pictures mix a split.")
    parser.add_argument("--windows", type=int, nargs="+", default=WINDOWS, help="pictures; 0: the epoch as a whole")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS / "shuffle.json")
    options = parser.parse_args()
    split = simulate()
    result = {
        "windows": {str(window): measure_window(split, window, options.seeds) for window in options.windows},
        "split": {
            "pictures": PICTURES,
            "persons": PERSONS,
            "shards": int(split.shards[-1]) + 1,
            "blocks": int(split.blocks[-1]) + 1,
            "gb": round(float(split.sizes.sum()) / 1e9, 2),
            "batch_size": BATCH,
            "seeds": options.seeds,
        },
        "command": "python -m benchmarks.shuffle",
        "machine": {
            "cpu": torch.cpu.get_capabilities().get("cpu_name"),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        "versions": {"numpy": version("numpy")},
    }
    text = json.dumps(result, indent=1)
    options.out.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()

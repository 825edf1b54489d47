"""How long a whole error diagnosis takes, and fast scoring against pycocotools, in one run.

    python -m benchmarks.diagnosis            # prints and stores benchmarks/results/diagnosis.json

Made-up COCO annotations and answers: 5,000 images, 10,000 persons, some in groups, crowds and persons without labels
among them; answers are jittered, mirrored, doubled or in the wrong place, four to a person. Scoring takes turns, three
rounds; the ratio is the median of the rounds'. All ten metrics must be equal.
"""

import argparse
import json
import os
import platform
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from evaluation.coco import evaluate_coco
from evaluation.diagnosis import diagnose
from evaluation.fast_oks_score import fast_coco
from pose.skeletons import COCO_17

RESULTS = Path(__file__).parent / "results"
_SHARES_OF_PERSONS = (0.55, 0.2, 0.1, 0.15)
_GROUPS = (1, 2, 3, 6)


def make_up(images: int, persons: int, seed: int = 0) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A ground truth and results in COCO layout."""
    rng = np.random.default_rng(seed)
    weights = rng.choice(_GROUPS, images, p=_SHARES_OF_PERSONS)
    owners = np.sort(rng.choice(images, persons, p=weights / weights.sum()))
    annotations, results = [], []
    for number, image_id in enumerate(owners.tolist()):
        size = float(rng.choice([40, 90, 250]))
        keypoints = rng.uniform(0, 400, 2) + rng.uniform(0, size, (COCO_17.num_keypoints, 2))
        annotations.append(_annotation(rng, number, image_id, keypoints, size))
        results += [_answer(rng, image_id, keypoints, size, copy) for copy in range(4)]
    listed = [
        {"id": image_id, "file_name": f"{image_id}.jpg", "width": 640, "height": 480} for image_id in range(images)
    ]
    return {"images": listed, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}, results


def _annotation(
    rng: np.random.Generator, number: int, image_id: int, keypoints: np.ndarray, size: float
) -> dict[str, Any]:
    visibility = rng.choice([0, 1, 2], COCO_17.num_keypoints, p=[0.3, 0.1, 0.6]) * (rng.random() > 0.1)
    low, extent = keypoints.min(axis=0), np.ptp(keypoints, axis=0)
    placed = np.where(visibility[:, None] > 0, keypoints, 0)
    return {
        "id": number, "image_id": image_id, "category_id": 1, "iscrowd": int(rng.random() < 0.02),
        "bbox": [*low.tolist(), *extent.tolist()], "area": 0.6 * size**2, "num_keypoints": int((visibility > 0).sum()),
        "keypoints": np.column_stack([placed, visibility]).reshape(-1).tolist(),
    }  # fmt: skip


def _answer(rng: np.random.Generator, image_id: int, keypoints: np.ndarray, size: float, copy: int) -> dict[str, Any]:
    """The first of a person is near it, the second less so; the others are anywhere."""
    found = keypoints if copy < 2 else rng.uniform(0, 400, 2) + rng.uniform(0, size, keypoints.shape)
    found = found + rng.normal(0, 0.03 * size * (1 + copy), found.shape)
    if rng.random() < 0.1:
        found = found[list(COCO_17.flip_indices)]
    triples = np.column_stack([found, rng.random(len(found))])
    return {
        "image_id": image_id, "category_id": 1, "keypoints": triples.reshape(-1).tolist(),
        "score": float(rng.random() / (1 + copy)),
    }  # fmt: skip


def run(images: int, persons: int, rounds: int) -> dict[str, object]:
    truth, results = make_up(images, persons)
    seconds: dict[str, list[float]] = {"fast": [], "pycocotools": []}
    for _ in range(rounds):
        seconds["fast"].append(_seconds(lambda: fast_coco(truth, results)))
        seconds["pycocotools"].append(_seconds(lambda: evaluate_coco(truth, results)))
    whole = _seconds(lambda: diagnose(truth, results, COCO_17))
    pairs = zip(seconds["pycocotools"], seconds["fast"], strict=True)
    return {
        "diagnosis_s": round(whole, 1),
        "scoring_ratio_to_pycocotools": round(statistics.median(a / b for a, b in pairs), 1),
        "scoring_s": {name: [round(value, 2) for value in values] for name, values in seconds.items()},
        "equal": fast_coco(truth, results) == evaluate_coco(truth, results),
        "data": {"images": images, "persons": persons, "results": len(results)},
        "command": f"python -m benchmarks.diagnosis --images {images} --persons {persons} --rounds {rounds}",
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count(),
                    "python": platform.python_version()},
        "versions": {name: version(name) for name in ("numpy", "scipy", "pycocotools")},
    }  # fmt: skip


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--persons", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "diagnosis.json")
    arguments = parser.parse_args()
    result = run(arguments.images, arguments.persons, arguments.rounds)
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

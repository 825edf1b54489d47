"""Which persons' boxes a top-down network is tested on."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from engine.config import ConfigError, Recipe
from evaluation.soft_nms import soft_nms
from pipelines.samples import TopDownSamples, annotated_samples, detected_samples
from sharding.dataset import ShardedDataset


def evaluation_samples(recipe: Recipe, dataset: ShardedDataset) -> TopDownSamples:
    """The recipe's detector boxes if it names a file, after Soft-NMS if it asks for that, else the annotated boxes.

    Raises:
        ConfigError: there is nobody to look at, or the file cannot be read, or the benchmark takes none.
    """
    path, benchmark = recipe.evaluate.detections, dataset.manifest.dataset
    if path is None:
        # MPII gives its test persons' places without keypoints, and every one of them wants an answer.
        samples = annotated_samples(dataset, labelled_only=benchmark != "mpii")
        if len(samples) == 0:
            raise ConfigError(f"data.val: {dataset.folder.uri} has nobody with labelled keypoints and a box")
        return samples
    if benchmark == "mpii":
        raise ConfigError(f"evaluate.detections={path}: MPII gives every person's place and takes no others")
    try:
        rows = json.loads(Path(path).read_bytes())
        samples = detected_samples(dataset, rows)
        if recipe.evaluate.soft_nms_sigma is not None and len(samples):
            samples = detected_samples(dataset, _softened(rows, dataset, recipe.evaluate.soft_nms_sigma))
    except (OSError, ValueError) as error:
        raise ConfigError(f"evaluate.detections={path}: {error}") from error
    if len(samples) == 0:
        raise ConfigError(f"evaluate.detections={path} holds no person's box for {dataset.folder.uri}")
    return samples


def _softened(rows: list[dict[str, Any]], dataset: ShardedDataset, sigma: float) -> list[dict[str, Any]]:
    """Detected persons with their scores after Soft-NMS, without those that it drops."""
    category_id = dataset.manifest.category.id
    persons = [row for row in rows if row.get("category_id", category_id) == category_id]
    boxes, scores = (np.array([row[field] for row in persons], dtype=np.float64) for field in ("bbox", "score"))
    image_ids = np.array([row["image_id"] for row in persons], dtype=np.int64)
    softened = soft_nms(boxes, scores, image_ids, sigma).tolist()
    return [row | {"score": score} for row, score in zip(persons, softened, strict=True) if score > 0]

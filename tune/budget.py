"""How much an ablation spends: "full" as published, "smoke" as little as proves that every row runs."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from engine.config import Recipe, override
from models.cost import model_cost
from models.crop_size import CropSizeError
from sharding.convert import ConversionSettings, convert
from sharding.dataset import ShardedDataset, open_dataset
from sharding.ground_truth import ground_truth
from sharding.raw import read_raw
from sharding.storage import Folder
from sharding.synthetic import write_dataset

Budget = Literal["full", "smoke"]

_PICTURES = 2
_SHARD_BYTES = 16 << 20
_CROWD = {"coco": (1, 2), "mpii": (1, 2), "crowdpose": (2, 4)}
_SPLITS = (("train", 0), ("val", 1))
_STRIDE = 32  # px; of most networks' smallest maps
_LEAST_CROP = 64  # px; shorter sides leave maps of one value, which batch norm cannot take
_LEAST_PICTURE = 128  # px; in smaller ones nobody can be seen

_LITTLE = (
    "data.weights=none",
    "data.threads=1",
    "model.weights=none",
    "train.epochs=1",
    "train.batch_size=2",
    "train.accumulate=1",
    "train.verdict_seconds=0",
)
_LITTLE_TOP_DOWN = ("evaluate.batch_size=4",)
# Networks that have hardly learnt anything: whatever they see counts.
_LITTLE_BOTTOM_UP = (
    "bottomup.grouping.threshold=0",
    "bottomup.grouping.center_threshold=0",
    "bottomup.grouping.max_persons=5",
    "bottomup.score_net.epochs=2",
)


@dataclass(frozen=True)
class SmokeData:
    """URIs of the splits, and a file of detected boxes for each detector."""

    train: str
    val: str
    detections: dict[str, str]


def smoke_recipe(recipe: Recipe, num_keypoints: int) -> Recipe:
    """One epoch of a few persons with the published network, on the smallest crops of the published shape that it
    takes, without ImageNet weights."""
    height, width = smallest_crop(recipe, num_keypoints)
    of_kind = _LITTLE_TOP_DOWN if recipe.bottomup is None else _LITTLE_BOTTOM_UP
    return override(recipe, (*_LITTLE, *of_kind, f"data.crop_size={height}x{width}"))


def smallest_crop(recipe: Recipe, num_keypoints: int) -> tuple[int, int]:
    """The smallest (height, width), px, of the same shape that the recipe's network takes."""
    height, width = recipe.data.crop_size
    least = _LEAST_PICTURE if recipe.bottomup is not None else _LEAST_CROP
    for part in range(min(height, width) // least, 1, -1):
        if height % part == 0 and width % part == 0 and _takes(recipe, num_keypoints, (height // part, width // part)):
            return height // part, width // part
    return height, width


def _takes(recipe: Recipe, num_keypoints: int, size: tuple[int, int]) -> bool:
    if any(side % _STRIDE for side in size):
        return False
    try:
        model_cost(recipe.model.name, num_keypoints, size, **recipe.model.options)
    except CropSizeError:
        return False
    return True


def make_smoke_data(benchmark: str, folder: Folder, detectors: tuple[str, ...]) -> SmokeData:
    """Render and convert synthetic people in the benchmark's layout, unless the folder has them already."""
    splits = {name: folder.subfolder(f"{benchmark}-{name}") for name, _ in _SPLITS}
    for name, seed in _SPLITS:
        if not splits[name].exists("manifest.json"):
            _make_split(benchmark, splits[name], seed)
    uris = {name: split.uri for name, split in splits.items()}
    return SmokeData(uris["train"], uris["val"], _made_up_detections(uris["val"], folder, detectors))


def _make_split(benchmark: str, out: Folder, seed: int) -> None:
    with tempfile.TemporaryDirectory() as raw:
        files = write_dataset(benchmark, Path(raw), _PICTURES, seed, workers=1, crowd=_CROWD[benchmark])
        settings = ConversionSettings(files.images, out.name, shard_bytes=_SHARD_BYTES)
        convert(read_raw(benchmark, files.annotations, out.name), out, settings)


def _made_up_detections(val: str, folder: Folder, detectors: tuple[str, ...]) -> dict[str, str]:
    """Annotated boxes, a little off; detectors are read from this machine's disk."""
    if not detectors or folder.local is None:
        return {}
    dataset, files = open_dataset(val), {}
    for number, name in enumerate(detectors):
        path = folder.local / f"detections-{name}.json"
        path.write_text(json.dumps(_detected(dataset, seed=number)))
        files[name] = str(path)
    return files


def _detected(dataset: ShardedDataset, seed: int) -> list[dict[str, object]]:
    draw = np.random.default_rng(seed)
    return [
        {
            "image_id": row["image_id"],
            "category_id": 1,
            "bbox": (np.array(row["bbox"]) + draw.uniform(-3, 3, 4)).tolist(),
            "score": float(draw.uniform(0.5, 1)),
        }
        for row in ground_truth(dataset)["annotations"]
    ]

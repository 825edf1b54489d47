"""What the pages' scratch folders hold at the start: synthetic people under the names that the guides use."""

import shutil
from pathlib import Path

from rich.console import Console

from engine.config import override
from engine.train import train
from recipes import load_recipe
from sharding.convert import ConversionSettings, convert
from sharding.raw import read_raw
from sharding.storage import open_folder
from sharding.synthetic import write_dataset

SETTINGS = (
    "data.crop_size=64,48", "model.options.width=8", "model.options.deconv_channels=[8,8]", "train.epochs=2",
    "train.batch_size=8", "train.validate_every=1", "train.verdict_seconds=0.2", "data.threads=1",
)  # fmt: skip
_SPLITS = {"train2017": ("coco", 10, 0), "val2017": ("coco", 6, 1), "mpii_valid": ("mpii", 6, 2)}


def make_world(root: Path) -> None:
    """Three folders to copy from: raw/, shards/, run/."""
    for name, (layout, images, seed) in _SPLITS.items():
        files = write_dataset(layout, root / "rendered" / name, images, seed=seed, workers=1)
        _raw_as_published(layout, name, files.images, files.annotations, root / "raw")
        split = root / "shards" / "shards" / name
        convert(read_raw(layout, files.annotations, name), open_folder(split), ConversionSettings(files.images, name))
    _train(root)


def _raw_as_published(layout: str, name: str, images: Path, annotations: Path, raw: Path) -> None:
    """The file names of the benchmarks' own archives."""
    if layout == "coco":
        shutil.copytree(images, raw / name)
        target = raw / "annotations" / f"person_keypoints_{name}.json"
    else:
        shutil.copytree(images, raw / "images")
        target = raw / "annot" / "valid.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(annotations, target)


def _train(root: Path) -> None:
    """A short training of the demo's recipe, as run/runs/people/."""
    shards = root / "shards" / "shards"
    paths = [f"data.train={shards / 'train2017'}", f"data.val={shards / 'val2017'}", f"run_dir={root}/run/runs/people"]
    train(override(load_recipe("demo_synthetic"), [*paths, *SETTINGS]), Console(quiet=True))


def fill(folder: Path, world: Path, parts: list[str]) -> None:
    """Copy parts of the world ("raw", "shards", "run") into a page's scratch folder."""
    for part in parts:
        shutil.copytree(world / part, folder, dirs_exist_ok=True)

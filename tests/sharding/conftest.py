"""Small raw data sets written by hand: what the tests of readers and conversion share."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sharding.convert import ConversionSettings, convert
from sharding.manifest import Manifest
from sharding.raw import read_raw
from sharding.storage import open_folder

Row = dict[str, Any]


@pytest.fixture(autouse=True)
def _no_waiting_for_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """fsync is for power cuts, which no test has; on a busy disk it is most of the time."""
    monkeypatch.setattr("sharding.storage.os.fsync", lambda descriptor: None)


@pytest.fixture(scope="session")
def jpeg() -> Callable[..., bytes]:
    """A function from (height, width), a seed and Pillow's options to the bytes of a noisy picture."""

    def encode(size: tuple[int, int] = (40, 60), seed: int = 0, mode: str = "RGB", **options: Any) -> bytes:
        pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
        stream = io.BytesIO()
        Image.fromarray(pixels).convert(mode).save(stream, **({"format": "JPEG"} | options))
        return stream.getvalue()

    return encode


@pytest.fixture(scope="session")
def person() -> Callable[..., Row]:
    """A function from changes to a sound COCO annotation; a value of ... removes the key."""

    def annotate(**changes: Any) -> Row:
        row: Row = {
            "id": 1,
            "image_id": 1,
            "category_id": 1,
            "bbox": [5, 6, 20, 30],
            "area": 431.5,
            "iscrowd": 0,
            "keypoints": [10, 12, 2] + [0, 0, 0] * 15 + [20, 30, 1],
            "num_keypoints": 2,
        }
        return {key: value for key, value in (row | changes).items() if value is not ...}

    return annotate


@pytest.fixture
def write_coco(tmp_path: Path) -> Callable[..., Path]:
    """A function from images and annotations to the JSON file that holds them."""

    def write(images: list[Any], annotations: list[Any], **others: Any) -> Path:
        path = tmp_path / "annotations.json"
        category = {"id": 1, "name": "person"}
        path.write_text(
            json.dumps({"images": images, "annotations": annotations, "categories": [category]} | others),
            encoding="utf-8",
        )
        return path

    return write


@pytest.fixture(scope="session")
def write_twenty_four(jpeg: Callable[..., bytes], person: Callable[..., Row]) -> Callable[[Path], tuple[Path, Path]]:
    """A function from a folder to (annotations, images) of 24 pictures with 0 to 3 persons; number 9 is missing."""

    def write(folder: Path) -> tuple[Path, Path]:
        images = folder / "raw"
        images.mkdir()
        rows, persons = [], []
        for number in range(1, 25):
            height, width = 24 + 3 * (number % 7), 30 + 5 * (number % 5)
            rows.append({"id": number, "file_name": f"{number}.jpg", "height": height, "width": width})
            persons += [person(id=10 * number + k, image_id=number) for k in range(number % 4)]
            if number != 9:
                (images / f"{number}.jpg").write_bytes(jpeg((height, width), number, quality=95))
        annotations = folder / "twenty_four.json"
        annotations.write_text(json.dumps({"images": rows, "annotations": persons}))
        return annotations, images

    return write


@pytest.fixture
def twenty_four(tmp_path: Path, write_twenty_four: Callable[[Path], tuple[Path, Path]]) -> tuple[Path, Path]:
    return write_twenty_four(tmp_path)


@pytest.fixture(scope="session")
def to_shards() -> Callable[..., Manifest]:
    """A function that converts (annotations, images) to a folder."""

    def run(
        source: tuple[Path, Path], out: Path, dataset: str = "coco", split: str = "mini", **options: Any
    ) -> Manifest:
        annotations, images = source
        settings = ConversionSettings(images, split, **({"shard_bytes": 20_480} | options))
        return convert(read_raw(dataset, annotations, split), open_folder(out), settings)

    return run


@pytest.fixture(scope="session")
def contents() -> Callable[[Path], dict[str, bytes]]:
    """A function from a folder to the bytes of every file in it, hidden ones and subfolders included."""

    def read(folder: Path) -> dict[str, bytes]:
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    return read

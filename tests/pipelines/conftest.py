"""Splits of pictures that a test paints itself, and the backends that the machine has."""

import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from pipelines.samples import annotated_samples
from pipelines.topdown import TopDownLoader, TopDownSettings
from sharding.coco import read_coco
from sharding.convert import ConversionSettings, convert
from sharding.dataset import ShardedDataset, open_dataset
from sharding.storage import open_folder

DEVICES = ["cpu", *([pytest.param("cuda", marks=pytest.mark.gpu)] if torch.cuda.is_available() else [])]


@dataclass
class Painted:
    """One picture of a split: encoded bytes, and its persons as (box_xywh, keypoints (17, 3))."""

    data: bytes
    size: tuple[int, int]
    persons: list[tuple[list[float], np.ndarray]] = field(default_factory=list)
    extension: str = "png"


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> torch.device:
    """Every backend of this machine."""
    return torch.device(request.param)


@pytest.fixture(scope="session")
def encode() -> Callable[..., bytes]:
    """encode(array or PIL image, format, **options) → bytes."""

    def encoded(picture: Any, format: str, **options: Any) -> bytes:
        data = io.BytesIO()
        image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
        image.save(data, format=format, **options)
        return data.getvalue()

    return encoded


@pytest.fixture(scope="session")
def painted() -> type[Painted]:
    return Painted


@pytest.fixture(scope="session")
def write_split(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., ShardedDataset]:
    """write_split([Painted, …], **ConversionSettings) → the split; image i has id 100 + i, persons count from 1."""

    def write(pictures: list[Painted], **options: Any) -> ShardedDataset:
        folder = tmp_path_factory.mktemp("painted")
        images, annotations = [], []
        for number, picture in enumerate(pictures):
            name = f"{number:04d}.{picture.extension}"
            (folder / name).write_bytes(picture.data)
            height, width = picture.size
            images.append({"id": 100 + number, "file_name": name, "width": width, "height": height})
            for box, keypoints in picture.persons:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": 100 + number,
                        "category_id": 1,
                        "bbox": list(box),
                        "area": box[2] * box[3],
                        "keypoints": np.asarray(keypoints, dtype=float).reshape(-1).tolist(),
                    }
                )
        content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
        (folder / "annotations.json").write_text(json.dumps(content))
        out = open_folder(folder / "split")
        convert(read_coco(folder / "annotations.json"), out, ConversionSettings(folder, "split", **options))
        assert not (Path(out.path) / "rejects.jsonl").read_text()
        return open_dataset(folder / "split")

    return write


@pytest.fixture
def make_loader(mini_coco: ShardedDataset) -> Iterator[Callable[..., TopDownLoader]]:
    """make_loader(samples=…, **TopDownSettings): over the annotated mini split by default; closed after the test."""
    made: list[TopDownLoader] = []

    def make(samples: Any = None, **options: Any) -> TopDownLoader:
        options = {"crop_size": (32, 24), "batch_size": 8} | options
        loader = TopDownLoader(annotated_samples(mini_coco) if samples is None else samples, TopDownSettings(**options))
        made.append(loader)
        return loader

    yield make
    for loader in made:
        loader.close()


@pytest.fixture
def make_annotated_loader(make_loader: Callable[..., TopDownLoader]) -> Callable[..., TopDownLoader]:
    """make_annotated_loader(split, **TopDownSettings)."""
    return lambda split, **options: make_loader(annotated_samples(split), **options)

"""Synthetic people in pictures of the size and weight of COCO's."""

import json
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from sharding.convert import ConversionSettings, convert
from sharding.dataset import ShardedDataset, open_dataset
from sharding.raw import read_raw
from sharding.storage import open_folder
from sharding.synthetic import SyntheticFiles, write_dataset

_LONG_SIDE, _JPEG_QUALITY = 640, 92


def render_like_coco(folder: Path, images: int) -> SyntheticFiles:
    """A raw COCO split of pictures with a long side of 640 px and some 80 KB each, 2.6 to 2.7 persons to a picture."""
    files = write_dataset("coco", folder, images, seed=3)
    content = json.loads(files.annotations.read_bytes())
    scales = {image["id"]: _enlarge(files.images / image["file_name"], image) for image in content["images"]}
    # More persons are rendered to a picture than COCO's train2017 has.
    content["annotations"] = [row for number, row in enumerate(content["annotations"]) if number % 10]
    for row in content["annotations"]:
        scale = scales[row["image_id"]]
        row["bbox"] = [value * scale for value in row["bbox"]]
        row["keypoints"] = [value * scale if k % 3 < 2 else value for k, value in enumerate(row["keypoints"])]
        del row["segmentation"]
    files.annotations.write_text(json.dumps(content))
    return files


def split_like_coco(folder: Path, images: int) -> tuple[ShardedDataset, Path]:
    """The same as shards, and the folder of the raw pictures."""
    files = render_like_coco(folder / "raw", images)
    settings = ConversionSettings(files.images, "bench", workers=os.cpu_count() or 1)
    convert(read_raw("coco", files.annotations, "bench"), open_folder(folder / "shards"), settings)
    return open_dataset(folder / "shards"), files.images


def _enlarge(path: Path, image: dict[str, Any]) -> float:
    """Write the picture larger and with film grain, change its annotated size, return the factor."""
    picture = cv2.imread(str(path))
    assert picture is not None
    scale = _LONG_SIDE / max(picture.shape[:2])
    picture = np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC))
    grain = np.random.default_rng(image["id"]).normal(0, 4, picture.shape)
    picture = np.clip(picture + grain, 0, 255).astype(np.uint8)
    cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    image["height"], image["width"] = picture.shape[:2]
    return scale

"""Renders a data set to disk in one of the raw layouts, on as many processes as asked for."""

import multiprocessing
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import cv2

from sharding.synthetic import coco_layout, crowdpose_layout, mpii_layout
from sharding.synthetic.files import write_whole
from sharding.synthetic.scene import render_scene
from sharding.synthetic.truth import Scene

Row = dict[str, Any]


@dataclass(frozen=True)
class Layout:
    """image_name(index); annotate(scene, index), None = not part of the data set;
    write_annotations(annotated images in order, folder, seed) -> the file written."""

    image_name: Callable[[int], str]
    annotate: Callable[[Scene, int], Row | None]
    write_annotations: Callable[[list[Row], Path, int], Path]


LAYOUTS = {
    "coco": Layout(coco_layout.image_name, coco_layout.annotate, coco_layout.write_annotations),
    "mpii": Layout(mpii_layout.image_name, mpii_layout.annotate, mpii_layout.write_annotations),
    "crowdpose": Layout(crowdpose_layout.image_name, crowdpose_layout.annotate, crowdpose_layout.write_annotations),
}


@dataclass(frozen=True)
class SyntheticFiles:
    """images: the folder; annotations: the file that a reader of this layout opens."""

    images: Path
    annotations: Path


def write_dataset(
    layout: str,
    out: Path,
    num_images: int,
    seed: int,
    workers: int | None = None,
    on_image: Callable[[int], None] | None = None,
    crowd: tuple[int, int] | None = None,
) -> SyntheticFiles:
    """Write out/images and out/annotations. The bytes depend on layout, num_images, seed and crowd only.

    Args:
        layout: coco, mpii or crowdpose.
        workers: processes; 1 renders in this one, None takes one per core.
        on_image: called with the index of every image, in order, once it is rendered.
        crowd: the least and the most persons, who huddle in every picture; by default there is nobody, one or several.
    Raises:
        ValueError: unknown layout, a number of images or workers below 1, or a crowd of none or of most below least.
    """
    workers = (os.cpu_count() or 1) if workers is None else workers
    if layout not in LAYOUTS:
        raise ValueError(f"unknown layout {layout!r}; known: {', '.join(LAYOUTS)}")
    if num_images < 1 or workers < 1:
        raise ValueError(f"num_images and workers must be at least 1, got {num_images} and {workers}")
    if crowd is not None and not 1 <= crowd[0] <= crowd[1]:
        raise ValueError(f"crowd must be (least, most) with 1 <= least <= most, got {crowd}")
    images, annotations = out / "images", out / "annotations"
    images.mkdir(parents=True, exist_ok=True)
    annotations.mkdir(parents=True, exist_ok=True)
    kept: list[Row] = []
    for index, row in enumerate(_rendered(partial(_write_image, layout, images, seed, crowd), num_images, workers)):
        kept += [] if row is None else [row]
        if on_image is not None:
            on_image(index)
    return SyntheticFiles(images, LAYOUTS[layout].write_annotations(kept, annotations, seed))


def _rendered(task: Callable[[int], Row | None], num_images: int, workers: int) -> Iterator[Row | None]:
    workers = min(workers, num_images)
    if workers == 1:
        yield from map(task, range(num_images))
        return
    # Not fork: the caller may hold threads (a progress bar, a GPU) that a forked child would inherit half of.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread_each) as pool:
        yield from pool.map(task, range(num_images), chunksize=4)


def _one_thread_each() -> None:
    cv2.setNumThreads(1)


def _write_image(layout: str, folder: Path, seed: int, crowd: tuple[int, int] | None, index: int) -> Row | None:
    scene = render_scene(seed, index, crowd)
    row = LAYOUTS[layout].annotate(scene, index)
    if row is not None:
        path = folder / LAYOUTS[layout].image_name(index)
        quality = [cv2.IMWRITE_JPEG_QUALITY, scene.jpeg_quality]
        encoded, jpeg = cv2.imencode(".jpg", cv2.cvtColor(scene.image, cv2.COLOR_RGB2BGR), quality)
        if not encoded:
            raise RuntimeError(f"OpenCV could not encode {path.name} ({scene.image.shape} px) as JPEG")
        write_whole(path, lambda temporary: _write_bytes(temporary, jpeg.tobytes()))
    return row


def _write_bytes(path: Path, content: bytes) -> None:
    path.write_bytes(content)

"""The pictures of a report: where the network did worst and where it did as usual, with its heatmaps."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from engine.evaluate import Evaluated
from engine.heatmap_panels import LocatedHeatmaps, heatmap_layer, heatmaps_on_picture, located_heatmaps
from engine.judged_pictures import JudgedPicture
from evaluation.cases import Case, choose_cases, write_cases
from pipelines.reader import PictureReader
from pose.drawing import Picture, decode_picture, encode_picture
from sharding.dataset import ShardedDataset

_LONGEST_PX = 960


def write_evaluation_cases(
    evaluated: Evaluated, truth: dict[str, Any], judged: Mapping[int, JudgedPicture], folder: Path
) -> None:
    """Write the chosen pictures, their heatmaps and cases.json. Pictures that cannot be read are not among them."""
    images = {image["id"]: image for image in truth["images"]}
    chosen = choose_cases(judged)
    heatmaps = _heatmaps(evaluated, list(chosen))
    folder.mkdir(parents=True, exist_ok=True)
    cases: list[Case] = []
    for image_id, rank in chosen.items():
        picture = _picture(evaluated.dataset, image_id)
        if picture is None:
            continue
        name, own = f"{len(cases):04d}", judged[image_id]
        height, width = picture.shape[:2]
        scale = min(1.0, _LONGEST_PX / max(height, width))
        (folder / f"{name}.jpg").write_bytes(encode_picture(_resized(picture, scale), ".jpg"))
        located = heatmaps.get(image_id)
        if located:
            layer = heatmap_layer(heatmaps_on_picture(located, (height, width), scale))
            (folder / f"{name}.heatmap.png").write_bytes(encode_picture(layer, ".png"))
        cases.append(
            Case(
                image_id, images[image_id]["file_name"], width, height, f"{name}.jpg",
                f"{name}.heatmap.png" if located else None, rank, tuple(own.persons), own.counts, own.value,
            )
        )  # fmt: skip
    write_cases(folder, cases, evaluated.dataset.skeleton)


def _heatmaps(evaluated: Evaluated, image_ids: Sequence[int]) -> dict[int, list[LocatedHeatmaps]]:
    """The heatmaps in these pictures, by picture."""
    asked, samples = evaluated.estimator, evaluated.samples
    rows = evaluated.dataset.image_rows(np.array(image_ids, dtype=np.int64))
    some = samples.select(np.flatnonzero(np.isin(samples.image_rows, rows)))
    found: dict[int, list[LocatedHeatmaps]] = defaultdict(list)
    if not len(some):
        return found
    was_training = asked.model.training
    asked.model.eval()
    loader = asked.task.evaluation_loader(some, asked.device)
    try:
        for batch in loader:
            for one in located_heatmaps(asked.task, asked.model, asked.network.outputs, batch):
                found[one.image_id].append(one)
    finally:
        loader.close()
        asked.model.train(was_training)
    return found


def _picture(dataset: ShardedDataset, image_id: int) -> Picture | None:
    """(H, W, 3), None if it is damaged, which the evaluation said."""
    (row,) = dataset.image_rows(np.array([image_id]))
    try:
        return decode_picture(PictureReader(dataset).encoded(np.array([row]))[0])
    except ValueError:
        return None


def _resized(picture: Picture, scale: float) -> Picture:
    if scale == 1:
        return picture
    height, width = (max(1, round(scale * side)) for side in picture.shape[:2])
    return np.asarray(cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)

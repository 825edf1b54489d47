"""Boxes of persons → the regions that a top-down network looks at."""

from typing import Any

import numpy as np

from engine.config import ConfigError, Recipe
from evaluation.soft_nms import soft_nms
from pipelines.loose_pictures import Regions
from pipelines.samples import NO_INSTANCE, TopDownSamples
from pose.crop import Floats, box_to_center_extent


def regions_of(recipe: Recipe, boxes_xywh: Floats, scores: Floats, detected: bool = False) -> Regions:
    """The regions around boxes (N, 4), image px, with scores (N,).

    Args:
        detected: by a detector, so that Soft-NMS lowers scores where the recipe asks for that.
    """
    sigma = recipe.evaluate.soft_nms_sigma
    if detected and sigma is not None and len(boxes_xywh):
        scores = soft_nms(boxes_xywh, scores, np.zeros(len(scores), np.int64), sigma)
        boxes_xywh, scores = boxes_xywh[scores > 0], scores[scores > 0]
    center, extent = box_to_center_extent(boxes_xywh, recipe.data.crop_size, recipe.data.box_padding)
    return Regions(center, extent, scores, np.full(len(scores), NO_INSTANCE))


def annotated_regions(recipe: Recipe, samples: TopDownSamples, image_row: int) -> Regions:
    """Those of a split's persons that lie in one of its pictures; the samples' image rows ascend."""
    first, stop = (int(np.searchsorted(samples.image_rows, image_row, side=side)) for side in ("left", "right"))
    persons = samples.take(np.arange(first, stop), recipe.data.crop_size, recipe.data.box_padding)
    return Regions(persons.center, persons.extent, persons.box_scores, persons.instance_ids)


def checked_boxes(boxes: Any, what: str) -> Floats:
    """Boxes (N, 4) with areas, as floats. Raises ConfigError that begins with `what`."""
    try:
        checked = np.asarray(boxes, dtype=np.float64).reshape(len(boxes), 4)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{what}: expected (N, 4), left, top, width, height: {error}") from error
    if not (np.isfinite(checked).all() and (checked[:, 2:] > 0).all()):
        raise ConfigError(f"{what}: boxes must be finite, with a width and a height, got {checked.tolist()[:3]}")
    return checked

"""Crops of pictures that belong to no split: a stream of pictures and their regions → batches for the graph."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from pipelines.dali_graph import GraphInput
from pipelines.loose_batch import LooseBatch
from pipelines.loose_pictures import LoosePicture, Regions, chained
from pipelines.placeholder import PLACEHOLDER
from pipelines.share import Share
from pipelines.stream import Prepared
from pipelines.topdown_batch import TopDownBatch, TopDownSettings
from pose.crop import crop_matrices, invert_affine

_NO_REGIONS = Regions(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0), np.zeros(0, np.int64))
# A picture without pixels, so that a graph that has to make something has something to make.
_NOTHING = LoosePicture(-1, PLACEHOLDER, (1, 1))


@dataclass(frozen=True, eq=False)
class _Part:
    """Some regions of the picture of that number."""

    number: int
    picture: LoosePicture
    regions: Regions


def crop_batches(
    pictures: Iterable[LoosePicture | None],
    settings: TopDownSettings,
    num_keypoints: int,
    most_pictures: int,
    most_bytes: int,
) -> Iterator[Prepared[LooseBatch[TopDownBatch]]]:
    """Batches of `settings.batch_size` crops, in the order of pictures; one with fewer is filled up.

    Args:
        pictures: numbered in this order; None for one that is not looked at.
        most_pictures, most_bytes: a batch does not wait for more pictures than these, and not for more encoded bytes.
    """
    parts: list[_Part] = []
    complete, ended, held = 0, -1, 0
    for ended, picture in enumerate(pictures):
        held += 0 if picture is None else len(picture.encoded)  # who asked keeps pictures of nobody as well
        if picture is not None and picture.regions is not None and len(picture.regions):
            parts.append(_Part(ended, picture, picture.regions))
        while sum(len(part.regions) for part in parts) >= settings.batch_size:
            full, parts = _split(parts, settings.batch_size)
            complete = parts[0].number if parts else ended + 1
            held = sum(len(part.picture.encoded) for part in parts)
            yield _prepared(full, complete, settings, num_keypoints)
        if held >= most_bytes or ended + 1 - complete >= most_pictures:
            complete, held = ended + 1, 0
            yield _prepared(parts, complete, settings, num_keypoints)
            parts = []
    if complete < ended + 1:
        yield _prepared(parts, ended + 1, settings, num_keypoints)


def _split(parts: list[_Part], count: int) -> tuple[list[_Part], list[_Part]]:
    """The first `count` regions, and the rest."""
    taken: list[_Part] = []
    for place, part in enumerate(parts):
        if len(part.regions) > count:
            taken.append(_Part(part.number, part.picture, part.regions.part(0, count)))
            return taken, [_Part(part.number, part.picture, part.regions.part(count)), *parts[place + 1 :]]
        taken.append(part)
        count -= len(part.regions)
        if not count:
            return taken, parts[place + 1 :]
    return taken, []


def _prepared(
    parts: list[_Part], complete: int, settings: TopDownSettings, num_keypoints: int
) -> Prepared[LooseBatch[TopDownBatch]]:
    """A batch of these regions; the last is repeated, or a black pixel shown, where there are too few."""
    regions = _joined([part.regions for part in parts])
    valid = np.arange(settings.batch_size) < len(regions)
    pictures, numbers = [part.picture for part in parts], np.array([part.number for part in parts])
    picture_of_region = np.repeat(np.arange(len(parts)), [len(part.regions) for part in parts])
    if not parts:
        regions, pictures = _one_pixel(settings.crop_size), [_NOTHING]
        numbers, picture_of_region = np.array([-1]), np.array([0])
    rows = np.minimum(np.arange(settings.batch_size), len(regions) - 1)
    picture_of_row = picture_of_region[rows]
    image_to_crop = crop_matrices(regions.center, regions.extent, settings.crop_size, settings.convention)[rows]
    stored = np.stack([picture.upright_to_stored for picture in pictures])[picture_of_row]
    sizes = np.array([picture.stored_size for picture in pictures])
    encoded = [picture.encoded for picture in pictures]
    share = Share(rows, np.zeros_like(rows), valid, numbers, encoded, sizes, picture_of_row)
    graph_input = GraphInput(encoded, picture_of_row, chained(stored, invert_affine(image_to_crop)), sizes)
    image_ids = np.array([picture.image_id for picture in pictures])[picture_of_row]
    batch = TopDownBatch(
        crops=torch.empty(0),
        keypoints=torch.zeros(len(rows), num_keypoints, 2),
        visibility=torch.zeros(len(rows), num_keypoints, dtype=torch.uint8),
        image_to_crop=torch.from_numpy(image_to_crop),
        instance_ids=torch.from_numpy(regions.instance_ids[rows]),
        image_ids=torch.from_numpy(image_ids),
        box_scores=torch.from_numpy(regions.scores[rows]),
        box_areas=torch.from_numpy(regions.extent.prod(axis=1)[rows]),
        valid=torch.from_numpy(valid),
    )
    return Prepared(share, graph_input, LooseBatch(batch, np.where(valid, numbers[picture_of_row], -1), complete))


def _joined(parts: list[Regions]) -> Regions:
    parts = [_NO_REGIONS, *parts]
    return Regions(
        *(
            np.concatenate([getattr(part, name) for part in parts])
            for name in ("center", "extent", "scores", "instance_ids")
        )
    )


def _one_pixel(crop_size: tuple[int, int]) -> Regions:
    return Regions(np.zeros((1, 2)), np.array([crop_size], np.float64), np.zeros(1), np.full(1, -1))

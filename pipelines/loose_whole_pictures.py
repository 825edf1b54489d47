"""Whole pictures that belong to no split: a stream of pictures → batches for the graph."""

from collections.abc import Iterable, Iterator

import numpy as np

from pipelines.loose_batch import LooseBatch
from pipelines.loose_pictures import LoosePicture, chained
from pipelines.placeholder import PLACEHOLDER
from pipelines.share import Share
from pipelines.stream import Prepared
from pipelines.whole_picture_batch import WholePictureBatch, WholePictureSettings
from pipelines.whole_picture_geometry import WholePictureInput, place_pictures
from pose.crop import invert_affine

_NOTHING = LoosePicture(-1, PLACEHOLDER, (1, 1))


def whole_picture_batches(
    pictures: Iterable[LoosePicture | None], settings: WholePictureSettings, most_pictures: int
) -> Iterator[Prepared[LooseBatch[WholePictureBatch]]]:
    """Batches of a few pictures, in their order.

    Args:
        pictures: numbered in this order; None for one that is not looked at.
        most_pictures: a batch does not wait for more of them, looked at or not.
    """
    batch_size = settings.loading().batch_size
    waiting: dict[int, LoosePicture] = {}
    complete, ended = 0, -1
    for ended, picture in enumerate(pictures):
        if picture is not None:
            waiting[ended] = picture
        if len(waiting) == batch_size or ended + 1 - complete >= most_pictures:
            complete = ended + 1
            yield _prepared(waiting, complete, settings)
            waiting = {}
    if complete < ended + 1:
        yield _prepared(waiting, ended + 1, settings)


def _prepared(
    waiting: dict[int, LoosePicture], complete: int, settings: WholePictureSettings
) -> Prepared[LooseBatch[WholePictureBatch]]:
    pictures, numbers = list(waiting.values()) or [_NOTHING], np.array(list(waiting) or [-1])
    valid, rows = numbers >= 0, np.arange(len(numbers))
    image_to_input, input_sizes = place_pictures(
        np.array([picture.size for picture in pictures]),
        settings.short_side,
        settings.multiple,
        settings.fit,
        settings.long_side_limit,
    )
    encoded = [picture.encoded for picture in pictures]
    stored = np.stack([picture.upright_to_stored for picture in pictures])
    share = Share(
        rows,
        np.zeros_like(rows),
        valid,
        numbers,
        encoded,
        np.array([picture.stored_size for picture in pictures]),
        rows,
    )
    graph_input = WholePictureInput(
        encoded, rows, chained(stored, invert_affine(image_to_input)), input_sizes=input_sizes
    )
    image_ids = np.array([picture.image_id for picture in pictures])
    batch = WholePictureBatch(numbers, image_ids, image_to_input, valid, rows)
    return Prepared(share, graph_input, LooseBatch(batch, numbers, complete))

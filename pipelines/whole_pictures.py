"""The loader of bottom-up evaluation: whole pictures in a given order, each one decoded once for all its scales."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from pipelines.bad_samples import BadSamples
from pipelines.dali_graph import CropGraph, GraphInput, WholePictureGraph
from pipelines.epoch_samples import Part
from pipelines.loader import BatchLoader
from pipelines.pictures import PictureIndex
from pipelines.share import Share
from pipelines.whole_picture_batch import WholePicture, WholePictureBatch, WholePictureSettings
from pipelines.whole_picture_geometry import WholePictureInput, place_pictures
from pose.crop import invert_affine
from sharding.dataset import ShardedDataset

__all__ = ["WholePicture", "WholePictureLoader", "WholePictureSettings"]


class WholePictureLoader:
    """Iterates over the pictures in order, every time from the first on.

    `bad_samples` says which pictures were left out, if the settings allow that.

    Raises:
        BrokenShardError: while iterating, for a picture that cannot be used; it names shard and key.
        StorageError: while iterating, if object storage cannot be read.
    """

    def __init__(
        self, dataset: ShardedDataset, image_rows: Sequence[int] | NDArray[np.int64], settings: WholePictureSettings
    ) -> None:
        self.image_rows = np.asarray(image_rows, dtype=np.int64)
        outside = self.image_rows[(self.image_rows < 0) | (self.image_rows >= dataset.num_images)]
        if len(outside):
            raise ValueError(f"{dataset.folder.uri} has {dataset.num_images} pictures, no image row {int(outside[0])}")
        self.settings = settings
        self._batches: BatchLoader[WholePictureBatch] | None = None
        if len(self.image_rows):  # a plan of nothing is an error
            self._batches = BatchLoader(_Maker(dataset, self.image_rows, settings), settings.loading())

    @property
    def bad_samples(self) -> BadSamples:
        """Pictures that were left out."""
        return self._batches.bad_samples if self._batches else BadSamples("skip", 0, 1)

    def __len__(self) -> int:
        """Pictures, with those that are left out."""
        return len(self.image_rows)

    def __iter__(self) -> Iterator[WholePicture]:
        batches = self._batches
        if batches is None:
            return
        try:
            for step in range(len(batches)):
                batches.load_state_dict({"step": step})  # another iteration may have led elsewhere
                yield from next(iter(batches)).pictures()
        finally:
            self.close()

    def close(self) -> None:
        """Stop reading ahead."""
        if self._batches:
            self._batches.close()


class _Maker:
    """Makes batches of whole pictures, each by its share alone."""

    def __init__(self, dataset: ShardedDataset, image_rows: NDArray[np.int64], settings: WholePictureSettings) -> None:
        self.index = PictureIndex([dataset])
        self.image_rows = image_rows
        self.parts: Sequence[Part] = (Part(len(image_rows)),)
        self._settings = settings

    def build_graph(self, source: Callable[[], GraphInput], prefetch: int) -> CropGraph:
        settings = self._settings
        batch_size = settings.loading().batch_size
        return WholePictureGraph(source, batch_size, settings.scales, settings.device, settings.threads, prefetch)

    def make(self, share: Share) -> tuple[GraphInput, WholePictureBatch]:
        """The graph's inputs, and the batch without the network's."""
        settings, rows = self._settings, share.image_rows
        image_to_input, input_sizes = place_pictures(
            self.index.picture_sizes(rows),
            settings.short_side,
            settings.multiple,
            settings.fit,
            settings.long_side_limit,
        )
        picture = share.picture_of_sample
        graph_input = WholePictureInput(
            share.pictures, np.arange(len(rows)), invert_affine(image_to_input), input_sizes=input_sizes
        )
        batch = WholePictureBatch(
            rows[picture], self.index.image_ids(rows[picture]), image_to_input[picture], share.valid, picture
        )
        return graph_input, batch

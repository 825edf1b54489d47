"""A step of the plan → what goes into the graph: read, check, crop geometry. Each step by itself."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from pipelines.bad_samples import BadSamples
from pipelines.block_fetch import BlockFetcher
from pipelines.dali_graph import CropGraph, GraphInput
from pipelines.epoch_order import Ints
from pipelines.epoch_samples import Part
from pipelines.fetch_schedule import fetch_groups
from pipelines.pictures import BrokenPicture, PictureIndex
from pipelines.placeholder import PLACEHOLDER
from pipelines.plan import Plan
from pipelines.reader import PictureReader, PictureSource
from pipelines.remote_pictures import RemotePictures
from pipelines.settings import LoaderSettings
from pipelines.share import Share
from pipelines.stream import Prepared
from sharding.block_cache import BlockCache


class AnyBatch(Protocol):
    """What a loader needs to know of its batches."""

    def without(self, rows: NDArray[np.bool_]) -> Self:
        """The batch with more rows (B,) that count for nothing."""

    def complete(self, outputs: Any) -> Self:
        """The batch with what the graph made."""


Batch = TypeVar("Batch", bound=AnyBatch)
MadeBatch = TypeVar("MadeBatch", bound=AnyBatch, covariant=True)


class BatchMaker(Protocol[MadeBatch]):
    """What is special about top-down or bottom-up batches. Nothing is remembered from one batch to the next.

    Attributes:
        index: the pictures. image_rows: (N,) the picture of each sample. parts: the splits that they come from.
    """

    index: PictureIndex
    image_rows: NDArray[np.int64]
    parts: Sequence[Part]

    def make(self, share: Share) -> tuple[GraphInput, MadeBatch]: ...

    def build_graph(self, source: Callable[[], GraphInput], prefetch: int) -> CropGraph: ...


class Preparation(Generic[Batch]):
    """Prepares the steps of one rank. Knows neither the loader nor its stream, which end when they are dropped."""

    def __init__(self, maker: BatchMaker[Batch], settings: LoaderSettings, plan: Plan, bad_samples: BadSamples) -> None:
        self.maker, self.settings, self.plan, self.bad_samples = maker, settings, plan, bad_samples

    def prepare(self, step: int, source: PictureSource) -> Prepared[Batch]:
        """This rank's share of a global batch, all but the pixels. Depends on nothing but the step."""
        settings, planned = self.settings, self.plan.batch(step)
        size = settings.batch_size // settings.world_size
        here = slice(settings.rank * size, (settings.rank + 1) * size)
        samples, passes = planned.samples[here], planned.passes[here]
        # Filling rows repeat a real sample, so that the graph needs no special case. It is the same one on all ranks:
        # nothing counts these rows, but batch normalisation sees them.
        valid = samples >= 0
        return self.prepare_samples(np.where(valid, samples, planned.samples[0]), passes, step, source, valid)

    def prepare_samples(
        self, samples: Ints, passes: Ints, step: int, source: PictureSource, valid: NDArray[np.bool_] | None = None
    ) -> Prepared[Batch]:
        """Any samples (B,), in the given passes over their splits. All are valid unless `valid` (B,) says otherwise."""
        valid = np.ones(len(samples), dtype=np.bool_) if valid is None else valid
        share, broken = self._share(samples, passes, valid, step, source)
        graph_input, batch = self.maker.make(share)
        return Prepared(share, graph_input, batch.without(broken) if broken.any() else batch)

    def open_pictures(self, step: int, stop: int | None) -> PictureSource:
        """Where the pictures of `step` and of the later ones, up to before `stop`, come from."""
        index, settings, reading = self.maker.index, self.settings, self.settings.reading
        if index.is_local:
            return self.reader()
        groups = fetch_groups(
            self.plan, step, stop, settings.rank, settings.world_size, index.sizes.all(), reading.ahead_bytes // 4 or 1
        )
        cache = None if reading.cache is None else BlockCache(reading.cache, reading.cache_bytes)
        fetcher = BlockFetcher(index, settings.on_bad_sample == "skip", cache)
        steps_per_epoch = self.plan.steps_per_epoch
        return RemotePictures(index, fetcher, groups, steps_per_epoch, step, reading.connections, reading.ahead_bytes)

    def reader(self) -> PictureReader:
        """Reads what it is asked for at once; what local splits need, and single batches."""
        return PictureReader(self.maker.index, tolerant=self.settings.on_bad_sample == "skip")

    def _share(
        self, samples: Ints, passes: Ints, valid: NDArray[np.bool_], step: int, source: PictureSource
    ) -> tuple[Share, NDArray[np.bool_]]:
        """Samples with their pictures, and which rows (B,) lie in pictures that cannot be used."""
        rows, picture_of_sample = np.unique(self.maker.image_rows[samples], return_inverse=True)
        found = source.read(step, rows)
        known = self.bad_samples.undecodable
        found = [known(row) or picture for row, picture in zip(rows.tolist(), found, strict=True)]
        absent = np.array([picture is PLACEHOLDER or isinstance(picture, BrokenPicture) for picture in found])
        for number, picture in enumerate(found):
            if isinstance(picture, BrokenPicture):
                self.bad_samples.leave_out(picture, samples[valid & (picture_of_sample == number)])
        pictures = [PLACEHOLDER if isinstance(picture, BrokenPicture) else picture for picture in found]
        sizes = np.where(absent[:, None], 1, self.maker.index.picture_sizes(rows))
        share = Share(samples, passes, valid, rows, pictures, sizes, picture_of_sample)
        return share, absent[picture_of_sample]

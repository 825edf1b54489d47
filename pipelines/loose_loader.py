"""Batches of pictures that belong to no split, made ahead by a thread and by the same graph as those of splits."""

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic

import numpy as np

from pipelines.dali_graph import CropGraph, GraphInput, WholePictureGraph
from pipelines.loose_batch import LooseBatch
from pipelines.preparation import Batch
from pipelines.reader import PictureSource
from pipelines.repair import run_once, undecodable, without
from pipelines.stream import GraphFailure, Prepared, Stream
from pipelines.topdown_batch import TopDownSettings
from pipelines.whole_picture_batch import WholePictureSettings

BuildGraph = Callable[[Callable[[], GraphInput], int], CropGraph]


class _EndOfPicturesError(Exception):
    """There are no more."""


class LooseLoader(Generic[Batch]):
    """One pass over batches, of which only a few are in memory.

    Pictures that cannot be decoded do not end it: their samples are not valid, and `problems` says why, by the numbers
    of the pictures.

    Args:
        batches: gone through in a thread of its own; what it raises is raised after all batches before.
        build_graph: of (source, prefetch).
    """

    def __init__(self, batches: Iterator[Prepared[LooseBatch[Batch]]], build_graph: BuildGraph, prefetch: int) -> None:
        self.problems: dict[int, str] = {}
        self._batches, self._build_graph, self._prefetch = batches, build_graph, prefetch
        self._unanswered: deque[Prepared[LooseBatch[Batch]]] = deque()
        self._stream: Stream[LooseBatch[Batch]] | None = None

    def __iter__(self) -> Iterator[LooseBatch[Batch]]:
        try:
            while True:
                try:
                    finished = self._next()
                except _EndOfPicturesError:
                    return
                yield finished
        finally:
            self.close()

    def close(self) -> None:
        """Stop reading ahead."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _next(self) -> LooseBatch[Batch]:
        self._stream = self._stream or self._open()
        try:
            outputs, batch = self._stream.next()
        except GraphFailure:
            self.close()  # whether DALI can go on is not known; what it has not answered goes through a new graph
            return self._repaired(self._unanswered.popleft())
        self._unanswered.popleft()
        return batch.finished(outputs)

    def _open(self) -> Stream[LooseBatch[Batch]]:
        again = list(self._unanswered)

        def make(step: int, source: PictureSource) -> Prepared[LooseBatch[Batch]]:
            if step < len(again):
                return again[step]
            prepared = next(self._batches, None)
            if prepared is None:
                raise _EndOfPicturesError
            self._unanswered.append(prepared)
            return prepared

        return Stream(
            make,
            lambda step: _NoSource(),
            lambda source: self._build_graph(source, self._prefetch),
            step=0,
            stop=None,
            prefetch=self._prefetch,
        )

    def _repaired(self, prepared: Prepared[LooseBatch[Batch]]) -> LooseBatch[Batch]:
        """The batch that the graph failed on, without the pictures that it cannot decode."""

        def build(source: Callable[[], GraphInput]) -> CropGraph:
            return self._build_graph(source, 1)

        with suppress(RuntimeError):
            return prepared.batch.finished(run_once(prepared.graph_input, build))
        everything = range(len(prepared.graph_input.pictures))
        run_once(without(prepared.graph_input, everything), build)  # raises if it is not about pictures
        reasons = undecodable(prepared.graph_input, build)
        for place, reason in reasons.items():
            self.problems[int(prepared.share.image_rows[place])] = f"cannot be decoded: {reason}"
        batch = prepared.batch.without(np.isin(prepared.share.picture_of_sample, list(reasons)))
        return batch.finished(run_once(without(prepared.graph_input, reasons), build))


class _NoSource:
    """Batches bring their pictures along."""

    def read(self, step: int, image_rows: np.ndarray) -> list:
        raise AssertionError("nobody reads: what is made here has its pictures")

    def close(self) -> None:
        pass


def crop_graph(settings: TopDownSettings) -> BuildGraph:
    """How to build the graph of these crops."""
    return lambda source, prefetch: CropGraph(
        source, settings.batch_size, settings.crop_size, settings.device, settings.threads, prefetch
    )


def whole_picture_graph(settings: WholePictureSettings) -> BuildGraph:
    """The same for whole pictures."""
    batch_size = settings.loading().batch_size
    return lambda source, prefetch: WholePictureGraph(
        source, batch_size, settings.scales, settings.device, settings.threads, prefetch
    )

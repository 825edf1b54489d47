"""The top-down loader: one crop per person box, in the plan's order, resumable at any step."""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from pipelines.batch_maker import BatchMaker, LoaderSettings, TopDownBatch
from pipelines.dali_graph import CropGraph, GraphInput
from pipelines.samples import TopDownSamples
from pipelines.stream import Stream

__all__ = ["LoaderSettings", "TopDownBatch", "TopDownLoader"]


class TopDownLoader:
    """Iterates over one epoch at a time; state is the number of batches handed out since the start of training.

    `waited_s` is the time that the consumer has spent waiting in `next()`.
    """

    def __init__(self, samples: TopDownSamples, settings: LoaderSettings) -> None:
        self.samples = samples
        self.settings = settings
        self.maker = BatchMaker(samples, settings)
        self.step = 0
        self.waited_s = 0.0
        self._stream: Stream[TopDownBatch] | None = None

    def __len__(self) -> int:
        """Batches of a full epoch."""
        return self.maker.plan.steps_per_epoch

    def __iter__(self) -> Iterator[TopDownBatch]:
        """Batches from the current step to the end of its epoch."""
        end = (self.step // len(self) + 1) * len(self)
        while self.step < end:
            started = time.perf_counter()
            batch = self._next()
            self.waited_s += time.perf_counter() - started
            self.step += 1  # before the yield: code after the last one would never run
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The consumed step; it is the same on every rank, and nothing else is needed."""
        return {"step": self.step}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.step = int(state["step"])

    def close(self) -> None:
        """Stop reading ahead."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _next(self) -> TopDownBatch:
        stream = self._stream_at(self.step)
        try:
            crops, batch = stream.next()
        except BaseException as error:
            working_on = stream.oldest_in_flight
            self.close()  # pictures and labels in flight no longer belong together; the next attempt starts afresh
            if type(error) is RuntimeError and working_on is not None:  # DALI's own errors
                images = sorted(set(working_on.image_ids.tolist()))
                raise RuntimeError(
                    f"step {self.step}: the graph failed on a batch of the images {images}: {error}"
                ) from error
            raise
        return replace(batch, crops=crops)

    def _stream_at(self, step: int) -> Stream[TopDownBatch]:
        if self._stream is None or self._stream.step != step:
            self.close()
            settings = self.settings
            stop = None if settings.epochs is None else settings.epochs * len(self)
            self._stream = Stream(self.maker.make, self._build_graph, step, stop, settings.prefetch)
        return self._stream

    def _build_graph(self, source: Callable[[], GraphInput]) -> CropGraph:
        settings = self.settings
        return CropGraph(
            source,
            settings.batch_size // settings.world_size,
            settings.crop_size,
            settings.device,
            settings.threads,
            settings.prefetch,
        )

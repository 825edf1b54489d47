"""What every loader is: batches of a plan, in its order, resumable at any step, read from wherever the shards lie."""

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Generic

import numpy as np

from pipelines.bad_samples import BadSamples
from pipelines.dali_graph import CropGraph, GraphInput
from pipelines.plan import Plan
from pipelines.preparation import Batch, BatchMaker, Preparation
from pipelines.repair import run_once, undecodable, without
from pipelines.settings import DEFAULT_WINDOW, LoaderSettings
from pipelines.stream import GraphFailure, Prepared, Stream


class BatchLoader(Generic[Batch]):
    """Iterates over one epoch at a time; state is the number of batches handed out since the start of training.

    `waited_s` is the time that the consumer has spent waiting in `next()`. `bad_samples` says what was left out.
    """

    def __init__(self, maker: BatchMaker[Batch], settings: LoaderSettings) -> None:
        self.maker = maker
        self.settings = settings
        self.bad_samples = BadSamples(settings.on_bad_sample, len(maker.image_rows), settings.max_bad_share)
        window = settings.window
        if window is None:
            window = 0 if maker.index.is_local else DEFAULT_WINDOW
        self._plan_with(window)
        self.step = 0
        self.waited_s = 0.0
        self._stream: Stream[Batch] | None = None

    def __len__(self) -> int:
        """Batches of a full epoch."""
        return self.plan.steps_per_epoch

    def __iter__(self) -> Iterator[Batch]:
        """Batches from the current step to the end of its epoch."""
        end = (self.step // len(self) + 1) * len(self)
        while self.step < end:
            started = time.perf_counter()
            batch = self._next()
            self.waited_s += time.perf_counter() - started
            self.step += 1  # before the yield: code after the last one would never run
            yield batch

    def state_dict(self) -> dict[str, int]:
        """The consumed step, and the window that the order depends on; both are the same on every rank."""
        return {"step": self.step, "window": self.plan.window}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on where another loader of the same data and settings was, whatever its number of ranks.

        A state that names no window is from a loader that shuffled whole epochs.
        """
        window = int(state.get("window", 0))
        if window != self.plan.window:
            self.close()
            self._plan_with(window)
        self.step = int(state["step"])

    def close(self) -> None:
        """Stop reading ahead."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def prepare(self, step: int) -> Prepared[Batch]:
        """This rank's share of any global batch, all but the pixels; no step before it is needed."""
        return self._preparation.prepare(step, self._preparation.reader())

    def replay(self, sample: int, pass_number: int) -> Batch:
        """One sample, in every row, as training saw it in that pass over its split; bit for bit on the same backend.

        Raises:
            BrokenShardError: its picture is damaged or cannot be decoded.
        """
        size = self.settings.batch_size // self.settings.world_size
        strict = Preparation(self.maker, self.settings, self.plan, BadSamples("raise", 1, 0))
        prepared = strict.prepare_samples(np.full(size, sample), np.full(size, pass_number), self.step, strict.reader())
        try:
            outputs = run_once(prepared.graph_input, self._build_lone_graph)
        except RuntimeError:
            for number, reason in undecodable(prepared.graph_input, self._build_lone_graph).items():
                row = int(prepared.share.image_rows[number])
                raise self.maker.index.broken(row, f"cannot be decoded: {reason}").error() from None
            raise
        return prepared.batch.complete(outputs)

    def _plan_with(self, window: int) -> None:
        maker, settings = self.maker, self.settings
        self.plan = Plan(
            maker.image_rows,
            settings.batch_size,
            settings.seed,
            settings.shuffle,
            window,
            maker.index.blocks if window else None,
            maker.parts,
        )
        self._preparation = Preparation(maker, settings, self.plan, self.bad_samples)

    def _next(self) -> Batch:
        stream = self._stream_at(self.step)
        try:
            outputs, batch = stream.next()
        except GraphFailure as failure:
            self.close()  # whether DALI can go on is not known; the next batch comes from a new graph
            outputs, batch = self._repaired(failure)
        except BaseException:
            self.close()  # pictures and labels in flight no longer belong together; the next attempt starts afresh
            raise
        return batch.complete(outputs)

    def _repaired(self, failure: GraphFailure) -> tuple[object, Batch]:
        """The batch that the graph failed on, without the pictures that it cannot decode."""
        prepared: Prepared[Batch] = failure.prepared
        with suppress(RuntimeError):
            return run_once(prepared.graph_input, self._build_lone_graph), prepared.batch
        everything = range(len(prepared.graph_input.pictures))
        try:
            run_once(without(prepared.graph_input, everything), self._build_lone_graph)
        except RuntimeError as error:  # it is not about pictures
            raise RuntimeError(f"step {self.step}: the graph fails: {failure}") from error
        return self._without_undecodable(prepared)

    def _without_undecodable(self, prepared: Prepared[Batch]) -> tuple[object, Batch]:
        share, reasons = prepared.share, undecodable(prepared.graph_input, self._build_lone_graph)
        for number, reason in reasons.items():
            row = int(share.image_rows[number])
            picture = self.maker.index.broken(row, f"cannot be decoded: {reason}")
            self.bad_samples.leave_out(picture, share.samples[share.valid & (share.picture_of_sample == number)])
            self.bad_samples.remember_undecodable(row, picture)
        batch = prepared.batch.without(np.isin(share.picture_of_sample, list(reasons)))
        return run_once(without(prepared.graph_input, reasons), self._build_lone_graph), batch

    def _build_lone_graph(self, source: Callable[[], GraphInput]) -> CropGraph:
        return self.maker.build_graph(source, 1)

    def _stream_at(self, step: int) -> Stream[Batch]:
        if self._stream is None or self._stream.step != step:
            self.close()
            epochs, prefetch, maker = self.settings.epochs, self.settings.prefetch, self.maker
            stop = None if epochs is None else epochs * len(self)
            preparation = self._preparation
            self._stream = Stream(
                preparation.prepare,
                lambda first: preparation.open_pictures(first, stop),
                lambda source: maker.build_graph(source, prefetch),
                step,
                stop,
                prefetch,
            )
        return self._stream

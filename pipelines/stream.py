"""Batches from a given step on: a thread makes them ahead, the graph works on a few at a time."""

import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pipelines.dali_graph import CropGraph, GraphInput
from pipelines.reader import PictureSource
from pipelines.share import Share

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Prepared(Generic[Batch]):
    """A batch without its pixels, and what the graph makes them of."""

    share: Share
    graph_input: GraphInput
    batch: Batch


class GraphFailure(Exception):  # noqa: N818 - it never leaves the package
    """The graph could not make a batch. Whether it can go on afterwards is not known."""

    def __init__(self, prepared: Prepared[Any], cause: RuntimeError) -> None:
        super().__init__(str(cause))
        self.prepared, self.cause = prepared, cause


class Stream(Generic[Batch]):
    """Pairs what the graph makes of each input with the batch that the input belongs to.

    Closing it, or dropping the last reference to it, ends the thread, the reading and the graph.
    """

    def __init__(
        self,
        make: Callable[[int, PictureSource], Prepared[Batch]],
        open_pictures: Callable[[int], PictureSource],
        build_graph: Callable[[Callable[[], GraphInput]], CropGraph],
        step: int,
        stop: int | None,
        prefetch: int,
    ) -> None:
        """
        Args:
            make: global step and where pictures come from → what goes into the graph.
            open_pictures: step → where the pictures of it and of later ones come from.
            build_graph: builds a graph around a function that gives it each next input.
            step: the first step. stop: the step after the last one, None for no end.
            prefetch: batches that wait ready for the graph.
        """
        self.step = step
        self._feed: _Feed[Batch] = _Feed(prefetch)
        # Before anything starts: a graph that cannot be built must not leave threads behind.
        self._graph = build_graph(self._feed.next_input)
        try:
            pictures = open_pictures(step)
        except BaseException:
            self._graph.close()
            raise
        closed = threading.Event()
        thread = threading.Thread(
            target=_read_ahead,
            args=(make, pictures, step, stop, self._feed.ready, closed),
            name="posestream-reader",
            daemon=True,
        )
        # Neither thread nor graph knows this object, so that dropping it is enough to end them.
        self._end = weakref.finalize(self, _end, thread, pictures, self._feed.ready, closed, self._graph)
        thread.start()

    def next(self) -> tuple[Any, Batch]:
        """What the graph made of the next batch, and the batch.

        Raises what failed, after everything before it was handed out; a GraphFailure holds the batch concerned.
        """
        try:
            outputs = self._graph.run()
        except StopIteration:
            # What was in flight before a failure has been handed out; now is the failure's turn.
            raise self._feed.failure or RuntimeError(f"the loader was set to end before step {self.step}") from None
        except RuntimeError as error:  # DALI's own
            if not self._feed.in_flight:
                raise
            raise GraphFailure(self._feed.in_flight.popleft(), error) from error
        self.step += 1
        return outputs, self._feed.in_flight.popleft().batch

    def close(self) -> None:
        self._end()


class _Feed(Generic[Batch]):
    """Hands the graph its inputs, and keeps the batches that they belong to."""

    def __init__(self, prefetch: int) -> None:
        self.ready: queue.Queue[Prepared[Batch] | Exception | None] = queue.Queue(prefetch)
        self.in_flight: deque[Prepared[Batch]] = deque()
        self.failure: Exception | None = None

    def next_input(self) -> GraphInput:
        item = self.ready.get()
        if item is None or isinstance(item, Exception):
            self.failure = item
            raise StopIteration
        self.in_flight.append(item)
        return item.graph_input


def _read_ahead(
    make: Callable[[int, PictureSource], object],
    pictures: PictureSource,
    step: int,
    stop: int | None,
    ready: queue.Queue,
    closed: threading.Event,
) -> None:
    try:
        while not closed.is_set() and (stop is None or step < stop):
            _put(ready, make(step, pictures), closed)
            step += 1
        _put(ready, None, closed)
    except Exception as error:  # noqa: BLE001 - it is raised again in the consumer's thread
        _put(ready, error, closed)


def _put(ready: queue.Queue, item: object, closed: threading.Event) -> None:
    """Wait for room, but not for ever: a stream may be closed from the reader's own thread."""
    while not closed.is_set():
        with suppress(queue.Full):
            ready.put(item, timeout=0.5)
            return


def _end(
    thread: threading.Thread,
    pictures: PictureSource,
    ready: queue.Queue,
    closed: threading.Event,
    graph: CropGraph,
) -> None:
    """End the thread, which may be waiting for a picture or for room in the queue, and free the graph."""
    closed.set()
    pictures.close()
    if threading.current_thread() is thread:  # the collector ran in it
        return
    while thread.is_alive():
        try:
            ready.get(timeout=0.05)
        except queue.Empty:
            continue
    thread.join()
    with suppress(queue.Full):  # for a consumer that waits in another thread
        ready.put_nowait(RuntimeError("the loader was closed"))
    graph.close()

"""Batches from a given step on: a thread makes them ahead, the graph works on a few at a time."""

import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from torch import Tensor

from pipelines.dali_graph import CropGraph, GraphInput

Batch = TypeVar("Batch")


class Stream(Generic[Batch]):
    """Pairs what the graph makes of each input with the batch that the input belongs to.

    Closing it, or dropping the last reference to it, ends the thread and frees the graph.
    """

    def __init__(
        self,
        make: Callable[[int], tuple[GraphInput, Batch]],
        build_graph: Callable[[Callable[[], GraphInput]], CropGraph],
        step: int,
        stop: int | None,
        prefetch: int,
    ) -> None:
        """
        Args:
            make: global step → graph input and batch.
            build_graph: builds a graph around a function that gives it each next input.
            step: the first step. stop: the step after the last one, None for no end.
            prefetch: batches that wait ready for the graph.
        """
        self.step = step
        self._feed: _Feed[Batch] = _Feed(prefetch)
        # Before the thread starts: a graph that cannot be built must not leave it behind.
        self._graph = build_graph(self._feed.next_input)
        closed = threading.Event()
        thread = threading.Thread(
            target=_read_ahead, args=(make, step, stop, self._feed.ready, closed), name="posestream-reader", daemon=True
        )
        # Neither thread nor graph knows this object, so that dropping it is enough to end them.
        self._end = weakref.finalize(self, _end, thread, self._feed.ready, closed, self._graph)
        thread.start()

    def next(self) -> tuple[Tensor, Batch]:
        """The next crops and their batch. Raises what failed, after everything before it was handed out."""
        try:
            crops = self._graph.run()
        except StopIteration:
            # What was in flight before a failure has been handed out; now is the failure's turn.
            raise self._feed.failure or RuntimeError(f"the loader was set to end before step {self.step}") from None
        self.step += 1
        return crops, self._feed.in_flight.popleft()

    @property
    def oldest_in_flight(self) -> Batch | None:
        """The batch that the graph works on, to say what a failure of the graph is about."""
        return self._feed.in_flight[0] if self._feed.in_flight else None

    def close(self) -> None:
        self._end()


class _Feed(Generic[Batch]):
    """Hands the graph its inputs, and keeps the batches that they belong to."""

    def __init__(self, prefetch: int) -> None:
        self.ready: queue.Queue[tuple[GraphInput, Batch] | Exception | None] = queue.Queue(prefetch)
        self.in_flight: deque[Batch] = deque()
        self.failure: Exception | None = None

    def next_input(self) -> GraphInput:
        item = self.ready.get()
        if item is None or isinstance(item, Exception):
            self.failure = item
            raise StopIteration
        self.in_flight.append(item[1])
        return item[0]


def _read_ahead(
    make: Callable[[int], object], step: int, stop: int | None, ready: queue.Queue, closed: threading.Event
) -> None:
    try:
        while not closed.is_set() and (stop is None or step < stop):
            ready.put(make(step))
            step += 1
        ready.put(None)
    except Exception as error:  # noqa: BLE001 - it is raised again in the consumer's thread
        ready.put(error)


def _end(thread: threading.Thread, ready: queue.Queue, closed: threading.Event, graph: CropGraph) -> None:
    """End the thread, which may be waiting for room in the queue, and free the graph."""
    closed.set()
    while thread.is_alive():
        try:
            ready.get(timeout=0.05)
        except queue.Empty:
            continue
    thread.join()
    graph.close()

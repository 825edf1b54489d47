"""Pictures from object storage, fetched ahead of the steps that need them, within a bounded memory."""

import threading
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pipelines.block_fetch import BlockFetcher, Wanted
from pipelines.fetch_schedule import FetchGroup
from pipelines.pictures import BrokenPicture, Encoded, PictureIndex


class _Expected(NamedTuple):
    """A picture that is here or on its way."""

    last_step: int
    size: int


class RemotePictures:
    """Hands out the pictures of a schedule, step after step, while threads fetch those of later steps.

    A group is fetched as soon as there is room for it, or when a step needs it. The threads are daemons: a request that
    hangs must not keep the process alive.

    Args:
        groups: what to fetch, in the order of first use.
        steps_per_epoch: the schedule runs at most one epoch ahead.
        step: the first step that will be asked for.
        connections: requests at the same time.
        max_bytes: of pictures that are here or on their way, as long as no step waits for more.
    """

    def __init__(
        self,
        index: PictureIndex,
        fetcher: BlockFetcher,
        groups: Iterator[FetchGroup],
        steps_per_epoch: int,
        step: int,
        connections: int,
        max_bytes: int,
    ) -> None:
        self._index, self._fetcher = index, fetcher
        self._steps_per_epoch, self._step, self._max_bytes = steps_per_epoch, step, max_bytes
        self._changed = threading.Condition()
        self._tasks: deque[list[Wanted]] = deque()
        self._pictures: dict[int, Encoded | BrokenPicture | Exception] = {}
        self._expected: dict[int, _Expected] = {}
        self._bytes = 0
        self._failure: Exception | None = None  # of the schedule itself
        self._scheduled = self._closed = False
        work = [lambda: self._schedule(groups)] + [self._work] * connections
        for target in work:
            threading.Thread(target=target, name="posestream-fetch", daemon=True).start()

    def read(self, step: int, image_rows: NDArray[np.int64]) -> list[Encoded | BrokenPicture]:
        """The pictures of a step; waits for them.

        Raises:
            StorageError: object storage could not be read; the message names URI, attempts and cause.
        """
        rows = image_rows.tolist()
        with self._changed:
            self._step = step
            self._changed.notify_all()
            self._changed.wait_for(lambda: self._closed or self._failure or self._can_tell(rows))
            if self._failure is not None:
                raise self._failure
            if self._closed or not all(row in self._pictures for row in rows):
                raise RuntimeError(f"step {step} asks for pictures that nobody fetches")
            found = [self._pictures[row] for row in rows]
            for row in rows:
                if self._expected[row].last_step <= step:
                    self._bytes -= self._expected.pop(row).size
                    del self._pictures[row]
            self._changed.notify_all()
        pictures: list[Encoded | BrokenPicture] = []
        for picture in found:
            if isinstance(picture, Exception):
                raise picture
            pictures.append(picture)
        return pictures

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._tasks.clear()
            self._pictures.clear()
            self._changed.notify_all()

    def _can_tell(self, rows: list[int]) -> bool:
        """Whether all pictures are here, or one of them will never come."""
        never = self._scheduled and any(row not in self._expected for row in rows)
        return never or all(row in self._pictures for row in rows)

    def _schedule(self, groups: Iterator[FetchGroup]) -> None:
        try:
            for group in groups:  # planning an epoch takes a while, so it is not done under the lock
                sizes = self._index.sizes.take(group.image_rows)
                places = self._index.places(group.image_rows)
                with self._changed:
                    self._changed.wait_for(lambda: self._closed or self._has_room(group, int(sizes.sum())))  # noqa: B023
                    if self._closed:
                        return
                    self._admit(group, list(zip(group.image_rows.tolist(), places, strict=True)))
        except Exception as error:  # noqa: BLE001 - it is raised again where the pictures are awaited
            self._failure = error
        with self._changed:
            self._scheduled = True
            self._changed.notify_all()

    def _has_room(self, group: FetchGroup, size: int) -> bool:
        if group.first_step <= self._step:
            return True
        epochs_ahead = group.first_step // self._steps_per_epoch - self._step // self._steps_per_epoch
        return epochs_ahead <= 1 and (self._bytes == 0 or self._bytes + size <= self._max_bytes)

    def _admit(self, group: FetchGroup, wanted: list[Wanted]) -> None:
        """Make tasks of the pictures that are not here yet, one for each block."""
        block = -1
        for (row, place), last_step in zip(wanted, group.last_steps.tolist(), strict=True):
            known = self._expected.get(row)
            self._expected[row] = _Expected(max(last_step, known.last_step if known else 0), place.size)
            if known:
                continue
            self._bytes += place.size
            if block != (block := int(self._index.blocks[row])):
                self._tasks.append([])
            self._tasks[-1].append((row, place))
        self._changed.notify_all()

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._tasks or self._scheduled)
                if self._closed or not self._tasks:
                    return
                task = self._tasks.popleft()
            try:
                pictures: dict[int, Encoded | BrokenPicture | Exception] = dict(self._fetcher.fetch(task))
            except Exception as error:  # noqa: BLE001 - it is raised again where the pictures are awaited
                pictures = {row: error for row, _ in task}
            with self._changed:
                if not self._closed:
                    self._pictures.update(pictures)
                    self._changed.notify_all()

"""What a rank needs from the network, and in which order: groups of pictures that are fetched together."""

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.plan import Plan

_FIRST_STEPS = 2


@dataclass(frozen=True)
class FetchGroup:
    """Pictures that are wanted at about the same time.

    Attributes:
        image_rows: (P,), ascending, each once.
        last_steps: (P,) the global step after which the picture can be forgotten. Where it is wanted again later on,
            it is in a later group too.
        first_step: the global step that wants one of them first.
    """

    image_rows: NDArray[np.int64]
    last_steps: NDArray[np.int64]
    first_step: int


_Begun = tuple[int, int, FetchGroup, Iterator[FetchGroup]]
"""A window: the first step and the number to sort by, its next group, and those after it."""


def fetch_groups(
    plan: Plan, start: int, stop: int | None, rank: int, world_size: int, sizes: NDArray[np.int64], max_bytes: int
) -> Iterator[FetchGroup]:
    """Groups for the steps from `start` on, in the order in which they are wanted first.

    A window of the plan is a group, so that its pictures, which lie close together, are read in long ranges. The first
    steps are a group of their own: training begins before the first window is complete. A window of more than
    `max_bytes` is cut into stretches of steps; what several stretches want is then in several groups, so that no
    picture stays in memory from one end of a long window to the other.

    Args:
        stop: the step after the last one, None for no end.
        sizes: (images,) bytes of each picture.
    """
    epoch = start // plan.steps_per_epoch
    while stop is None or epoch * plan.steps_per_epoch < stop:
        first = max(start, epoch * plan.steps_per_epoch)
        last = (epoch + 1) * plan.steps_per_epoch
        rows, steps, windows = _uses(plan, epoch, first, last if stop is None else min(stop, last), rank, world_size)
        if first == start:
            hurried = np.isin(rows, rows[steps < start + _FIRST_STEPS]) & np.isin(
                windows, windows[steps < start + _FIRST_STEPS]
            )
            windows = np.where(hurried, -1, windows)
        yield from _merged(_groups(rows[here], steps[here], sizes, max_bytes) for here in _by_first_use(windows))
        epoch += 1


def _uses(
    plan: Plan, epoch: int, first: int, last: int, rank: int, world_size: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Image row, step and window of every sample that `rank` takes in the steps `first` … `last` − 1.

    Filling rows repeat the first sample of their batch.
    """
    order, begin = plan.order(epoch), epoch * plan.steps_per_epoch
    places = np.arange((first - begin) * plan.batch_size, (last - begin) * plan.batch_size)
    share = plan.batch_size // world_size
    places = places[places % plan.batch_size // share == rank]
    steps = places // plan.batch_size + begin
    places = np.where(places < len(order.samples), places, places // plan.batch_size * plan.batch_size)
    return plan.image_rows[order.samples[places]], steps, order.windows[places]


def _by_first_use(windows: NDArray[np.int32]) -> Iterator[NDArray[np.int64]]:
    """The places of each window, ascending; windows in the order in which they begin."""
    _, begins, window = np.unique(windows, return_index=True, return_inverse=True)
    rank_of_window = np.empty(len(begins), dtype=np.int64)
    rank_of_window[np.argsort(begins)] = np.arange(len(begins))
    order = np.argsort(rank_of_window[window], kind="stable")
    ends = np.cumsum(np.bincount(rank_of_window[window], minlength=len(begins)))
    return (part for part in np.split(order, ends[:-1]))


def _groups(
    rows: NDArray[np.int64], steps: NDArray[np.int64], sizes: NDArray[np.int64], max_bytes: int
) -> Iterator[FetchGroup]:
    """The groups of one window."""
    for here in _stretches(rows, sizes, max_bytes):
        unique, inverse = np.unique(rows[here], return_inverse=True)
        last_steps = np.zeros(len(unique), dtype=np.int64)
        np.maximum.at(last_steps, inverse, steps[here])
        yield FetchGroup(unique, last_steps, int(steps[here][0]))


def _stretches(rows: NDArray[np.int64], sizes: NDArray[np.int64], max_bytes: int) -> Iterator[slice]:
    """Cut a window's uses so that the pictures of each stretch have at most `max_bytes`, or there is just one."""
    if sizes[np.unique(rows)].sum() <= max_bytes:
        yield slice(0, len(rows))
        return
    is_other = np.append(True, rows[1:] != rows[:-1])  # a picture's persons follow each other
    ends = np.cumsum(np.where(is_other, sizes[rows], 0))
    begin = 0
    while begin < len(rows):
        limit = ends[begin] - sizes[rows[begin]] + max_bytes
        end = int(np.searchsorted(ends, max(limit, ends[begin]), side="right"))
        yield slice(begin, end)
        begin = end


def _merged(windows: Iterable[Iterator[FetchGroup]]) -> Iterator[FetchGroup]:
    """The groups of all windows in the order of first use, in which the windows and each one's groups come already.

    Steps use several windows at a time. A reader with little memory waits before it fetches a group, so none may stand
    in front of one that is wanted earlier.
    """
    begun: list[_Begun] = []
    for number, groups in enumerate(windows):
        group = next(groups)
        yield from _wanted_before(group.first_step, begun)
        heapq.heappush(begun, (group.first_step, number, group, groups))
    yield from _wanted_before(None, begun)


def _wanted_before(step: int | None, begun: list[_Begun]) -> Iterator[FetchGroup]:
    """Take what is wanted before a step off the heap."""
    while begun and (step is None or begun[0][0] < step):
        _, number, group, groups = begun[0]
        yield group
        following = next(groups, None)
        if following is None:
            heapq.heappop(begun)
        else:
            heapq.heapreplace(begun, (following.first_step, number, following, groups))

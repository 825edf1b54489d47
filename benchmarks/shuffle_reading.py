"""What ranks read of a simulated split in an epoch, by the loaders' own schedule."""

import numpy as np

from benchmarks.shuffle_split import Floats, Ints, Split
from pipelines.block_fetch import _LARGEST_GAP
from pipelines.fetch_schedule import FetchGroup, fetch_groups
from pipelines.plan import Plan

_GROUP_BYTES = 128 << 20  # a quarter of storage.ahead_mb's default


def reading(split: Split, plan: Plan, ranks: int) -> dict[str, float]:
    """Of the busiest rank: bytes read, without a cache and with one, relative to an equal share; mean length of a
    range in KB; MB of pictures in memory if each group is fetched when it is first needed."""
    found = []
    for rank in range(ranks):
        schedule = fetch_groups(plan, 0, plan.steps_per_epoch, rank, ranks, split.sizes, _GROUP_BYTES)
        groups = list(schedule)
        ranges = np.concatenate([_range_lengths(split, group.image_rows) for group in groups])
        touched = np.zeros(split.blocks[-1] + 1, dtype=bool)
        for group in groups:
            touched[split.blocks[group.image_rows]] = True
        whole_blocks = split.sizes[touched[split.blocks]].sum()
        found.append((ranges.sum(), whole_blocks, ranges.mean(), _most_held(split, groups)))
    read, cached, length, held = np.array(found, dtype=float).T
    share = split.sizes.sum() / ranks
    return {
        "read": read.max() / share,
        "read_with_cache": cached.max() / share,
        "range_kb": length.min() / 1e3,
        "held_mb": held.max() / 1e6,
    }


def _range_lengths(split: Split, rows: Ints) -> Floats:
    """Of the ranges in which a group's pictures are read: within a block, over small gaps."""
    begins = split.offsets[rows]
    ends = begins + split.sizes[rows]
    breaks = np.flatnonzero((np.diff(split.blocks[rows]) != 0) | (begins[1:] - ends[:-1] > _LARGEST_GAP))
    return (ends[np.append(breaks, -1)] - begins[np.append(0, breaks + 1)]).astype(float)


def _most_held(split: Split, groups: list[FetchGroup]) -> int:
    comes = np.concatenate([np.full(len(group.image_rows), group.first_step) for group in groups])
    goes = np.concatenate([group.last_steps for group in groups]) + 1
    sizes = split.sizes[np.concatenate([group.image_rows for group in groups])]
    steps = int(goes.max()) + 1
    return int(np.cumsum(np.bincount(comes, sizes, steps) - np.bincount(goes, sizes, steps)).max())

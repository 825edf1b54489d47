"""Which samples an epoch takes, when several splits are mixed in given proportions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from pipelines.epoch_order import Ints


@dataclass(frozen=True)
class Part:
    """The next `count` samples of a plan, those of one split; an epoch goes `weight` times through them."""

    count: int
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (self.weight > 0 and np.isfinite(self.weight)):
            raise ValueError(f"a split's weight must be positive, got {self.weight}")

    @property
    def quota(self) -> int:
        """Samples of an epoch, a whole number."""
        return max(1, round(self.count * self.weight)) if self.count else 0


def epoch_samples(parts: Sequence[Part], epoch: int, pass_order: Callable[[int, int, int], Ints]) -> tuple[Ints, Ints]:
    """The samples of an epoch and the pass that each belongs to, both (N,), sorted by split, pass and sample.

    A split is gone through again and again; every epoch takes the next `quota` samples. So with weight 1/3 each sample
    comes exactly once in three epochs (if their number is a multiple of three), with weight 2 twice in each.

    Args:
        pass_order: (first sample, count, pass) → the order (count,) in which a pass goes through a split's samples.
    """
    samples, passes, first = [], [], 0
    for part in parts:
        position, end = epoch * part.quota, (epoch + 1) * part.quota
        while position < end:
            number, place = divmod(position, part.count)
            taken = min(part.count - place, end - position)
            if taken == part.count:
                chosen = np.arange(first, first + part.count)
            else:
                chosen = np.sort(pass_order(first, part.count, number)[place : place + taken])
            samples.append(chosen)
            passes.append(np.full(taken, number, dtype=np.int64))
            position += taken
        first += part.count
    return np.concatenate(samples), np.concatenate(passes)

"""Means over a batch, of which several processes may hold a share each."""

from collections.abc import Callable

import torch
from torch import Tensor

# The mean of a number over the processes that train together. Their gradients are averaged, so a share's sum divided by
# the mean of the shares' counts gives, on average, the sum of all divided by the count of all.
MeanOverRanks = Callable[[Tensor], Tensor]


def alone(number: Tensor) -> Tensor:
    """Of one process."""
    return number


def divisor(count: Tensor, over_ranks: MeanOverRanks) -> Tensor:
    """What a share's sum is divided by: the shares' mean count, and 1 where nothing counts anywhere."""
    count = over_ranks(count)
    return count + (count == 0)


def batch_mean(values: Tensor, valid: Tensor, over_ranks: MeanOverRanks) -> Tensor:
    """The mean of values (B,) over the rows that are valid (B,); 0 without any."""
    return torch.where(valid, values, 0).sum() / divisor(valid.sum(), over_ranks)

"""The processes that train together, as torchrun or Ray Train started them."""

import math
import os
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
from lightning_fabric.plugins.environments import TorchElasticEnvironment
from torch import Tensor

from engine.config import ConfigError


class LaunchedRanks(TorchElasticEnvironment):
    """RANK, WORLD_SIZE, LOCAL_RANK and the address of rank 0, from the environment.

    Machines may have different numbers of ranks, so Lightning's check that all have as many is left out.
    """

    def validate_settings(self, num_devices: int, num_nodes: int) -> None:
        pass


def launched_world_size() -> int:
    """How many processes train together; 1 unless they were started by torchrun or Ray Train."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def require_divisible(batch_size: int, *ranks: int) -> None:
    """Raise ConfigError unless every rank gets equally many samples of a batch, however many there are of `ranks`."""
    step = math.lcm(*ranks)
    if batch_size % step:
        nearest = max(1, round(batch_size / step)) * step
        number = str(ranks[0]) if len(ranks) == 1 else f"{ranks[0]} to {ranks[-1]}"
        raise ConfigError(
            f"train.batch_size={batch_size} counts all {number} processes together and is no multiple of them; "
            f"e.g. train.batch_size={nearest}"
        )


class Ranks:
    """What the processes tell each other. With one process every answer is its own.

    Attributes:
        rank: this process, counted from 0. size: how many there are.
    """

    def __init__(self, rank: int, size: int) -> None:
        self.rank, self.size = rank, size

    @property
    def writes(self) -> bool:
        """Whether this is the process that writes files and speaks."""
        return self.rank == 0

    def mean(self, number: Tensor) -> Tensor:
        """The mean over all processes, as a tensor of this one's device; without a gradient."""
        if self.size == 1:
            return number
        return self.total(number) / self.size

    def total(self, number: Tensor) -> Tensor:
        """The sum over all processes, likewise; of counts in double precision."""
        if self.size == 1:
            return number
        total = number.detach().clone() if number.is_floating_point() else number.to(torch.float64)
        dist.all_reduce(total)
        return total

    def gather(self, mine: Any) -> list[Any]:
        """Everybody's answer, in the order of the ranks, to the process that writes; to others an empty list."""
        if self.size == 1:
            return [mine]
        answers: list[Any] = [None] * self.size
        dist.gather_object(mine, answers if self.writes else None)
        return answers if self.writes else []

    def share(self, mine: Any) -> list[Any]:
        """Everybody's answer, in the order of the ranks, to all."""
        if self.size == 1:
            return [mine]
        answers: list[Any] = [None] * self.size
        dist.all_gather_object(answers, mine)
        return answers

    def agreed(self, make: Callable[[], Any]) -> Any:
        """What the process that writes makes, for all."""
        made = [make() if self.writes else None]
        if self.size > 1:
            dist.broadcast_object_list(made)
        return made[0]

    def copy_buffers(self, network: torch.nn.Module) -> None:
        """Give every process the writing one's running means and the like."""
        if self.size > 1:
            for buffer in network.buffers():
                dist.broadcast(buffer, src=0)

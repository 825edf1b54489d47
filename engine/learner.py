"""A network with its optimiser: learns from one batch at a time, several of which may make one step."""

from dataclasses import dataclass
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from engine.config import OptimConfig, Recipe
from engine.ranks import Ranks
from engine.schedule import learning_rate
from engine.task import Task
from models import HeatmapNetwork


@dataclass(frozen=True)
class Learned:
    """What one batch of all ranks together was: its loss, and how many of its samples count. Scalars on the device."""

    loss: Tensor
    samples: Tensor


class Learner:
    """Gradients of `accumulate` batches make one step of the optimiser; those of an epoch's end never wait.

    Attributes:
        network: what is learnt. model: the same, as it is called, e.g. wrapped for mixed precision.
        ranks: the processes that learn together, each from its share of a batch.
    """

    def __init__(
        self, recipe: Recipe, task: Task, network: HeatmapNetwork, fabric: Fabric, steps_per_epoch: int
    ) -> None:
        self.ranks = Ranks(fabric.global_rank, fabric.world_size)
        self._recipe, self._task, self._fabric, self._steps_per_epoch = recipe, task, fabric, steps_per_epoch
        self.network = network
        self.model, self.optimizer = fabric.setup(network, build_optimizer(recipe.optim, network))

    def load_optimizer(self, state: dict[str, Any]) -> None:
        """Go on with another learner's optimiser; a weight decay of the recipe's that has changed since counts."""
        self.optimizer.load_state_dict(state)
        for group in self.optimizer.param_groups:
            group["weight_decay"] = self._recipe.optim.weight_decay

    def learn(self, batch: Any, step: int) -> Learned:
        """Train on a batch, the `step`-th since the start, counted from 1."""
        rate = learning_rate(self._recipe.optim, step - 1, self._steps_per_epoch, self._recipe.train.epochs)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        steps_now = self.is_optimizer_step(step)
        with self._fabric.no_backward_sync(self.model, enabled=not steps_now):
            maps = self.model(self._task.training_input(batch))
            loss = self._task.loss(maps, self.network.outputs, batch, self.ranks.mean)
            self._fabric.backward(loss / self._batches_per_optimizer_step(step))
        if steps_now:
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
        samples = batch.valid.sum().to(loss.device, non_blocking=True)
        return Learned(self.ranks.mean(loss.detach()), self.ranks.total(samples))

    def is_optimizer_step(self, step: int) -> bool:
        """Whether the gradients of the batches up to `step` have all been used; always so at the end of an epoch."""
        return step % self._steps_per_epoch % self._recipe.train.accumulate == 0

    def _batches_per_optimizer_step(self, step: int) -> int:
        """`accumulate`, or what an epoch's last step of the optimiser is left with."""
        accumulate = self._recipe.train.accumulate
        first = (step - 1) % self._steps_per_epoch // accumulate * accumulate
        return min(accumulate, self._steps_per_epoch - first)


def build_optimizer(config: OptimConfig, network: HeatmapNetwork) -> torch.optim.Optimizer:
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}
    return kinds[config.name](network.parameters(), lr=config.lr, weight_decay=config.weight_decay)

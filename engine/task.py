"""What the loops need to know of a way to estimate poses; `TopDownTask` and `BottomUpTask` are the two."""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.config import Recipe
from evaluation.predictions import Predictions
from models import HeatmapNetwork, OutputMap
from models.batch_mean import MeanOverRanks, alone
from pipelines.loader import BatchLoader
from pose.skeletons import Skeleton
from sharding.dataset import ShardedDataset


class EvaluationSamples(Protocol):
    """What is looked at, in the order of the split.

    Attributes:
        image_rows: (N,), ascending, the picture of each.
    """

    @property
    def image_rows(self) -> NDArray[np.int64]: ...

    def __len__(self) -> int: ...

    def select(self, some: slice | NDArray[np.int64]) -> "EvaluationSamples":
        """Some of them, in their order."""


class EvaluationLoader(Protocol):
    """One pass over samples, in their order."""

    def __iter__(self) -> Iterator[Any]: ...
    def close(self) -> None: ...


class Task(Protocol):
    """Build, feed, judge and read a network.

    Attributes:
        unit: what samples are called, e.g. "instances".
    """

    recipe: Recipe
    skeleton: Skeleton
    unit: str

    def build_model(self, pretrained: bool = True) -> HeatmapNetwork: ...

    def training_samples(self, datasets: Sequence[ShardedDataset]) -> Any:
        """What training goes through, for `training_loader`."""

    def training_loader(self, samples: Any, device: torch.device, rank: int, ranks: int) -> BatchLoader[Any]: ...

    def training_input(self, batch: Any) -> Tensor:
        """What the network is fed, (B, 3, H, W), of a batch of `training_loader`."""

    def loss(
        self,
        maps: tuple[Tensor, ...],
        outputs: tuple[OutputMap, ...],
        batch: Any,
        over_ranks: MeanOverRanks = alone,
    ) -> Tensor:
        """A scalar, whose mean over the ranks is that of the global batch; the host never waits for a GPU."""

    def evaluation_samples(self, dataset: ShardedDataset) -> EvaluationSamples:
        """What evaluation goes through, for `evaluation_loader`. Raises ConfigError if there is nothing."""

    def evaluation_loader(self, samples: Any, device: torch.device) -> EvaluationLoader: ...

    def samples_in(self, batch: Any) -> int:
        """How many samples a batch of `evaluation_loader` holds."""

    def predict(self, model: torch.nn.Module, outputs: tuple[OutputMap, ...], batch: Any) -> Predictions:
        """What the network sees in a batch of `evaluation_loader`, image px."""

    def ranking(self, predictions: Predictions) -> tuple[np.ndarray | None, float | None]:
        """The persons' scores (None: by box and keypoints), and the threshold of OKS-NMS (None: without)."""

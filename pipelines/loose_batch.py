"""A batch of pictures that belong to no split, and which of them are done with it."""

from dataclasses import dataclass, replace
from typing import Any, Generic, Self

import numpy as np
from numpy.typing import NDArray

from pipelines.preparation import Batch


@dataclass(frozen=True, eq=False)
class LooseBatch(Generic[Batch]):
    """B samples of pictures that are numbered in their order.

    Attributes:
        batch: as a loader of splits would hand it out.
        picture_numbers: (B,) the picture of each sample, −1 for none.
        complete: all pictures with smaller numbers are done with this batch and those before it.
    """

    batch: Batch
    picture_numbers: NDArray[np.int64]
    complete: int

    def without(self, rows: NDArray[np.bool_]) -> Self:
        """The batch with more rows (B,) that count for nothing."""
        return replace(self, batch=self.batch.without(rows))

    def finished(self, outputs: Any) -> Self:
        """The batch with what the graph made."""
        return replace(self, batch=self.batch.complete(outputs))

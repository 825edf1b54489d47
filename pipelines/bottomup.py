"""The bottom-up loader: one crop per picture with all persons in it, in the plan's order, resumable at any step."""

from pipelines.bottomup_batch import BottomUpBatch, BottomUpSettings
from pipelines.bottomup_maker import BottomUpMaker
from pipelines.bottomup_samples import BottomUpSamples
from pipelines.loader import BatchLoader

__all__ = ["BottomUpBatch", "BottomUpLoader", "BottomUpSettings"]


class BottomUpLoader(BatchLoader[BottomUpBatch]):
    """Crops of the given pictures; see BatchLoader."""

    def __init__(self, samples: BottomUpSamples, settings: BottomUpSettings) -> None:
        super().__init__(BottomUpMaker(samples, settings), settings)
        self.samples = samples

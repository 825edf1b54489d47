"""The top-down loader: one crop per person box, in the plan's order, resumable at any step."""

from pipelines.loader import BatchLoader
from pipelines.samples import PersonSamples
from pipelines.topdown_batch import TopDownBatch, TopDownMaker, TopDownSettings

__all__ = ["TopDownBatch", "TopDownLoader", "TopDownSettings"]


class TopDownLoader(BatchLoader[TopDownBatch]):
    """Crops of the given persons; see BatchLoader."""

    def __init__(self, samples: PersonSamples, settings: TopDownSettings) -> None:
        super().__init__(TopDownMaker(samples, settings), settings)
        self.samples = samples

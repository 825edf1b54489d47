"""Losses on heatmaps."""

from torch import Tensor

from models.batch_mean import MeanOverRanks, alone, batch_mean
from models.squared_error import squared_error
from pose.heatmaps import SeparableMaps


def joints_mse(
    predicted: Tensor,
    target: Tensor | SeparableMaps,
    weights: Tensor,
    valid: Tensor,
    hardest: int | None = None,
    over_ranks: MeanOverRanks = alone,
) -> Tensor:
    """JointsMSE of SimpleBaseline and HRNet (specs 0.3): (1/K) Σ_k ½ · mean over b, h, w of (w_k·pred − w_k·target)².

    With `hardest`, online hard keypoint mining: the mean over b of the mean of each instance's largest l_k, l_k being
    ½ · mean over h, w of (w_k·pred − w_k·target)².

    Args:
        predicted, target: (B, K, h, w).
        weights: (B, K), 0 for keypoints that do not count.
        valid: (B,) bool; rows that only fill up a batch are left out of the mean.
        hardest: how many keypoints of an instance count; all K if there are no more.
        over_ranks: see `models.batch_mean`.
    """
    losses = 0.5 * squared_error(predicted, target) * weights.square()
    if hardest is not None:
        losses = losses.topk(min(hardest, losses.shape[1]), dim=1, sorted=False).values
    return batch_mean(losses.mean(dim=1), valid, over_ranks)

"""The loss on pixel-wise keypoint regression (specs 3.2)."""

import torch
import torch.nn.functional as F
from torch import Tensor

from models.batch_mean import MeanOverRanks, alone, divisor
from pose.center_offsets import OffsetTargets


def offset_loss(
    predicted: Tensor,
    targets: OffsetTargets,
    valid: Tensor,
    beta: float = 1 / 9,
    over_ranks: MeanOverRanks = alone,
) -> Tensor:
    """Smooth L1 times the targets' weights, summed, and divided by the number of positions × channels with a target.

    The scalar is 0, with a gradient of 0, where nobody has a target.

    Args:
        predicted: (B, 2K, h, w), heatmap px, keypoint − position, x and y of each keypoint in turn.
        valid: (B,) bool; persons in other rows do not count.
        beta: where smooth L1 turns from quadratic to linear, heatmap px.
        over_ranks: see `models.batch_mean`.
    """
    height, width = predicted.shape[2:]
    row, x = targets.places // width, targets.places % width
    image, y = row // height, row % height
    # Only these positions are read. On a map that is channels-last they are whole rows, and so is their gradient.
    at_places = predicted.permute(0, 2, 3, 1)[image, y, x].unflatten(2, (-1, 2))
    at_places = at_places.to(torch.promote_types(predicted.dtype, torch.float32))
    weights = targets.weights * valid[image][..., None]
    losses = F.smooth_l1_loss(at_places, targets.offsets.to(at_places.dtype), reduction="none", beta=beta)
    number = 2 * divisor((weights > 0).sum(), over_ranks)
    return (losses * weights[..., None]).sum() / number

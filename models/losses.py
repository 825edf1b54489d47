"""Losses on heatmaps."""

import torch.nn.functional as F
from torch import Tensor


def joints_mse(predicted: Tensor, target: Tensor, weights: Tensor, valid: Tensor) -> Tensor:
    """JointsMSE of SimpleBaseline and HRNet (specs 0.3): (1/K) Σ_k ½ · mean over b, h, w of (w_k·pred − w_k·target)².

    Args:
        predicted, target: (B, K, h, w).
        weights: (B, K), 0 for keypoints that do not count.
        valid: (B,) bool; rows that only fill up a batch are left out of the mean.
    """
    # One buffer for the squares: on a CPU, fresh memory for each intermediate would cost ten times the arithmetic.
    squares = F.mse_loss(predicted.float(), target, reduction="none").mean(dim=(2, 3)) * weights**2
    rows = valid.sum().clamp(min=1)
    return 0.5 * (squares * valid[:, None]).sum() / (rows * predicted.shape[1])

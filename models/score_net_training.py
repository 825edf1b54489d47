"""Training a scoring network: which poses it learns from, and how (specs 3.6, 3.9)."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from models.score_net import ScoreNet


def score_targets(oks: Tensor | np.ndarray) -> tuple[Tensor, Tensor]:
    """What to learn of one image's poses from their OKS (N, G) with all of its annotated persons.

    Returns:
        targets (N,), float32, the best OKS of each; and keep (N,) bool. False where the best is exactly 1, which comes
        of persons without labelled keypoints (the public code sets them to 0), and for all poses where nobody is
        annotated, as in the public code.
    """
    oks = torch.as_tensor(oks)
    if oks.shape[1] == 0:
        return torch.zeros(len(oks)), torch.zeros(len(oks), dtype=torch.bool)
    best = oks.amax(1)
    return best.float(), best != 1


def train_score_net(
    features: Tensor,
    targets: Tensor,
    epochs: int = 20,
    batch: int = 1024,
    lr: float = 1e-3,
    seed: int = 0,
) -> tuple[ScoreNet, list[float]]:
    """A network that estimates targets (N,) from features (N, D), by Adam on the mean squared error.

    The same arguments give the same weights, on the features' device. Every sample is seen once in an epoch; the last
    batch may be smaller.

    Returns:
        The network in evaluation mode, and the mean loss of each epoch.
    Raises:
        ValueError: there is no sample, or features and targets do not match or are not finite.
    """
    _check(features, targets)
    generator = torch.Generator().manual_seed(seed)
    net = ScoreNet(features.shape[1])
    net.reset_parameters(generator)
    net = net.to(features.device)
    optimizer = torch.optim.Adam(net.parameters(), lr=lr)
    losses = []
    for _ in range(epochs):
        order = torch.randperm(len(features), generator=generator).to(features.device)
        total = torch.zeros((), device=features.device)
        for rows in order.split(batch):
            loss = F.mse_loss(net(features[rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach() * len(rows)
        losses.append(float(total) / len(features))
    return net.eval(), losses


def _check(features: Tensor, targets: Tensor) -> None:
    if len(features) == 0:
        raise ValueError("no pose to learn scoring from: expected at least one whose OKS is not exactly 1")
    if targets.shape != (len(features),):
        raise ValueError(f"expected one target for each of {len(features)} poses; got shape {tuple(targets.shape)}")
    if not (features.isfinite().all() and targets.isfinite().all()):
        raise ValueError("features and targets to learn scoring from must be finite; some are infinite or NaN")

"""The network that estimates a pose's OKS from its shape and its heat (specs 3.6)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pose.pose_features import Sticks, pose_features
from pose.skeletons import Skeleton

HIDDEN = 256


class ScoreNet(nn.Module):
    """Features (N, D) → scores (N,). Its tensors are named as in public files: l1, l2, l3."""

    def __init__(self, features: int, hidden: int = HIDDEN) -> None:
        super().__init__()
        if features < 1 or hidden < 1:
            raise ValueError(f"features and hidden must be at least 1; got {features} and {hidden}")
        self.l1 = nn.Linear(features, hidden)
        self.l2 = nn.Linear(hidden, hidden)
        self.l3 = nn.Linear(hidden, 1)
        self.reset_parameters()

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Weights uniform in ±sqrt(3 / inputs), biases 0, as the public code starts."""
        for layer in (self.l1, self.l2, self.l3):
            bound = math.sqrt(3 / layer.in_features)
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        hidden = torch.relu(self.l2(torch.relu(self.l1(features))))
        output: Tensor = self.l3(hidden)
        return output[:, 0]


@dataclass(frozen=True)
class PoseScorer:
    """A scoring network, and what it is shown of a pose."""

    net: ScoreNet
    skeleton: Skeleton
    sticks: Sticks

    def to(self, device: torch.device | str) -> "PoseScorer":
        return PoseScorer(self.net.to(device), self.skeleton, self.sticks)

    @torch.inference_mode()
    def score(self, keypoints: Tensor, heat: Tensor) -> Tensor:
        """Scores (N,) of poses, on the network's device.

        Args:
            keypoints: (N, K, 2), px of the original picture. heat: (N, K), heat times centre score.
        """
        if keypoints.shape[1] != self.skeleton.num_keypoints:
            raise ValueError(
                f"this network scores {self.skeleton.name}, {self.skeleton.num_keypoints} keypoints; "
                f"got {keypoints.shape[1]}"
            )
        device = self.net.l1.weight.device
        keypoints, heat = keypoints.to(device).float(), heat.to(device).float()
        scores: Tensor = self.net(pose_features(keypoints, heat, self.sticks))
        return scores

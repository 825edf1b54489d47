"""EFAFNet's feature selection, FSM (Xu, Zou & Lin): channels and places of a map are weighted (specs 5.3, 5.9)."""

from typing import Literal

import torch
from torch import Tensor, nn

Arrangement = Literal["parallel", "cs_lss", "lss_cs"]
ARRANGEMENTS = ("parallel", "cs_lss", "lss_cs")


class ChannelSelection(nn.Module):
    """CS: X (B, C, H, W) → α (B, C, 1, 1) in (0, 1), from the sum of each channel's mean and maximum."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.w1 = nn.Linear(channels, hidden)
        self.relu = nn.ReLU(inplace=True)
        self.w2 = nn.Linear(hidden, channels)

    def forward(self, x: Tensor) -> Tensor:
        pooled = x.mean(dim=(2, 3)) + x.amax(dim=(2, 3))
        return torch.sigmoid(self.w2(self.relu(self.w1(pooled))))[:, :, None, None]


class LocationSelection(nn.Module):
    """LSS: X (B, C, H, W) → β (B, 1, H, W), from one number per place.

    Args:
        outer_relu: a ReLU in front of the sigmoid, as eq. 2 has it: β is then never below ½.
    """

    def __init__(self, channels: int, outer_relu: bool) -> None:
        super().__init__()
        self.w1 = nn.Conv2d(channels, 1, 1)
        self.relu = nn.ReLU(inplace=True)
        self.w2 = nn.Conv2d(1, 1, 1)
        self.outer_relu = nn.ReLU(inplace=True) if outer_relu else nn.Identity()
        # A w2 below 0 would leave the outer ReLU dead everywhere.
        nn.init.ones_(self.w2.weight)
        for layer in (self.w1, self.w2):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.outer_relu(self.w2(self.relu(self.w1(x)))))


class FeatureSelection(nn.Module):
    """F (B, C, H, W) → the same size.

    Args:
        hidden: channels between CS's two layers.
        arrangement: "parallel": (F + α·F) + (F + β·F), both weights from F; "cs_lss": F' = F + α·F, then F' + β·F' with
            β from F'; "lss_cs": the other way round.
        outer_relu: of `LocationSelection`.
    """

    def __init__(self, channels: int, hidden: int, arrangement: Arrangement, outer_relu: bool = True) -> None:
        super().__init__()
        self.cs = ChannelSelection(channels, hidden)
        self.lss = LocationSelection(channels, outer_relu)
        self.arrangement = arrangement

    def forward(self, x: Tensor) -> Tensor:
        if self.arrangement == "parallel":
            return torch.addcmul(x * (self.cs(x) + 2), x, self.lss(x))  # one map kept for backward, not three
        first, second = (self.cs, self.lss) if self.arrangement == "cs_lss" else (self.lss, self.cs)
        x = torch.addcmul(x, x, first(x))
        return torch.addcmul(x, x, second(x))

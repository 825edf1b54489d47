"""A network that answers with heatmaps: backbone → head. Encoding, loss and decoding live elsewhere."""

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True)
class OutputMap:
    """What one output of a network is, so that target, loss and decoding follow from it.

    Attributes:
        name: for logs, e.g. "heatmaps".
        stride: crop px per heatmap px.
        sigma_scale: the target's sigma in this output's px, relative to the recipe's sigma.
        loss_weight: of this output in the total loss.
    """

    name: str
    stride: float
    sigma_scale: float = 1.0
    loss_weight: float = 1.0


class HeatmapNetwork(nn.Module):
    """Crops (B, 3, H, W) → one tensor (B, K, H/stride, W/stride) for each of `outputs`; the last one is decoded."""

    def __init__(self, backbone: nn.Module, head: nn.Module, outputs: tuple[OutputMap, ...]) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.outputs = outputs

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        return (self.head(self.backbone(crops)),)

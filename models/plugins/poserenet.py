"""PoseReNet (Xiang, Chen & Zhou): three light branches on a network's heatmaps, and their aggregate (specs 2)."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from models.output_map import OutputMap
from models.upsampling import BilinearUpsampling

_AGGREGATIONS = ("mean", "sum", "max", "mean_low")
_BRANCHES = ("attention", "lifting", "identity")
_MAPS = ("input", *_BRANCHES, "output")


class PoseReNet(nn.Module):
    """Heatmaps (B, K, h, w) → those of the attention (h, w), lifting (2h, 2w) and identity (h, w) branch, and their
    aggregate (2h, 2w), which is decoded. The features are not looked at.

    A supervised map takes over the loss of the network's own heatmaps, hard keypoint mining included.

    Args:
        aggregation: "mean", "sum" or "max" at (2h, 2w), or "mean_low", the mean at (h, w).
        supervise: which maps are learnt: "input" is the network's own, "output" the aggregate.
        relu: put a ReLU between the convolutions of a branch; the paper's equations have none.
    Raises:
        ValueError: a name that is none of these, or nothing to supervise.
    """

    def __init__(
        self,
        feature_channels: int,
        num_keypoints: int,
        output: OutputMap,
        aggregation: str = "mean",
        supervise: Sequence[str] = _BRANCHES,
        relu: bool = False,
    ) -> None:
        super().__init__()
        _check(aggregation, supervise)
        k = num_keypoints
        self.attention = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), *_branch([nn.Conv2d(k, k, 1), nn.Conv2d(k, k, 1)], relu), nn.Sigmoid()
        )
        deconvolution, last = nn.ConvTranspose2d(k, k, 4, stride=2, padding=1), nn.Conv2d(k, k, 3, padding=1)
        self.lifting = nn.Sequential(*_branch([deconvolution, nn.Conv2d(k, k, 1), last], relu), nn.Sigmoid())
        self.identity = nn.Sequential(*_branch([_identity(k), _identity(k)], relu))
        self.upsample = BilinearUpsampling(2)
        # sigmoid(−4.6) = 0.01: learning starts from an almost empty map.
        nn.init.constant_(last.bias, -4.6)  # type: ignore[arg-type]
        self.aggregation = aggregation
        self.peak = output.peak
        self.base_output, *others = _outputs(output, aggregation, supervise)
        self.outputs = tuple(others)

    def forward(self, features: Tensor, heatmaps: Tensor) -> tuple[Tensor, ...]:
        relative = heatmaps / self.peak
        attention = self.attention(relative) * heatmaps
        lifting = self.lifting(relative) * self.peak
        identity = self.identity(heatmaps)
        return attention, lifting, identity, self._aggregate(attention, lifting, identity)

    def _aggregate(self, attention: Tensor, lifting: Tensor, identity: Tensor) -> Tensor:
        if self.aggregation == "mean_low":
            return (attention + identity + lifting[:, :, ::2, ::2]) / 3
        if self.aggregation == "max":
            return torch.maximum(torch.maximum(self.upsample(attention), self.upsample(identity)), lifting)
        total = self.upsample(attention + identity) + lifting
        return total if self.aggregation == "sum" else total / 3


def _branch(convolutions: list[nn.Module], relu: bool) -> list[nn.Module]:
    """The convolutions, with a ReLU between each two if `relu` is set."""
    if not relu:
        return convolutions
    first, *others = convolutions
    return [first, *(layer for convolution in others for layer in (nn.ReLU(inplace=True), convolution))]


def _identity(channels: int) -> nn.Conv2d:
    """A 3x3 convolution that almost returns its input."""
    layer = nn.Conv2d(channels, channels, 3, padding=1)
    nn.init.dirac_(layer.weight)
    with torch.no_grad():
        layer.weight.add_(torch.randn_like(layer.weight), alpha=0.001)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _outputs(output: OutputMap, aggregation: str, supervise: Sequence[str]) -> list[OutputMap]:
    """What the network's own map and the four new ones are."""
    output = replace(output, averaged=False)  # the aggregate alone is decoded
    finer = replace(output, stride=output.stride / 2, sigma_scale=output.sigma_scale * 2)
    aggregate = output if aggregation == "mean_low" else finer
    maps = {
        "input": output,
        "attention": replace(output, name="attention"),
        "lifting": replace(finer, name="lifting"),
        "identity": replace(output, name="identity"),
        "output": replace(aggregate, name="aggregate", peak=output.peak * (3 if aggregation == "sum" else 1)),
    }
    return [replace(one, loss_weight=one.loss_weight * (name in supervise)) for name, one in maps.items()]


def _check(aggregation: str, supervise: Sequence[str]) -> None:
    if aggregation not in _AGGREGATIONS:
        raise ValueError(f"aggregation must be one of {', '.join(_AGGREGATIONS)}, got {aggregation!r}")
    if isinstance(supervise, str) or not supervise or not set(supervise) <= set(_MAPS):
        raise ValueError(f"supervise must be a list of one or more of {', '.join(_MAPS)}, got {supervise!r}")

"""EnhanceNet (Liu et al., ECAI 2020): the heatmaps again, r times finer, by a sub-pixel convolution (specs 1)."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from models.output_map import OutputMap
from models.upsampling import BilinearUpsampling

_INPUTS = ("both", "features", "heatmaps")
_DECONVOLUTIONS = {"deconv3": 3, "deconv12": 12}
_UPSCALINGS = ("subpixel", "bilinear", *_DECONVOLUTIONS)


class EnhanceNet(nn.Module):
    """Features (B, C, h, w) and heatmaps (B, K, h, w) → heatmaps (B, K, h·ratio, w·ratio).

    Both maps are learnt; online hard keypoint mining, where the network does it, moves to the finer one (specs 1.5).

    Args:
        channels: of the layers in between. layers: how many there are with the last one, which makes the finer map.
        input: what is looked at. upscale: how the last layer does it.
        ratio: how many times finer. loss_weight: of the finer map relative to that of the network's own.
    Raises:
        ValueError: a name or number that is none of these.
    """

    def __init__(
        self,
        feature_channels: int,
        num_keypoints: int,
        output: OutputMap,
        channels: int = 128,
        input: str = "both",
        upscale: str = "subpixel",
        ratio: int = 4,
        loss_weight: float = 1.0,
        layers: int = 3,
    ) -> None:
        super().__init__()
        _check(channels, input, upscale, ratio, loss_weight, layers)
        self.input = input
        inputs = {"both": feature_channels + num_keypoints, "features": feature_channels, "heatmaps": num_keypoints}
        hidden: list[nn.Module] = [nn.Conv2d(inputs[input], channels, 1), nn.ReLU(inplace=True)]
        for _ in range(layers - 2):
            hidden += [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(inplace=True)]
        self.hidden = nn.Sequential(*hidden)
        self.upscale = _upscaling(upscale, channels, num_keypoints, ratio)
        self.base_output = replace(output, hardest=None)
        finer = replace(output, name="enhanced", stride=output.stride / ratio, sigma_scale=output.sigma_scale * ratio)
        # The finer map alone is decoded.
        self.outputs = (replace(finer, loss_weight=output.loss_weight * loss_weight, averaged=False),)
        self.apply(_initialise)

    def forward(self, features: Tensor, heatmaps: Tensor) -> tuple[Tensor, ...]:
        seen = {"both": (features, heatmaps), "features": (features,), "heatmaps": (heatmaps,)}[self.input]
        return (self.upscale(self.hidden(torch.cat(seen, dim=1))),)


def _upscaling(kind: str, channels: int, num_keypoints: int, ratio: int) -> nn.Module:
    """(B, channels, h, w) → (B, K, h·ratio, w·ratio)."""
    if kind == "subpixel":
        return nn.Sequential(nn.Conv2d(channels, num_keypoints * ratio**2, 3, padding=1), nn.PixelShuffle(ratio))
    if kind == "bilinear":
        return nn.Sequential(BilinearUpsampling(ratio), nn.Conv2d(channels, num_keypoints, 3, padding=1))
    kernel = _DECONVOLUTIONS[kind]
    # The least padding that leaves no more than `ratio` times the input; what is then missing is added at the end.
    padding = max(0, -(-(kernel - ratio) // 2))
    missing = ratio - kernel + 2 * padding
    return nn.ConvTranspose2d(channels, num_keypoints, kernel, stride=ratio, padding=padding, output_padding=missing)


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, std=0.001)
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]


def _check(channels: int, input: str, upscale: str, ratio: int, loss_weight: float, layers: int) -> None:
    for name, value, known in (("input", input, _INPUTS), ("upscale", upscale, _UPSCALINGS)):
        if value not in known:
            raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    for name, number, least in (("channels", channels, 1), ("ratio", ratio, 2), ("layers", layers, 2)):
        if not isinstance(number, int) or number < least:
            raise ValueError(f"{name} must be a whole number from {least} up, got {number!r}")
    if not loss_weight >= 0:
        raise ValueError(f"loss_weight must be 0 or more, got {loss_weight!r}")

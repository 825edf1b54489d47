"""A network that answers with heatmaps: a base network, and perhaps a plug-in on it.

Encoding, loss and decoding live elsewhere; `outputs` tells them what to do.
"""

from typing import Protocol

from torch import Tensor, nn

from models.output_map import OutputMap


class BaseNetwork(Protocol):
    """What every network of `models.networks` is, besides an `nn.Module`.

    Attributes:
        outputs: what the maps are, in order; the last one holds the heatmaps (B, K, h, w).
        feature_channels: C of the features.
        published_names: (own prefix, prefix in public files) of tensor names; the first that fits is exchanged.
        backbone: what ImageNet weights are loaded into; None if there are none for it.
        new_tensors, dropped_tensors: optional; patterns of the backbone's tensor names that ImageNet weights need not
            hold, and of names in their file that may be left over.
    """

    @property
    def outputs(self) -> tuple[OutputMap, ...]: ...
    @property
    def feature_channels(self) -> int: ...
    @property
    def published_names(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def backbone(self) -> nn.Module | None: ...

    def __call__(self, crops: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Crops (B, 3, H, W) → a tensor for each of `outputs`, and the features (B, C, h, w) which the last of them
        was made from."""


class Plugin(Protocol):
    """What every plug-in of `models.plugins` is, besides an `nn.Module`. It knows nothing of the network it sits on.

    It is built from (feature_channels, num_keypoints, output, **options), `output` being the network's last one.

    Attributes:
        base_output: what `output` becomes, e.g. one without a loss.
        outputs: what its own maps are; the last one is decoded.
    """

    @property
    def base_output(self) -> OutputMap: ...
    @property
    def outputs(self) -> tuple[OutputMap, ...]: ...

    def __call__(self, features: Tensor, heatmaps: Tensor) -> tuple[Tensor, ...]:
        """Features (B, C, h, w) and heatmaps (B, K, h, w) → a tensor for each of `outputs`."""


class HeatmapNetwork(nn.Module):
    """Crops (B, 3, H, W) → one tensor (B, C, H/stride, W/stride) for each of `outputs`; the last one is decoded."""

    def __init__(self, base: BaseNetwork, plugin: Plugin | None = None) -> None:
        super().__init__()
        self.base = base
        self.plugin = plugin
        self.outputs = base.outputs
        if plugin is not None:
            self.outputs = (*base.outputs[:-1], plugin.base_output, *plugin.outputs)

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        maps, features = self.base(crops)
        return maps if self.plugin is None else (*maps, *self.plugin(features, maps[-1]))

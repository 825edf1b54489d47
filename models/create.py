"""Network names → networks."""

from collections.abc import Callable
from functools import partial
from typing import Any

from models.backbones.resnet import RESNETS
from models.heads.deconvolution import DeconvolutionHead
from models.heatmap_network import HeatmapNetwork, OutputMap


def simple_baseline(
    backbone: str,
    num_keypoints: int,
    width: int = 64,
    stages: int = 4,
    deconv_channels: tuple[int, ...] = (256, 256, 256),
) -> HeatmapNetwork:
    """SimpleBaseline: a ResNet and transposed convolutions; heatmaps at stride 4 with the default head.

    Args:
        width: channels of the ResNet's first stage. stages: how many of its four stages there are.
        deconv_channels: outputs of each transposed convolution.
    """
    widths = (width, *deconv_channels)
    if not all(isinstance(value, int) and value > 0 for value in widths):
        raise ValueError(f"width and deconv_channels must be whole numbers above 0, got {width!r}, {deconv_channels!r}")
    if stages not in (1, 2, 3, 4):
        raise ValueError(f"stages must be 1, 2, 3 or 4, got {stages!r}")
    resnet = RESNETS[backbone](width, stages)
    head = DeconvolutionHead(resnet.channels, num_keypoints, tuple(deconv_channels))
    return HeatmapNetwork(resnet, head, (OutputMap("heatmaps", stride=resnet.stride / head.upsampling),))


_MODELS: dict[str, Callable[..., HeatmapNetwork]] = {
    f"simplebaseline_{backbone}": partial(simple_baseline, backbone) for backbone in RESNETS
}


def list_models() -> list[str]:
    """Names that `create_model` takes."""
    return list(_MODELS)


def create_model(name: str, num_keypoints: int, **options: Any) -> HeatmapNetwork:
    """Build a network with fresh weights.

    Raises:
        KeyError: unknown name; lists the known ones.
        TypeError: an option that this network does not have. ValueError: a value that an option cannot take.
    """
    if name not in _MODELS:
        raise KeyError(f"unknown model {name!r}; known: {', '.join(_MODELS)}")
    try:
        return _MODELS[name](num_keypoints=num_keypoints, **options)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error

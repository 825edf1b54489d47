"""Network and plug-in names → networks."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from models.heatmap_network import BaseNetwork, HeatmapNetwork, Plugin
from models.networks.cpn import CPN
from models.networks.dlcm import DLCM
from models.networks.efafnet import EFAFNet
from models.networks.hourglass import StackedHourglass
from models.networks.hrnet import HRNetPose
from models.networks.mrfeanet import MRFeaNet
from models.networks.mrheatnet import MRHeatNet
from models.networks.simple_baseline import SimpleBaseline
from models.plugins.enhancenet import EnhanceNet
from models.plugins.poserenet import PoseReNet

_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
_DEEP = ("resnet50", "resnet101", "resnet152")

_NETWORKS: dict[str, Callable[..., BaseNetwork]] = {
    **{f"simplebaseline_{resnet}": partial(SimpleBaseline, resnet=resnet) for resnet in _RESNETS},
    **{f"hrnet_w{width}": partial(HRNetPose, width=width) for width in (32, 48)},
    **{f"hourglass_{stacks}": partial(StackedHourglass, stacks=stacks) for stacks in (2, 4, 8)},
    **{f"cpn_{resnet}": partial(CPN, resnet=resnet) for resnet in ("resnet50", "resnet101")},
    "dlcm": DLCM,
    **{f"mrheatnet{n}_{resnet}": partial(MRHeatNet, resnet=resnet, variant=n) for n in (1, 2) for resnet in _DEEP},
    **{f"mrfeanet{n}_{resnet}": partial(MRFeaNet, resnet=resnet, variant=n) for n in (1, 2) for resnet in _DEEP},
    **{f"efafnet_{resnet}": partial(EFAFNet, resnet=resnet) for resnet in _DEEP},
}

_PLUGINS: dict[str, Callable[..., Plugin]] = {
    "enhancenet": EnhanceNet,
    "poserenet": PoseReNet,
}


def list_models() -> list[str]:
    """Names that `create_model` takes."""
    return list(_NETWORKS)


def list_plugins() -> list[str]:
    """Names that `create_model` takes for `plugin`."""
    return list(_PLUGINS)


def create_model(
    name: str,
    num_keypoints: int,
    *,
    plugin: str | None = None,
    plugin_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> HeatmapNetwork:
    """Build a network with fresh weights.

    Args:
        plugin: the name of a plug-in to put on the network. plugin_options: for it. options: for the network.
    Raises:
        KeyError: unknown name; lists the known ones.
        TypeError: an option that the network or plug-in does not have. ValueError: a value that one cannot take.
    """
    base = _build("model", _NETWORKS, name, num_keypoints=num_keypoints, **options)
    if plugin is None:
        return HeatmapNetwork(base)
    return HeatmapNetwork(
        base,
        _build(
            "plug-in",
            _PLUGINS,
            plugin,
            feature_channels=base.feature_channels,
            num_keypoints=num_keypoints,
            output=base.outputs[-1],
            **(plugin_options or {}),
        ),
    )


def _build(kind: str, known: Mapping[str, Callable[..., Any]], name: str, **options: Any) -> Any:
    if name not in known:
        raise KeyError(f"unknown {kind} {name!r}; known: {', '.join(known)}")
    try:
        return known[name](**options)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from error

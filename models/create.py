"""Network and plug-in names → networks."""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from models.heatmap_network import BaseNetwork, HeatmapNetwork, Plugin
from models.networks.ae_hourglass import AEHourglass
from models.networks.cpn import CPN
from models.networks.dlcm import DLCM
from models.networks.efafnet import EFAFNet
from models.networks.heatmap_guided import HeatmapGuided
from models.networks.higherhrnet import HigherHRNet
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
    **{f"higherhrnet_w{width}": partial(HigherHRNet, width=width) for width in (32, 48)},
    **{f"guided_hrnet_w{width}": partial(HeatmapGuided, width=width, higher=False) for width in (32, 48)},
    "guided_higherhrnet_w48": partial(HeatmapGuided, width=48, higher=True),
    "ae_hourglass_4": AEHourglass,
}

_PLUGINS: dict[str, Callable[..., Plugin]] = {
    "enhancenet": EnhanceNet,
    "poserenet": PoseReNet,
}
# Plug-ins for networks that look at one person → why.
_ONE_PERSON = {"poserenet": "its attention weighs a keypoint's heatmap by the mean over one person's whole crop"}


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
        TypeError: an option that the network or plug-in does not have. ValueError: a value that one cannot take, or a
            plug-in for one person's crop on a network that tells several persons apart.
    """
    if not isinstance(num_keypoints, int) or num_keypoints < 1:
        raise ValueError(f"{name}: num_keypoints must be a whole number above 0, got {num_keypoints!r}")
    base = _build("model", _NETWORKS, name, options, num_keypoints=num_keypoints)
    if plugin is None:
        if plugin_options:
            raise ValueError(f"{name}: plugin_options {dict(plugin_options)} without a plug-in; name one with `plugin`")
        return HeatmapNetwork(base)
    if plugin in _ONE_PERSON and any(output.kind != "heatmaps" for output in base.outputs):
        others = ", ".join(other for other in _PLUGINS if other not in _ONE_PERSON)
        raise ValueError(f"{plugin} does not fit {name}: {_ONE_PERSON[plugin]}; bottom-up networks take {others}")
    given = {"feature_channels": base.feature_channels, "num_keypoints": num_keypoints, "output": base.outputs[-1]}
    return HeatmapNetwork(base, _build("plug-in", _PLUGINS, plugin, plugin_options or {}, **given))


def _build(
    kind: str, known: Mapping[str, Callable[..., Any]], name: str, options: Mapping[str, Any], **given: Any
) -> Any:
    if name not in known:
        raise KeyError(f"unknown {kind} {name!r}; known: {', '.join(known)}")
    builder = known[name]
    # What the name says, such as a depth, is no option; a width is, for small networks.
    said = {*given, *getattr(builder, "keywords", {})} - {"width"}
    takes = [option for option in inspect.signature(builder).parameters if option not in said]
    unknown = [option for option in options if option not in takes]
    if unknown:
        raise TypeError(f"{name}: no option {', '.join(map(repr, unknown))}; it has: {', '.join(takes)}")
    try:
        return builder(**given, **options)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error
    except TypeError as error:  # python's own words, which do not say for which option
        raise TypeError(f"{name}: {error}, with the options {dict(options)}") from error

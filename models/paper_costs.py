"""How large the papers say that their networks are, beside what is counted here."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from models.cost import Cost, model_cost, plugin_cost

Unit = Literal["1e9", "2^30"]
UNITS: dict[Unit, float] = {"1e9": 1e9, "2^30": 2.0**30}

_CUT = "the paper cuts the figure instead of rounding it"
_ROUNDED_UP = "the paper rounds 2.248 up"
_WITHOUT_PLUGIN = "the paper repeats the figure of the network without its plug-in"
_OTHER_CODE = "the paper does not say of which implementation; not of the one that is counted here"
_UNEXPLAINED = "the authors of the network print 35.3 beside its code"
_ONE_BRANCH = "the paper counts one of the three branches for heatmaps, and not what computes its transforms"
_TWICE = "every parameter is counted twice"
_TWICE_SWAPPED = "a slip of the pen for 277.8, which counts every parameter twice"
_NO_ARRANGEMENT = "no arrangement that the text can mean has the printed figures"


@dataclass(frozen=True)
class PaperCost:
    """A network, perhaps with a plug-in, and what a paper prints of its size.

    Attributes:
        crop_size: (height, width), px.
        source: the paper and its table, by number.
        params: millions, as printed; None if the paper prints no size.
        macs: as printed, in `unit`; transposed convolutions count densely.
        plugin_alone: the figures are those of the plug-in.
        differs: why a printed figure is not the one that is counted here; None if both agree.
    """

    network: str
    source: str
    params: str | None = None
    macs: str | None = None
    differs: str | None = None
    num_keypoints: int = 17
    crop_size: tuple[int, int] = (256, 192)
    plugin: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    plugin_options: Mapping[str, Any] = field(default_factory=dict)
    unit: Unit = "2^30"
    plugin_alone: bool = False

    @property
    def name(self) -> str:
        """What `models.create_model` is given: network and options, plug-in and options."""
        words = [self.network, *(f"{name}={value}" for name, value in self.options.items())]
        if self.plugin is not None:
            words += ["+", self.plugin, *(f"{name}={value}" for name, value in self.plugin_options.items())]
        return " ".join([*words, "(alone)"] if self.plugin_alone else words)


def counted(row: PaperCost) -> Cost:
    """The cost of a row's system, or of its plug-in alone."""
    options = tuple(sorted(row.options.items()))
    if row.plugin is None:
        return _network_cost(row.network, row.num_keypoints, row.crop_size, options)
    plugin = plugin_cost(
        row.network, row.num_keypoints, row.crop_size, row.plugin, row.plugin_options, **dict(row.options)
    )
    return (
        plugin if row.plugin_alone else plugin + _network_cost(row.network, row.num_keypoints, row.crop_size, options)
    )


@cache
def _network_cost(name: str, num_keypoints: int, size: tuple[int, int], options: tuple[tuple[str, Any], ...]) -> Cost:
    return model_cost(name, num_keypoints, size, **dict(options))


_MPII: dict[str, Any] = {"num_keypoints": 16, "crop_size": (256, 256)}
_SMALL: dict[str, Any] = {"crop_size": (128, 96)}
_LARGE: dict[str, Any] = {"crop_size": (384, 288)}
_SHORT_512: dict[str, Any] = {"crop_size": (512, 512)}
_SHORT_640: dict[str, Any] = {"crop_size": (640, 640)}
_SBN_50 = "simplebaseline_resnet50"


def _networks() -> Iterator[PaperCost]:
    yield PaperCost(_SBN_50, "HRNet 1, EFAFNet VIII", "34.0", "8.90", _CUT)
    yield PaperCost("simplebaseline_resnet101", "HRNet 1", "53.0", "12.4")
    yield PaperCost("simplebaseline_resnet152", "HRNet 1", "68.6", "15.7", _CUT)
    yield PaperCost("simplebaseline_resnet152", "HRNet 1, PoseReNet II", "68.6", "35.6", _UNEXPLAINED, **_LARGE)
    yield PaperCost("hrnet_w32", "HRNet 1", "28.5", "7.10", _CUT)
    yield PaperCost("hrnet_w48", "HRNet 1", "63.6", "14.6")
    yield PaperCost("hrnet_w32", "HRNet 1, PoseReNet II", "28.5", "16.0", **_LARGE)
    yield PaperCost("hrnet_w48", "HRNet 1, PoseReNet II", "63.6", "32.9", **_LARGE)
    for stacks in (2, 4, 8):
        yield PaperCost(f"hourglass_{stacks}", "EnhanceNet 1", **_MPII)
    yield PaperCost("hourglass_8", "HRNet 1", "25.1", "14.3", _OTHER_CODE)
    yield PaperCost("dlcm", "EnhanceNet 1", **_MPII)
    yield PaperCost("cpn_resnet50", "HRNet 1", "27.0", "6.20", _OTHER_CODE)
    yield PaperCost("cpn_resnet101", "EnhanceNet 4")


def _enhancenet() -> Iterator[PaperCost]:
    for network in (_SBN_50, "simplebaseline_resnet101", "hrnet_w32", "hrnet_w48", "cpn_resnet50", "cpn_resnet101"):
        yield PaperCost(network, "EnhanceNet 4", plugin="enhancenet")
    for network in ("hourglass_2", "hourglass_4", "hourglass_8", "dlcm"):
        yield PaperCost(network, "EnhanceNet 1", plugin="enhancenet", **_MPII)
    for options, table, params, macs in (
        ({"channels": 64}, "5b", "0.21", "0.65"),
        ({}, "5b, 5c, 5d", "0.50", "1.52"),
        ({"channels": 256}, "5b", "1.29", "3.95"),
        ({"upscale": "bilinear"}, "5c", "0.20", "1.52"),
        ({"upscale": "deconv3"}, "5c", "0.20", "1.52"),
        ({"upscale": "deconv12"}, "5c", "0.50", "15.96"),
        ({"ratio": 2}, "5d", "0.26", "0.80"),
        ({"ratio": 3}, "5d", "0.36", "1.10"),
        ({"ratio": 5}, "5d", "0.67", "2.06"),
    ):
        yield PaperCost(
            _SBN_50,
            f"EnhanceNet {table}",
            params,
            macs,
            plugin="enhancenet",
            plugin_options=options,
            unit="1e9",
            plugin_alone=True,
        )


def _poserenet() -> Iterator[PaperCost]:
    for network, params, macs, size, without, with_plugin in (
        (_SBN_50, "34.0", "2.3", _SMALL, _ROUNDED_UP, None),
        ("simplebaseline_resnet101", "53.0", "3.1", _SMALL, None, None),
        ("hrnet_w32", "28.5", "1.8", _SMALL, None, None),
        ("hrnet_w48", "63.6", "3.6", _SMALL, _CUT, _CUT),
        ("hrnet_w32", "28.5", "7.1", {}, None, _WITHOUT_PLUGIN),
    ):
        yield PaperCost(network, "PoseReNet I", params, macs, without, **size)
        yield PaperCost(network, "PoseReNet I", params, macs, with_plugin, plugin="poserenet", **size)
    yield PaperCost("hrnet_w48", "PoseReNet II", "63.6", "32.9", _WITHOUT_PLUGIN, plugin="poserenet", **_LARGE)
    yield PaperCost("hrnet_w32", "PoseReNet III", plugin="poserenet", **_MPII)


def _mrnet() -> Iterator[PaperCost]:
    for network in ("mrheatnet1", "mrheatnet2", "mrfeanet1", "mrfeanet2"):
        yield PaperCost(f"{network}_resnet50", "MRNet I")
    for depth in (101, 152):
        yield PaperCost(f"mrfeanet2_resnet{depth}", "MRNet I")


def _efafnet() -> Iterator[PaperCost]:
    none = {"fam": False, "fsm": None, "ffm": False, "duc": False}
    fasm = {"ffm": False, "duc": False}
    for module in ({"fam": True}, {"fsm": "parallel"}, {"ffm": True}, {"duc": True}):
        yield PaperCost("efafnet_resnet50", "EFAFNet VI", options=none | module)
    yield PaperCost("efafnet_resnet50", "EFAFNet VIII", "37.0", "9.23", _NO_ARRANGEMENT, options=fasm)
    fasm_c = fasm | {"fasm_place": "convolution"}
    yield PaperCost("efafnet_resnet50", "EFAFNet VIII", "39.28", "10.52", _NO_ARRANGEMENT, options=fasm_c)
    for depth in (50, 101, 152):
        yield PaperCost(f"efafnet_resnet{depth}", "EFAFNet I, XII")


def _bottom_up() -> Iterator[PaperCost]:
    # Among figures in 1e9 these papers print the hourglass's in 2^30.
    yield PaperCost("ae_hourglass_4", "HigherHRNet 1", "277.8", "206.9", _TWICE, **_SHORT_512)
    yield PaperCost("ae_hourglass_4", "bottom-up 1", "227.8", "206.9", _TWICE_SWAPPED, **_SHORT_512)
    yield PaperCost("ae_hourglass_4", "EnhanceNet 4", plugin="enhancenet", **_SHORT_512)
    yield PaperCost("higherhrnet_w32", "HigherHRNet 1", "28.6", "47.9", unit="1e9", **_SHORT_512)
    yield PaperCost("higherhrnet_w48", "HigherHRNet 1, bottom-up 1", "63.8", "154.3", unit="1e9", **_SHORT_640)
    for options in ({"guidance": False, "adaptive": False}, {"adaptive": False}):
        yield PaperCost("guided_hrnet_w32", "bottom-up 4", options=options, **_SHORT_512)
    for network, params, macs, size in (
        ("guided_hrnet_w32", "30.7", "63.7", _SHORT_512),
        ("guided_hrnet_w48", "66.8", "170.1", _SHORT_640),
        ("guided_higherhrnet_w48", "66.9", "179.5", _SHORT_640),
    ):
        yield PaperCost(network, "bottom-up 1", params, macs, _ONE_BRANCH, unit="1e9", **size)


PAPER_COSTS = (*_networks(), *_enhancenet(), *_poserenet(), *_mrnet(), *_efafnet(), *_bottom_up())

"""Names of networks and plug-ins: each builds what it says, and plug-ins sit on a network's last output."""

from typing import Any

import pytest
import torch

from models import create_model, list_models, list_plugins

# Of public implementations and papers (specs 3.8, 4.6, 6), 17 keypoints unless an option says otherwise.
PARAMS: dict[str, int | tuple[int, dict[str, Any]]] = {
    "simplebaseline_resnet18": 15_376_721,
    "simplebaseline_resnet34": 25_484_881,
    "simplebaseline_resnet50": 33_999_697,
    "simplebaseline_resnet101": 52_991_825,
    "simplebaseline_resnet152": 68_635_473,
    "hrnet_w32": 28_536_113,
    "hrnet_w48": 63_595_745,
    "hourglass_2": (6_730_912, {"num_keypoints": 16}),
    "hourglass_4": (13_018_816, {"num_keypoints": 16}),
    "hourglass_8": 25_598_472,
    "cpn_resnet50": 27_406_826,
    "cpn_resnet101": 46_398_954,
    "dlcm": (15_495_870, {"num_keypoints": 16}),
    "mrheatnet1_resnet50": 34_017_785,
    "mrheatnet1_resnet101": 53_009_913,
    "mrheatnet1_resnet152": 68_653_561,
    "mrheatnet2_resnet50": 34_022_409,
    "mrheatnet2_resnet101": 53_014_537,
    "mrheatnet2_resnet152": 68_658_185,
    "mrfeanet1_resnet50": 41_341_265,
    "mrfeanet1_resnet101": 60_333_393,
    "mrfeanet1_resnet152": 75_977_041,
    "mrfeanet2_resnet50": 80_141_137,
    "mrfeanet2_resnet101": 99_133_265,
    "mrfeanet2_resnet152": 114_776_913,
    "efafnet_resnet50": (36_687_929, {"ffm": False, "duc": False}),
    "efafnet_resnet101": (58_459_676, {"ffm": False, "duc": False}),
    "efafnet_resnet152": (76_394_975, {"ffm": False, "duc": False}),
    "higherhrnet_w32": 28_645_331,
    "higherhrnet_w48": 63_827_139,
    "guided_hrnet_w32": 30_678_516,
    "guided_hrnet_w48": 66_803_428,
    "guided_higherhrnet_w48": 66_895_941,
    "ae_hourglass_4": 138_893_840,
}


def test_a_name_builds_the_network_that_it_says() -> None:
    assert list(PARAMS) == list_models()
    for name, expected in PARAMS.items():
        params, options = expected if isinstance(expected, tuple) else (expected, {})
        with torch.device("meta"):
            model = create_model(name, **{"num_keypoints": 17} | options)
        assert sum(p.numel() for p in model.parameters()) == params, name


def test_a_plugin_sits_on_the_last_output_and_the_others_stay() -> None:
    small = {"channels": 8, "depth": 1}
    base = create_model("hourglass_4", 16, **small)
    model = create_model("hourglass_4", 16, plugin="enhancenet", plugin_options={"ratio": 2, "loss_weight": 3}, **small)
    assert model.outputs[:4] == base.outputs
    (output,) = model.outputs[4:]
    assert (output.stride, output.loss_weight) == (2, 3)
    assert model.plugin.hidden[0].in_channels == base.base.feature_channels + 16


def test_plugins_are_those_of_the_papers() -> None:
    assert list_plugins() == ["enhancenet", "poserenet"]


def test_an_unknown_plugin_lists_the_known_ones() -> None:
    with pytest.raises(KeyError, match="unknown plug-in 'enhance'; known: enhancenet, poserenet"):
        create_model("simplebaseline_resnet18", 17, plugin="enhance", width=4)


@pytest.mark.parametrize(
    ("options", "kind", "message"),
    [({"upscaling": "subpixel"}, TypeError, "upscaling"), ({"ratio": 1}, ValueError, "ratio must be .*got 1")],
)
def test_what_a_plugin_refuses_is_named_with_it(options: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=f"enhancenet: .*{message}"):
        create_model("simplebaseline_resnet18", 17, plugin="enhancenet", plugin_options=options, width=4)


def test_an_unknown_option_is_answered_with_those_that_exist() -> None:
    with pytest.raises(TypeError, match="hrnet_w32: no option 'widht'; it has: width, stem, modules, blocks"):
        create_model("hrnet_w32", 17, widht=8)
    with pytest.raises(TypeError, match="enhancenet: no option 'output'; it has: channels, "):
        create_model("simplebaseline_resnet18", 17, plugin="enhancenet", plugin_options={"output": 3}, width=4)


@pytest.mark.parametrize(
    ("name", "options"), [("simplebaseline_resnet50", {"resnet": "resnet18"}), ("hourglass_2", {"stacks": 8})]
)
def test_what_a_name_says_is_no_option(name: str, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"{name}: no option '{next(iter(options))}'"):
        create_model(name, 16, **options)


def test_options_for_a_plugin_that_is_not_there_are_refused() -> None:
    with pytest.raises(ValueError, match=r"plugin_options \{'ratio': 3\} without a plug-in"):
        create_model("simplebaseline_resnet18", 17, plugin_options={"ratio": 3}, width=4)


@pytest.mark.parametrize("name", ["higherhrnet_w32", "guided_hrnet_w32", "ae_hourglass_4"])
def test_a_plugin_for_one_persons_crop_is_refused_where_there_are_several_persons(name: str) -> None:
    with torch.device("meta"), pytest.raises(ValueError, match=f"poserenet does not fit {name}: .*take enhancenet$"):
        create_model(name, 17, plugin="poserenet")


@pytest.mark.parametrize("number", [0, -1, 2.0])
def test_keypoints_are_counted(number: Any) -> None:
    with pytest.raises(ValueError, match="num_keypoints must be a whole number above 0"):
        create_model("simplebaseline_resnet18", number, width=4)

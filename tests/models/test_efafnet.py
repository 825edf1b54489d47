"""EFAFNet: each part as its equation, each switch alone, the specs' parameters and costs, ImageNet weights."""

import itertools
from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from plain_efafnet import BLOCKS, DECONV_CHANNELS, OFF, plain_bottleneck, plain_raised, tiny, without_saturation
from public_networks import plain_conv, plain_norm, randomised, require_kept_layout, require_one_graph
from torch import nn

from models.backbones.fasm import Fasm, FasmBottleneck
from models.backbones.feature_selection import ARRANGEMENTS, FeatureSelection
from models.cost import network_cost
from models.crop_size import CropSizeError
from models.heads.dense_upsampling import DenseUpsamplingHead
from models.heads.feature_fusion import FeatureFusion
from models.heads.stage_heatmaps import StageHeatmaps
from models.networks.efafnet import EFAFNet
from models.networks.simple_baseline import SimpleBaseline

FAM, FSM, FFM, DUC = {"fam": True}, {"fsm": "parallel"}, {"ffm": True}, {"duc": True}


@cache
def cost(resnet: str, *options: tuple[str, Any]) -> tuple[int, int]:
    """Parameters and dense multiply-accumulates at 256x192 for K = 17."""
    with torch.device("meta"):
        network = EFAFNet(17, resnet, **{**OFF, **dict(options)}).eval()
        counted = network_cost(network, torch.empty(1, 3, 256, 192))
    return counted.params, counted.macs_dense


def of(*switches: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(item for switch in switches for item in switch.items())


@pytest.mark.parametrize(
    ("resnet", "switches", "params"),
    [
        ("resnet50", of(), 33_999_697),
        ("resnet101", of(), 52_991_825),
        ("resnet152", of(), 68_635_473),
        ("resnet50", of(FAM), 34_141_785),
        ("resnet50", of(FSM), 36_545_841),
        ("resnet50", of(FAM, FSM), 36_687_929),
        ("resnet101", of(FAM, FSM), 58_459_676),
        ("resnet152", of(FAM, FSM), 76_394_975),
        ("resnet50", of(DUC), 33_999_697 - 10_491_665 + (2048 * 9 + 1) * 64 * 17),
    ],
)
def test_parameters_are_those_of_the_specs(resnet: str, switches: tuple[Any, ...], params: int) -> None:
    assert cost(resnet, *switches)[0] == params


@pytest.mark.parametrize(
    ("switches", "millions", "billions", "binary"),
    [
        (of(), 34.00, 9.654, 8.991),
        (of(FAM, {"base_width": 16}), 24.80, 8.182, 7.62),
        (of(FSM), 36.55, 9.66, 9.00),
        (of(FAM), 34.14, 9.817, 9.14),
        (of(FAM, FSM), 36.69, 9.825, 9.15),
        (of(FAM, FSM, {"base_width": 28}), 38.75, 10.184, 9.48),
        (of(FAM, FSM, {"fasm_place": "convolution"}), 39.20, 9.827, 9.15),
    ],
)
def test_costs_are_those_of_the_specs_table(
    switches: tuple[Any, ...], millions: float, billions: float, binary: float
) -> None:
    params, macs = cost("resnet50", *switches)
    assert params / 1e6 == pytest.approx(millions, abs=0.0051)
    assert macs / 1e9 == pytest.approx(billions, abs=0.0051 if billions == 9.66 else 0.00051)
    assert macs / 2**30 == pytest.approx(binary, abs=0.0051)


def test_the_arrangement_and_the_relu_of_feature_selection_cost_nothing() -> None:
    base = cost("resnet50", *of(FSM))
    assert {cost("resnet50", *of({"fsm": fsm})) for fsm in ARRANGEMENTS} == {base}
    assert cost("resnet50", *of(FSM, {"lss_relu": False})) == base


def test_every_combination_of_switches_costs_the_sum_of_its_switches() -> None:
    base = cost("resnet50")[0]
    switches = {"fam": FAM, "fsm": FSM, "ffm": FFM, "duc": DUC}
    alone = {name: cost("resnet50", *of(switch))[0] - base for name, switch in switches.items()}
    for count in (2, 3, 4):
        for names in itertools.combinations(switches, count):
            together = cost("resnet50", *of(*(switches[name] for name in names)))[0]
            assert together - base == sum(alone[name] for name in names), names


def tensors(network: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def test_all_switches_off_is_simplebaseline() -> None:
    options = {"width": 4, "deconv_channels": DECONV_CHANNELS}
    torch.manual_seed(0)
    baseline = SimpleBaseline(3, "resnet50", **options)
    torch.manual_seed(0)
    network = EFAFNet(3, "resnet50", **{**OFF, **options})
    assert [(n, tuple(t.shape)) for n, t in network.state_dict().items()] == [
        (n, tuple(t.shape)) for n, t in baseline.state_dict().items()
    ]
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in baseline.state_dict().items())
    network.load_state_dict(randomised(baseline).state_dict())
    crops = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    for training in (False, True):
        (expected,), features = baseline.train(training)(crops)
        (heatmaps,), own_features = network.double().train(training)(crops)
        assert torch.equal(heatmaps, expected)
        assert torch.equal(own_features, features)
    assert network.outputs == baseline.outputs
    assert network.feature_channels == baseline.feature_channels
    assert network.published_names == baseline.published_names


@pytest.mark.parametrize("switch", [FAM, FSM, {"fsm": "parallel", "fasm_place": "convolution"}, FFM, DUC])
def test_a_switch_changes_only_its_own_tensors(switch: dict[str, Any]) -> None:
    base, changed = tensors(tiny(width=8, **OFF)), tensors(tiny(width=8, **{**OFF, **switch}))
    gone, new = base.keys() - changed.keys(), changed.keys() - base.keys()
    resized = {name for name in base.keys() & changed.keys() if base[name] != changed[name]}
    blocks = [f"backbone.layer{stage + 1}.{block}." for stage, count in enumerate(BLOCKS) for block in range(count)]

    def within(names: set[str], *parts: str) -> bool:
        return {block for block in blocks if any(name.startswith(block) for name in names)} == set(blocks) and all(
            any(name.startswith(tuple(f"{block}{part}." for part in parts)) for block in blocks) for name in names
        )

    if "fam" in switch:
        assert within(gone, "conv2", "bn2")
        assert within(new, "convs", "bns")
        assert within(resized, "conv1", "bn1", "conv3")
    elif "fsm" in switch:
        assert not gone | resized
        assert within(new, "fsm")
    elif "ffm" in switch:
        assert not gone | resized
        assert all(name.startswith(("ffm.", "supervision.")) for name in new)
    else:
        assert new == {"head.conv.weight", "head.conv.bias"}
        assert all(name.startswith("head.") for name in gone)
        assert not resized


@pytest.mark.parametrize("place", ["bottleneck", "convolution"])
@pytest.mark.parametrize("fsm", [None, *ARRANGEMENTS])
@pytest.mark.parametrize("fam", [True, False])
def test_every_combination_of_switches_gives_what_its_outputs_say(fam: bool, fsm: Any, place: Any) -> None:
    for ffm, duc in itertools.product((True, False), repeat=2):
        with torch.device("meta"):
            network = tiny(14, fam=fam, fsm=fsm, fasm_place=place, ffm=ffm, duc=duc)
            maps, features = network(torch.empty(2, 3, 64, 96))
        names = ["heatmaps_conv2", "heatmaps_conv3", "heatmaps_conv4", "heatmaps"] if ffm else ["heatmaps"]
        assert [output.name for output in network.outputs] == names
        assert [output.stride for output in network.outputs] == [4] * len(names)
        assert [output.loss_weight for output in network.outputs] == [1] * len(names)
        assert [output.hardest for output in network.outputs] == [None] * (len(names) - 1) + [8]
        assert [heatmaps.shape for heatmaps in maps] == [(2, 14, 16, 24)] * len(names)
        assert features.shape == (2, network.feature_channels, 16, 24)
        assert network.feature_channels == (2 if duc else 6)


def test_the_defaults_are_the_papers_full_model() -> None:
    with torch.device("meta"):
        network = EFAFNet(17, "resnet50")
    assert len(network.outputs) == 4
    assert network.outputs[-1].hardest == 8
    assert network.feature_channels == 32
    blocks = [module for module in network.modules() if isinstance(module, FasmBottleneck)]
    assert len(blocks) == 16
    for block in blocks:
        assert block.fasm == Fasm(True, "parallel", "bottleneck", base_width=26, scales=4, lss_relu=True)
        outputs = block.conv3.out_channels
        assert block.conv1.out_channels == 4 * 26 * outputs // 256
        assert [conv.in_channels for conv in block.convs] == [26 * outputs // 256] * 3
        assert block.fsm.cs.w1.out_features == outputs // 16


def test_hidden_channels_of_the_channel_selection() -> None:
    with torch.device("meta"):
        found = {
            (place, reduction): EFAFNet(17, "resnet50", fasm_place=place, reduction=reduction)
            .backbone.get_submodule("layer1.0.fsm.cs.w1")
            .out_features
            for place in ("bottleneck", "convolution")
            for reduction in (None, 1, 1000)
        }
    assert found == {
        ("bottleneck", None): 16, ("bottleneck", 1): 256, ("bottleneck", 1000): 1,
        ("convolution", None): 32, ("convolution", 1): 256, ("convolution", 1000): 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("keypoints", "hardest", "expected"),
    [(17, 8, 8), (9, 8, 8), (8, 8, None), (3, 8, None), (17, None, None), (17, 16, 16)],
)
def test_hard_keypoints_are_mined_where_there_are_more(
    keypoints: int, hardest: int | None, expected: int | None
) -> None:
    assert tiny(keypoints, hardest=hardest).outputs[-1].hardest == expected


def test_building_a_backbone_leaves_the_start_of_feature_selection_alone() -> None:
    for module in tiny(**{**OFF, **FSM}).modules():
        if isinstance(module, FeatureSelection):
            channels = module.lss.w1.in_channels
            assert float(module.lss.w2.weight.detach()) == 1
            assert float(module.lss.w1.weight.detach().abs().max()) <= channels**-0.5
            assert float(module.cs.w1.weight.detach().abs().max()) <= channels**-0.5


def test_feature_fusion_is_its_three_steps() -> None:
    module = randomised(FeatureFusion(3, 5))
    low, high = torch.randn(2, 3, 16, 24, dtype=torch.float64), torch.randn(2, 5, 2, 3, dtype=torch.float64)
    with torch.no_grad():
        state = module.state_dict()
        down = low * plain_raised(plain_conv(high, state, "embedding"), 8)
        for i in (0, 3, 6):
            down = plain_norm(plain_conv(down, state, f"down.{i}", 2), state, f"down.{i + 1}").clamp(min=0)
        fused = plain_conv(torch.cat([high, down], dim=1), state, "fuse.0")
        torch.testing.assert_close(module(low, high), plain_norm(fused, state, "fuse.1").clamp(min=0))


def test_heatmaps_of_the_stages_are_convolved_then_raised() -> None:
    module = randomised(StageHeatmaps((4, 6, 8), 3))
    maps = [torch.randn(2, 4 + 2 * i, 8 // 2**i, 12 // 2**i, dtype=torch.float64) for i in range(3)]
    with torch.no_grad():
        found = module(maps)
        for i, heatmaps in enumerate(found):
            expected = plain_raised(plain_conv(maps[i], module.state_dict(), f"layers.{i}"), 2**i)
            torch.testing.assert_close(heatmaps, expected)


def test_dense_upsampling_turns_channels_into_pixels() -> None:
    head = randomised(DenseUpsamplingHead(18, 2, upsampling=3))
    x = torch.randn(2, 18, 4, 5, dtype=torch.float64)
    with torch.no_grad():
        heatmaps, features = head(x)
        coarse = plain_conv(x, head.state_dict(), "conv")
    for fine, source, channels in ((heatmaps, coarse, 2), (features, x, 2)):
        assert fine.shape == (2, channels, 12, 15)
        for channel, row, column in itertools.product(range(channels), range(3), range(3)):
            expected = source[:, channel * 9 + row * 3 + column]
            torch.testing.assert_close(fine[:, channel, row::3, column::3], expected)


@pytest.mark.parametrize(
    "options",
    [{}, {"duc": False}, {**OFF, **FFM}, {**OFF, **DUC}, {**OFF, **FAM}, {"fasm_place": "convolution", "duc": False}],
    ids=str,
)
def test_the_network_computes_what_its_tensors_say(options: dict[str, Any]) -> None:
    network = without_saturation(randomised(tiny(**options)))
    crops = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    block = network.backbone.get_submodule("layer1.0")
    with torch.no_grad():
        maps, features = network(crops)
        state = {name.removeprefix("backbone."): tensor for name, tensor in network.state_dict().items()}
        x = plain_norm(plain_conv(crops, state, "conv1", 2), state, "bn1").clamp(min=0)
        x, stages = F.max_pool2d(x, 3, stride=2, padding=1), []
        for stage, blocks in enumerate(BLOCKS):
            for i in range(blocks):
                stride = 2 if stage and i == 0 else 1
                x = plain_bottleneck(x, state, f"layer{stage + 1}.{i}.", stride, block.fasm)
            stages.append(x)
        fused = x if network.ffm is None else network.ffm(stages[0], x)
        heatmaps, expected_features = network.head(fused)
        torch.testing.assert_close(maps[-1], heatmaps)
        torch.testing.assert_close(features, expected_features)
        if network.supervision is not None:
            torch.testing.assert_close(maps[:-1], network.supervision(stages[:3]))


def test_feature_fusion_feeds_the_decoder_but_not_the_supervision() -> None:
    network = randomised(tiny())
    crops = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    with torch.no_grad():
        before, _ = network(crops)
        network.ffm.embedding.bias.add_(1)
        after, _ = network(crops)
    assert all(torch.equal(a, b) for a, b in zip(before[:-1], after[:-1], strict=True))
    assert not torch.allclose(before[-1], after[-1])


@pytest.mark.parametrize(
    "options", [{}, OFF, {"duc": False, "fam": False, "fsm": "cs_lss"}, {"fsm": "lss_cs", "fasm_place": "convolution"}]
)
def test_gradients_reach_every_parameter(options: dict[str, Any]) -> None:
    network = tiny(**options)
    maps, _ = network(torch.randn(2, 3, 64, 64))
    sum(heatmaps.square().sum() for heatmaps in maps).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "training"),
    [
        ({}, True),
        ({}, False),
        ({"duc": False, "ffm": False, "fsm": "lss_cs", "fasm_place": "convolution", "fam_first_sum": False}, True),
    ],
)
def test_the_network_is_one_graph(options: dict[str, Any], training: bool) -> None:
    crops = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    require_one_graph(tiny(**options).double(), crops, training)


def test_the_memory_layout_of_the_crops_is_kept() -> None:
    require_kept_layout(tiny().double(), torch.randn(2, 3, 64, 64, dtype=torch.float64))


@pytest.mark.parametrize("size", [(64, 48), (80, 64)])
def test_crops_whose_maps_would_not_join_are_refused_by_their_size(size: tuple[int, int]) -> None:
    with pytest.raises(CropSizeError, match=rf"\({size[0]}, {size[1]}\).*multiples of 32 px"):
        tiny()(torch.zeros(1, 3, *size))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fsm": "serial"}, "fsm .*'parallel', 'cs_lss', 'lss_cs', got 'serial'"),
        ({"fasm_place": "stage"}, "fasm_place .*'convolution', got 'stage'"),
        ({"base_width": 0}, "base_width .*got 0"),
        ({"scales": 1}, "scales .*at least 2, got 1"),
        ({"reduction": 0}, "reduction .*got 0"),
        ({"width": -4}, r"width .*got \(-4,\)"),
        ({"width": 3}, "multiple of 64 channels, got 96"),
        ({"hardest": 0}, r"hardest .*got \(0,\)"),
        ({"blocks": (1, 1, 1)}, r"blocks .*4 numbers, got \(1, 1, 1\)"),
        ({"blocks": (1, 1, 0, 1)}, r"\(1, 1, 0, 1\)"),
        ({"deconv_channels": (4, 4)}, r"deconv_channels .*3 numbers, got \(4, 4\)"),
    ],
)
def test_a_value_that_makes_no_network_is_quoted(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(**options)

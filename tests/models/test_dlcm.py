"""DLCM: its stated size, its stages over the part hierarchy, and what its outputs are trained on."""

from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from public_networks import plain_conv, plain_norm, plain_upsampling, randomised, require_kept_layout, require_one_graph
from torch import Tensor, nn

from models.cost import network_cost
from models.crop_size import CropSizeError
from models.networks.dlcm import DLCM
from pose.part_hierarchy import HIERARCHIES

TINY = {"channels": 32, "depth": 2}


@cache
def on_meta(num_keypoints: int) -> DLCM:
    with torch.device("meta"):
        return DLCM(num_keypoints).eval()


def test_size_for_mpii_is_the_stated_one() -> None:
    """15.50M parameters, 16.7e9 multiply-accumulates at 256x256 (base-nets)."""
    cost = network_cost(on_meta(16), torch.empty(1, 3, 256, 256, device="meta"))
    assert (cost.params, cost.macs, cost.macs_dense) == (15_495_870, 16_725_753_856, 16_725_753_856)


@pytest.mark.parametrize(
    ("num_keypoints", "channels"), [(16, [16, 28, 22, 28, 16]), (17, [17, 29, 23, 29, 17]), (14, [14, 23, 19, 23, 14])]
)
def test_stages_have_maps_for_their_levels_parts(num_keypoints: int, channels: list[int]) -> None:
    network = on_meta(num_keypoints)
    maps, features = network(torch.empty(2, 3, 256, 192, device="meta"))
    assert [tuple(m.shape) for m in maps] == [(2, count, 64, 48) for count in channels]
    assert features.shape == (2, network.feature_channels, 64, 48)
    assert [len(o.parts) if o.parts else num_keypoints for o in network.outputs] == channels


def test_outputs_say_what_every_channel_shows() -> None:
    outputs = DLCM(16, **TINY).outputs
    assert [o.name for o in outputs] == ["up_1", "up_2", "up_3", "down_2", "heatmaps"]
    assert {(o.stride, o.loss_weight, o.sigma_scale, o.peak, o.hardest) for o in outputs} == {(4, 1, 1, 1, None)}
    assert outputs[0].parts is outputs[4].parts is None
    assert outputs[1].parts == outputs[3].parts
    assert outputs[1].parts is not None
    assert outputs[2].parts is not None
    keypoints = tuple(((k, k),) for k in range(16))
    assert outputs[1].parts == tuple((bone,) for bone in HIERARCHIES["mpii"].bones) + keypoints
    assert outputs[2].parts[3] == ((7, 8), (8, 9))
    assert outputs[2].parts[6:] == keypoints


def test_the_hierarchy_is_chosen_by_its_name() -> None:
    assert DLCM(14, "lsp", **TINY).outputs[1].parts != DLCM(14, "crowdpose", **TINY).outputs[1].parts
    assert DLCM(14, **TINY).outputs == DLCM(14, "crowdpose", **TINY).outputs


class PlainDLCM:
    """The network from its tensors alone, for MPII."""

    def __init__(self, state: dict[str, Tensor], depth: int) -> None:
        self.state, self.depth = state, depth

    def maps_and_features(self, crops: Tensor) -> tuple[list[Tensor], Tensor]:
        x = F.max_pool2d(self.conv_norm_relu(crops, "stem", 0), 2)
        x = self.conv_norm_relu(self.conv_norm_relu(x, "stem", 4), "stem", 7)
        x = F.max_pool2d(self.bottleneck(x, "stem.10"), 2)
        x = self.bottleneck(self.bottleneck(x, "stem.12"), "stem.13")
        maps: list[Tensor] = []
        for stage in range(5):
            if stage == 3:  # level 2 again
                x = torch.cat([maps[1], self.bottleneck(x, "reductions.0")], dim=1)
            if stage == 4:  # level 1 again
                x = torch.cat([maps[0], self.bottleneck(x, "reductions.1")], dim=1)
            features = self.hourglass(x, f"stages.{stage}.features.0.hg", self.depth)
            features = self.conv_norm_relu(features, f"stages.{stage}.features", 1)
            maps.append(plain_conv(features, self.state, f"stages.{stage}.predict"))
            if stage < 4:
                x = x + plain_conv(features, self.state, f"links.{stage}.from_features")
                x = x + plain_conv(maps[-1], self.state, f"links.{stage}.from_maps")
        return maps, features

    def hourglass(self, x: Tensor, name: str, halvings: int) -> Tensor:
        level = f"{name}.{halvings - 1}"
        below = self.bottleneck(F.max_pool2d(x, 2), f"{level}.1.0")
        inner = self.hourglass(below, name, halvings - 1) if halvings > 1 else self.bottleneck(below, f"{level}.3.0")
        return self.bottleneck(x, f"{level}.0.0") + plain_upsampling(self.bottleneck(inner, f"{level}.2.0"), 2)

    def bottleneck(self, x: Tensor, name: str) -> Tensor:
        y = x
        for layer in (1, 2, 3):
            y = plain_norm(y, self.state, f"{name}.bn{layer}").clamp(min=0)
            y = plain_conv(y, self.state, f"{name}.conv{layer}")
        return y + (plain_conv(x, self.state, f"{name}.downsample.0") if y.shape[1] != x.shape[1] else x)

    def conv_norm_relu(self, x: Tensor, name: str, first: int) -> Tensor:
        x = plain_conv(x, self.state, f"{name}.{first}")
        return plain_norm(x, self.state, f"{name}.{first + 1}").clamp(min=0)


@pytest.mark.parametrize("depth", [1, 3])
def test_the_network_computes_what_its_tensors_say(depth: int) -> None:
    network = randomised(DLCM(16, channels=32, depth=depth))
    crops = torch.randn(2, 3, 64, 32, dtype=torch.float64)
    with torch.no_grad():
        maps, features = network(crops)
        expected_maps, expected_features = PlainDLCM(network.state_dict(), depth).maps_and_features(crops)
    for found, plain in zip(maps, expected_maps, strict=True):
        torch.testing.assert_close(found, plain)
    torch.testing.assert_close(features, expected_features)


def test_gradients_reach_every_parameter_from_the_last_maps_alone() -> None:
    network = DLCM(16, **TINY)
    network(torch.randn(2, 3, 64, 64))[0][-1].square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_every_convolution_has_a_bias_and_there_are_no_imagenet_weights() -> None:
    network = DLCM(16, **TINY)
    assert all(m.bias is not None for m in network.modules() if isinstance(m, nn.Conv2d))
    assert network.backbone is None


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_one_graph(training: bool) -> None:
    require_one_graph(DLCM(16, channels=32, depth=1).double(), torch.randn(2, 3, 32, 32, dtype=torch.float64), training)


def test_the_memory_layout_of_the_crops_is_kept() -> None:
    require_kept_layout(DLCM(16, **TINY).double(), torch.randn(2, 3, 64, 64, dtype=torch.float64))


@pytest.mark.parametrize(
    ("num_keypoints", "options", "message"),
    [
        (16, {"channels": 28}, "multiple of 4 and at least 30, got 28"),
        (16, {"channels": 34}, "multiple of 4 and at least 30, got 34"),
        (16, {"channels": 32.0}, r"got 32\.0"),
        (16, {"depth": 0}, "depth .*got 0"),
        (16, {"hierarchy": "lsp"}, "'lsp' has 14 keypoints, not 16; with 16: mpii"),
        (16, {"hierarchy": "body"}, "unknown part hierarchy 'body'; known: mpii"),
        (5, {}, r"no part hierarchy has 5 keypoints; known: mpii \(16 keypoints\)"),
    ],
)
def test_a_value_that_makes_no_network_is_quoted(num_keypoints: int, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DLCM(num_keypoints, **options)


@pytest.mark.parametrize(("size", "divisor"), [((64, 48), 64), ((96, 64), 64)])
def test_crops_that_cannot_be_halved_often_enough_are_refused_by_their_size(
    size: tuple[int, int], divisor: int
) -> None:
    network = DLCM(16, channels=32)
    with pytest.raises(CropSizeError, match=rf"\({size[0]}, {size[1]}\).*multiples of {divisor} px"):
        network(torch.zeros(1, 3, *size))

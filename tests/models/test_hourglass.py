"""Stacked hourglass: the public code's tensors, arithmetic and cost."""

from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from public_networks import (
    digest,
    fixture,
    plain_conv,
    plain_norm,
    plain_upsampling,
    public_state,
    randomised,
    require_kept_layout,
    require_one_graph,
    state_of,
)
from torch import Tensor, nn

from models.cost import Cost, network_cost
from models.crop_size import CropSizeError
from models.networks.hourglass import StackedHourglass

TINY = {"stacks": 3, "channels": 8, "depth": 3}


@cache
def on_meta(num_keypoints: int, stacks: int) -> StackedHourglass:
    with torch.device("meta"):
        return StackedHourglass(num_keypoints, stacks).eval()


@pytest.mark.parametrize(
    ("stacks", "num_keypoints", "crop_size", "params", "macs"),
    [
        (2, 16, (256, 256), 6_730_912, 8_988_917_760),
        (4, 16, (256, 256), 13_018_816, 15_357_444_096),
        (8, 16, (256, 256), 25_594_624, 28_094_496_768),
        (8, 17, (256, 192), 25_598_472, 21_082_669_056),
    ],
)
def test_cost_is_the_published_one(
    stacks: int, num_keypoints: int, crop_size: tuple[int, int], params: int, macs: int
) -> None:
    crops = torch.empty(1, 3, *crop_size, device="meta")
    assert network_cost(on_meta(num_keypoints, stacks), crops) == Cost(params, macs, macs)


def test_tensors_and_heatmaps_have_the_public_names_shapes_and_order() -> None:
    published, network = fixture("hourglass_s2_256x256"), on_meta(16, 2)
    assert public_state(network) == state_of(published)
    heatmaps, _ = network(torch.empty(published["input"], device="meta"))
    assert [list(maps.shape) for maps in heatmaps] == published["output_shapes"]


@pytest.mark.parametrize(
    ("stacks", "num_keypoints", "expected"),
    [
        (2, 16, "1b785163163232e98c6d77ee21d3d3a6ff56a609f101f984d14307f9320a2908"),
        (4, 16, "577db60af666505121050bb0a481425ede448976bd96cefd5043ce1e74e45896"),
        (8, 16, "3aa2e6f1a1d6ffa7f9251a1373bd464615686ce7234daf7f3632f8d110a9260b"),
        (8, 17, "eb441199ca777156774d721b0dffaffed056e9500d83dd9e78cc0e3293267d16"),
    ],
)
def test_tensors_of_the_other_published_networks_agree_too(stacks: int, num_keypoints: int, expected: str) -> None:
    assert digest(public_state(on_meta(num_keypoints, stacks))) == expected


class PlainHourglass:
    """The network from its tensors alone."""

    def __init__(self, state: dict[str, Tensor], stacks: int, depth: int) -> None:
        self.state, self.stacks, self.depth = state, stacks, depth

    def maps_and_features(self, crops: Tensor) -> tuple[list[Tensor], Tensor]:
        x = plain_norm(self.conv(crops, "conv1", 2), self.state, "bn1").clamp(min=0)
        x = F.max_pool2d(self.bottleneck(x, "layer1.0"), 2, stride=2)
        x = self.bottleneck(self.bottleneck(x, "layer2.0"), "layer3.0")
        maps = []
        for stack in range(self.stacks):
            features = self.bottleneck(self.hourglass(x, f"hg.{stack}.hg", self.depth), f"res.{stack}.0")
            features = plain_norm(self.conv(features, f"fc.{stack}.0"), self.state, f"fc.{stack}.1").clamp(min=0)
            maps.append(self.conv(features, f"score.{stack}"))
            if stack < self.stacks - 1:
                x = x + self.conv(features, f"fc_.{stack}") + self.conv(maps[-1], f"score_.{stack}")
        return maps, features

    def hourglass(self, x: Tensor, name: str, halvings: int) -> Tensor:
        level = f"{name}.{halvings - 1}"
        below = self.bottleneck(F.max_pool2d(x, 2, stride=2), f"{level}.1.0")
        inner = self.hourglass(below, name, halvings - 1) if halvings > 1 else self.bottleneck(below, f"{level}.3.0")
        return self.bottleneck(x, f"{level}.0.0") + plain_upsampling(self.bottleneck(inner, f"{level}.2.0"), 2)

    def bottleneck(self, x: Tensor, name: str) -> Tensor:
        y = x
        for layer in (1, 2, 3):
            y = self.conv(plain_norm(y, self.state, f"{name}.bn{layer}").clamp(min=0), f"{name}.conv{layer}")
        return y + (self.conv(x, f"{name}.downsample.0") if f"{name}.downsample.0.weight" in self.state else x)

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        return plain_conv(x, self.state, name, stride)


@pytest.mark.parametrize(("stacks", "depth"), [(1, 1), (2, 4), (3, 2)])
def test_the_network_computes_what_its_tensors_say(stacks: int, depth: int) -> None:
    network = randomised(StackedHourglass(3, stacks, channels=8, depth=depth))
    crops = torch.randn(2, 3, 64, 128, dtype=torch.float64)
    with torch.no_grad():
        maps, features = network(crops)
        expected_maps, expected_features = PlainHourglass(network.state_dict(), stacks, depth).maps_and_features(crops)
    for found, plain in zip(maps, expected_maps, strict=True):
        torch.testing.assert_close(found, plain)
    torch.testing.assert_close(features, expected_features)


def test_the_last_maps_are_made_from_the_features() -> None:
    network = randomised(StackedHourglass(3, **TINY))
    with torch.no_grad():
        maps, features = network(torch.randn(2, 3, 64, 64, dtype=torch.float64))
        torch.testing.assert_close(maps[-1], plain_conv(features, network.state_dict(), "score.2"))
    assert features.shape == (2, network.feature_channels, 16, 16)


def test_every_stack_is_supervised_alike_at_its_true_stride() -> None:
    network = StackedHourglass(3, **TINY)
    maps, _ = network(torch.zeros(1, 3, 96, 64))
    assert [tuple(m.shape) for m in maps] == [(1, 3, 24, 16)] * 3
    assert [(o.name, o.stride, o.loss_weight, o.sigma_scale) for o in network.outputs] == [
        ("heatmaps_1", 4, 1, 1),
        ("heatmaps_2", 4, 1, 1),
        ("heatmaps_3", 4, 1, 1),
    ]


def test_gradients_reach_every_parameter_from_the_last_maps_alone() -> None:
    network = StackedHourglass(3, **TINY)
    network(torch.randn(2, 3, 64, 64))[0][-1].square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_every_convolution_has_a_bias_and_norms_are_as_published() -> None:
    modules = list(StackedHourglass(3, **TINY).modules())
    assert all(m.bias is not None for m in modules if isinstance(m, nn.Conv2d))
    assert {(m.eps, m.momentum) for m in modules if isinstance(m, nn.BatchNorm2d)} == {(1e-5, 0.1)}


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_one_graph(training: bool) -> None:
    crops = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    require_one_graph(StackedHourglass(3, stacks=2, channels=8, depth=1).double(), crops, training)


def test_the_memory_layout_of_the_crops_is_kept() -> None:
    require_kept_layout(StackedHourglass(3, **TINY).double(), torch.randn(2, 3, 64, 64, dtype=torch.float64))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stacks": 0}, "got 0, 256 and 4"),
        ({"stacks": 2, "depth": 0}, "got 2, 256 and 0"),
        ({"stacks": 2, "channels": 8.0}, r"got 2, 8\.0"),
        ({"stacks": 2, "channels": 6}, "multiple of 4, got 6"),
    ],
)
def test_a_value_that_makes_no_network_is_quoted(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StackedHourglass(17, **options)


@pytest.mark.parametrize(("depth", "size", "divisor"), [(4, (64, 48), 64), (2, (24, 32), 16)])
def test_crops_that_cannot_be_halved_often_enough_are_refused_by_their_size(
    depth: int, size: tuple[int, int], divisor: int
) -> None:
    network = StackedHourglass(3, stacks=1, channels=8, depth=depth)
    with pytest.raises(CropSizeError, match=rf"\({size[0]}, {size[1]}\).*multiples of {divisor} px"):
        network(torch.zeros(1, 3, *size))

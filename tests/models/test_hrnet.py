"""HRNet: the public code's tensors, arithmetic and cost."""

from functools import cache
from typing import Any

import pytest
import torch
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

from models.backbones.hrnet import HRNet
from models.cost import Cost, network_cost
from models.crop_size import CropSizeError
from models.networks.hrnet import HRNetPose

TINY = {"width": 4, "stem": 4, "modules": (1, 2, 2), "blocks": 2}


@cache
def on_meta(num_keypoints: int, width: int) -> HRNetPose:
    with torch.device("meta"):
        return HRNetPose(num_keypoints, width).eval()


@pytest.mark.parametrize(
    ("width", "num_keypoints", "crop_size", "params", "macs", "printed"),
    [
        (32, 17, (256, 192), 28_536_113, 7_645_003_776, 7.1),
        (32, 17, (384, 288), 28_536_113, 17_201_258_496, 16.0),
        (48, 17, (256, 192), 63_595_745, 15_691_825_152, 14.6),
        (48, 17, (384, 288), 63_595_745, 35_306_606_592, 32.9),
        (32, 16, (256, 256), 28_536_080, 10_193_207_296, 9.5),
    ],
)
def test_cost_is_the_published_one(
    width: int, num_keypoints: int, crop_size: tuple[int, int], params: int, macs: int, printed: float
) -> None:
    crops = torch.empty(1, 3, *crop_size, device="meta")
    assert network_cost(on_meta(num_keypoints, width), crops) == Cost(params, macs, macs)
    assert macs / 2**30 == pytest.approx(printed, abs=0.05)


def test_tensors_and_heatmaps_have_the_public_names_shapes_and_order() -> None:
    published, network = fixture("hrnet_w32_256x192"), on_meta(17, 32)
    assert public_state(network) == state_of(published)
    heatmaps, _ = network(torch.empty(published["input"], device="meta"))
    assert [list(maps.shape) for maps in heatmaps] == published["output_shapes"]


@pytest.mark.parametrize(
    ("width", "num_keypoints", "expected"),
    [
        (32, 17, "ac44282e4577524f9f15b98ef8fdffaab424fe163b1ebab4c41e3d7c35d2a9ae"),
        (32, 16, "cd4112e3f73b565d43f86b43fa83c173a40b224c390f9f7687d1453b4d2cce07"),
        (48, 17, "d6a5d69e0fc3e314d5abca63ccfdfb6f60fcef0e6c77665459b135212760b306"),
    ],
)
def test_tensors_of_the_other_published_networks_agree_too(width: int, num_keypoints: int, expected: str) -> None:
    assert digest(public_state(on_meta(num_keypoints, width))) == expected


class PlainHRNet:
    """HRNet from its tensors alone."""

    def __init__(self, state: dict[str, Tensor], modules: tuple[int, ...], blocks: int, resolutions: int) -> None:
        self.state, self.modules, self.blocks, self.resolutions = state, modules, blocks, resolutions

    def maps(self, x: Tensor) -> list[Tensor]:
        x = self.conv_norm(x, "conv1", "bn1", 2).clamp(min=0)
        x = self.conv_norm(x, "conv2", "bn2", 2).clamp(min=0)
        for block in range(self.blocks):
            x = self.residual(x, f"layer1.{block}", 3)
        maps = [
            self.conv_norm(x, "transition1.0.0", "transition1.0.1", 1).clamp(min=0),
            self.conv_norm(x, "transition1.1.0.0", "transition1.1.0.1", 2).clamp(min=0),
        ]
        for stage in (2, 3, 4):
            if stage > 2:
                name = f"transition{stage - 1}.{stage - 1}.0"
                maps.append(self.conv_norm(maps[-1], f"{name}.0", f"{name}.1", 2).clamp(min=0))
            for module in range(self.modules[stage - 2]):
                last = stage == 4 and module == self.modules[2] - 1
                maps = self.exchanged(maps, f"stage{stage}.{module}", self.resolutions if last else stage)
        return maps

    def exchanged(self, maps: list[Tensor], name: str, resolutions: int) -> list[Tensor]:
        for branch in range(len(maps)):
            for block in range(self.blocks):
                maps[branch] = self.residual(maps[branch], f"{name}.branches.{branch}.{block}", 2)
        return [
            sum(
                self.resampled(x, f"{name}.fuse_layers.{target}.{source}", source - target)
                for source, x in enumerate(maps)
            ).clamp(min=0)
            for target in range(resolutions)
        ]

    def resampled(self, x: Tensor, name: str, octaves: int) -> Tensor:
        if octaves > 0:
            return plain_upsampling(self.conv_norm(x, f"{name}.0", f"{name}.1", 1), 2**octaves)
        for step in range(-octaves):
            x = self.conv_norm(x, f"{name}.{step}.0", f"{name}.{step}.1", 2)
            x = x.clamp(min=0) if step < -octaves - 1 else x
        return x

    def residual(self, x: Tensor, name: str, layers: int) -> Tensor:
        y = x
        for layer in range(1, layers + 1):
            y = self.conv_norm(y, f"{name}.conv{layer}", f"{name}.bn{layer}", 1)
            y = y.clamp(min=0) if layer < layers else y
        if f"{name}.downsample.0.weight" in self.state:
            x = self.conv_norm(x, f"{name}.downsample.0", f"{name}.downsample.1", 1)
        return (x + y).clamp(min=0)

    def conv_norm(self, x: Tensor, conv: str, norm: str, stride: int) -> Tensor:
        return plain_norm(plain_conv(x, self.state, conv, stride), self.state, norm)


@pytest.mark.parametrize("resolutions", [1, 2, 3, 4])
def test_the_backbone_computes_what_its_tensors_say(resolutions: int) -> None:
    backbone = randomised(HRNet(**TINY, resolutions=resolutions))
    crops = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        maps = backbone(crops)
        expected = PlainHRNet(backbone.state_dict(), (1, 2, 2), 2, resolutions).maps(crops)
    assert len(maps) == resolutions
    for found, plain, stride, channels in zip(maps, expected, backbone.strides, backbone.map_channels, strict=True):
        assert found.shape == (2, channels, 64 // stride, 96 // stride)
        torch.testing.assert_close(found, plain)


def test_heatmaps_are_made_from_the_features_by_the_last_convolution() -> None:
    network = randomised(HRNetPose(3, **TINY))
    crops = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        (heatmaps,), features = network(crops)
        (expected,) = PlainHRNet(network.backbone.state_dict(), (1, 2, 2), 2, 1).maps(crops)
        torch.testing.assert_close(features, expected)
        torch.testing.assert_close(heatmaps, plain_conv(features, network.state_dict(), "final_layer"))
    assert features.shape[1] == network.feature_channels == 4
    assert heatmaps.shape == (2, 3, 16, 24)
    assert [output.stride for output in network.outputs] == [4]


def test_gradients_reach_every_parameter() -> None:
    network = HRNetPose(3, **TINY)
    network(torch.randn(2, 3, 64, 64))[0][0].square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_weights_start_as_in_the_public_code() -> None:
    torch.manual_seed(0)
    network = HRNetPose(17, 16, modules=(1, 1, 1), blocks=1)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            draws = module.weight.detach()
            assert abs(float(draws.std()) / 0.001 - 1) < 5 / (2 * draws.numel()) ** 0.5, name
        elif isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight.detach(), torch.ones_like(module.weight)), name
            assert (module.eps, module.momentum) == (1e-5, 0.1)
    assert not network.final_layer.bias.any()
    assert [name for name, m in network.named_modules() if isinstance(m, nn.Conv2d) and m.bias is not None] == [
        "final_layer"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_one_graph(training: bool) -> None:
    crops = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    require_one_graph(HRNetPose(3, 4, stem=4, modules=(1, 1, 1), blocks=1).double(), crops, training)


def test_the_memory_layout_of_the_crops_is_kept() -> None:
    require_kept_layout(HRNetPose(3, **TINY).double(), torch.randn(2, 3, 64, 64, dtype=torch.float64))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width, .* got 0, 64,"),
        ({"width": 4.0}, r"got 4\.0, 64"),
        ({"width": 4, "stem": -1}, "got 4, -1"),
        ({"width": 4, "blocks": 0}, "and 0"),
        ({"width": 4, "modules": (1, 2)}, r"three numbers, got \(1, 2\)"),
        ({"width": 4, "modules": (1, 0, 1)}, r"\(1, 0, 1\)"),
    ],
)
def test_a_value_that_makes_no_network_is_quoted(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HRNetPose(17, **options)


@pytest.mark.parametrize("resolutions", [0, 5])
def test_there_are_four_resolutions(resolutions: int) -> None:
    with pytest.raises(ValueError, match=f"1, 2, 3 or 4, got {resolutions}"):
        HRNet(4, resolutions=resolutions)


@pytest.mark.parametrize("size", [(64, 48), (80, 64)])
def test_crops_that_cannot_be_halved_five_times_are_refused_by_their_size(size: tuple[int, int]) -> None:
    with pytest.raises(CropSizeError, match=rf"\({size[0]}, {size[1]}\).*multiples of 32 px"):
        HRNetPose(3, **TINY)(torch.zeros(1, 3, *size))

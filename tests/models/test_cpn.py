"""CPN: the public port's tensors, arithmetic and cost, and what its outputs are trained on."""

import math
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from public_networks import (
    digest,
    fixture,
    plain_conv,
    plain_norm,
    public_state,
    randomised,
    require_kept_layout,
    require_one_graph,
    state_of,
)
from torch import Tensor, nn

from models.backbones.resnet import ResNet
from models.cost import Cost, network_cost
from models.networks.cpn import CPN, kernel_sigma

TINY = {"resnet": "resnet50", "width": 4, "channels": 8}


@cache
def on_meta(resnet: str) -> CPN:
    with torch.device("meta"):
        return CPN(17, resnet).eval()


@pytest.mark.parametrize(
    ("resnet", "params", "macs"),
    [("resnet50", 27_406_826, 7_315_550_208), ("resnet101", 46_398_954, 10_952_011_776)],
)
def test_cost_is_the_published_one(resnet: str, params: int, macs: int) -> None:
    assert network_cost(on_meta(resnet), torch.empty(1, 3, 256, 192, device="meta")) == Cost(params, macs, macs)


def test_tensors_and_heatmaps_have_the_public_names_shapes_and_order() -> None:
    published, network = fixture("cpn50_256x192"), on_meta("resnet50")
    assert public_state(network) == state_of(published)
    heatmaps, features = network(torch.empty(published["input"], device="meta"))
    assert [list(maps.shape) for maps in heatmaps] == published["output_shapes"]
    assert features.shape == (1, network.feature_channels, 64, 48)


def test_tensors_of_the_other_published_network_agree_too() -> None:
    expected = "09c8c21f51c1bc08b3bce220130f5533f3c9f19a6d0852de3f48edc7b693f588"
    assert digest(public_state(on_meta("resnet101"))) == expected


def between_corners(source: int, target: int) -> Tensor:
    """The (target, source) matrix that interpolates linearly, first pixel onto first, last onto last."""
    matrix = torch.zeros(target, source, dtype=torch.float64)
    for row in range(target):
        position = row * (source - 1) / (target - 1)
        below = min(int(position), source - 1)
        matrix[row, below] += 1 - (position - below)
        matrix[row, min(below + 1, source - 1)] += position - below
    return matrix


class PlainCPN:
    """The network from its tensors alone, for a ResNet-50."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        self.state = state

    def maps_and_features(self, crops: Tensor) -> tuple[list[Tensor], Tensor]:
        levels: list[Tensor] = []
        global_maps = []
        stages = self.stages(crops)
        size = stages[0].shape[2:]
        for index, stage in enumerate(reversed(stages)):
            level = self.conv_norm(stage, f"global_net.laterals.{index}.0", f"global_net.laterals.{index}.1").clamp(
                min=0
            )
            if levels:
                up = self.resized(levels[-1], stage.shape[2:])
                level = level + self.conv_norm(
                    up, f"global_net.upsamples.{index - 1}.1", f"global_net.upsamples.{index - 1}.2"
                )
            levels.append(level)
        for index, level in enumerate(levels):
            name = f"global_net.predict.{index}"
            hidden = self.conv_norm(level, f"{name}.0", f"{name}.1").clamp(min=0)
            coarse = plain_conv(hidden, self.state, f"{name}.3")
            global_maps.append(plain_norm(self.resized(coarse, size), self.state, f"{name}.5"))
        for index, blocks in enumerate((3, 2, 1, 0)):
            for block in range(blocks):
                levels[index] = self.bottleneck(levels[index], f"refine_net.cascade.{index}.{block}", 1)
            levels[index] = self.resized(levels[index], size)
        features = self.bottleneck(torch.cat(levels, dim=1), "refine_net.final_predict.0", 1)
        refined = self.conv_norm(features, "refine_net.final_predict.1", "refine_net.final_predict.2")
        return [*global_maps, refined], features

    def stages(self, crops: Tensor) -> list[Tensor]:
        x = self.conv_norm(crops, "backbone.conv1", "backbone.bn1", 2).clamp(min=0)
        x = F.max_pool2d(x, 3, stride=2, padding=1)
        stages = []
        for stage, blocks in enumerate((3, 4, 6, 3), start=1):
            for block in range(blocks):
                x = self.bottleneck(x, f"backbone.layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1)
            stages.append(x)
        return stages

    def bottleneck(self, x: Tensor, name: str, stride: int) -> Tensor:
        y = self.conv_norm(x, f"{name}.conv1", f"{name}.bn1").clamp(min=0)
        y = self.conv_norm(y, f"{name}.conv2", f"{name}.bn2", stride).clamp(min=0)
        y = self.conv_norm(y, f"{name}.conv3", f"{name}.bn3")
        if f"{name}.downsample.0.weight" in self.state:
            x = self.conv_norm(x, f"{name}.downsample.0", f"{name}.downsample.1", stride)
        return (x + y).clamp(min=0)

    def conv_norm(self, x: Tensor, conv: str, norm: str, stride: int = 1) -> Tensor:
        return plain_norm(plain_conv(x, self.state, conv, stride), self.state, norm)

    def resized(self, x: Tensor, size: torch.Size) -> Tensor:
        return between_corners(x.shape[2], size[0]) @ x @ between_corners(x.shape[3], size[1]).T


# The last two have levels that are not twice the next one: 25, 13, 7, 4 rows; and a side that 4 does not divide.
@pytest.mark.parametrize("size", [(64, 96), (100, 72), (50, 68)])
def test_the_network_computes_what_its_tensors_say(size: tuple[int, int]) -> None:
    network = randomised(CPN(3, **TINY))
    crops = torch.randn(2, 3, *size, dtype=torch.float64)
    with torch.no_grad():
        maps, features = network(crops)
        expected_maps, expected_features = PlainCPN(network.state_dict()).maps_and_features(crops)
    for found, plain in zip(maps, expected_maps, strict=True):
        torch.testing.assert_close(found, plain)
        assert found.shape[2:] == (math.ceil(size[0] / 4), math.ceil(size[1] / 4))
    torch.testing.assert_close(features, expected_features)


def test_the_backbone_is_the_resnet_that_imagenet_weights_fit() -> None:
    network = CPN(3, **TINY)
    assert isinstance(network.backbone, ResNet)
    assert {name.partition(".")[0] for name, _ in network.named_children()} == {"backbone", "global_net", "refine_net"}


def test_a_resnet_of_basic_blocks_fits_too() -> None:
    maps, _ = CPN(3, "resnet18", width=4, channels=8)(torch.zeros(1, 3, 64, 64))
    assert [tuple(m.shape) for m in maps] == [(1, 3, 16, 16)] * 5


@pytest.mark.parametrize(
    ("kernels", "sigmas"), [((15, 11, 9, 7), (2.6, 2.0, 1.7, 1.4)), ((23, 17, 13, 9), (3.8, 2.9, 2.3, 1.7))]
)
def test_outputs_are_globalnets_on_visible_keypoints_then_the_refined_one(
    kernels: tuple[int, ...], sigmas: tuple[float, ...]
) -> None:
    *global_maps, refined = CPN(17, **TINY, kernels=kernels).outputs
    assert [o.name for o in global_maps] == ["global_32", "global_16", "global_8", "global_4"]
    for output, sigma in zip(global_maps, sigmas, strict=True):
        assert output.sigma_scale * sigmas[-1] == pytest.approx(sigma)
        assert (output.stride, output.loss_weight, output.peak) == (4, 1, 255)
        assert output.empty_unless_visible
        assert output.hardest is None
    assert (refined.name, refined.stride, refined.sigma_scale) == ("heatmaps", 4, 1)
    assert (refined.loss_weight, refined.hardest, refined.peak) == (2, 8, 255)
    assert not refined.empty_unless_visible


@pytest.mark.parametrize("kernel", [11, 13, 15, 17, 23])
def test_sigmas_are_those_of_the_blur_that_the_public_code_calls(kernel: int) -> None:
    """Up to 9 px OpenCV takes the kernel from a table instead, which is close to a Gaussian of the same sigma."""
    distance = np.arange(kernel) - kernel // 2
    gaussian = np.exp(-(distance**2) / (2 * kernel_sigma(kernel) ** 2))
    np.testing.assert_allclose(cv2.getGaussianKernel(kernel, 0).ravel(), gaussian / gaussian.sum(), atol=1e-9)


def test_hard_keypoint_mining_and_the_peak_are_options() -> None:
    assert CPN(17, **TINY, hardest=None).outputs[-1].hardest is None
    assert CPN(17, **TINY, hardest=12).outputs[-1].hardest == 12
    assert CPN(3, **TINY).outputs[-1].hardest == 3
    assert {output.peak for output in CPN(3, **TINY, peak=1).outputs} == {1}


def test_gradients_reach_every_parameter() -> None:
    network = CPN(3, **TINY)
    maps, _ = network(torch.randn(2, 3, 64, 64))
    sum(m.square().sum() for m in maps).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []


def test_the_refined_maps_alone_train_all_but_globalnets_heads() -> None:
    network = CPN(3, **TINY)
    network(torch.randn(2, 3, 64, 64))[0][-1].square().sum().backward()
    without = {name for name, p in network.named_parameters() if p.grad is None}
    assert without == {name for name, _ in network.named_parameters() if name.startswith("global_net.predict.")}


def test_maps_are_normalised_at_their_final_size() -> None:
    """Without running statistics it shows whether a norm comes before or after the resize."""
    maps, _ = CPN(3, **TINY)(torch.randn(4, 3, 64, 64))
    for heatmaps in maps:
        torch.testing.assert_close(heatmaps.mean(dim=(0, 2, 3)), torch.zeros(3), atol=1e-4, rtol=0)
        torch.testing.assert_close(heatmaps.var(dim=(0, 2, 3), correction=0), torch.ones(3), atol=1e-3, rtol=0)


def test_norms_are_as_published_and_no_convolution_has_a_bias() -> None:
    modules = list(CPN(3, **TINY).modules())
    assert {(m.eps, m.momentum) for m in modules if isinstance(m, nn.BatchNorm2d)} == {(1e-5, 0.1)}
    assert all(m.bias is None for m in modules if isinstance(m, nn.Conv2d))


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_one_graph(training: bool) -> None:
    require_one_graph(
        CPN(3, "resnet18", width=4, channels=8).double(), torch.randn(2, 3, 64, 64, dtype=torch.float64), training
    )


def test_the_memory_layout_of_the_crops_is_kept() -> None:
    require_kept_layout(CPN(3, **TINY).double(), torch.randn(2, 3, 64, 64, dtype=torch.float64))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resnet": "resnet51"}, "one of resnet18, .*got 'resnet51'"),
        ({"width": 0}, "width .*got 0"),
        ({"channels": 7}, "even number .*got 7"),
        ({"hardest": 0}, "hardest .*or None, got 0"),
        ({"kernels": (15, 11, 9)}, r"four odd numbers .*\(15, 11, 9\)"),
        ({"kernels": (15, 11, 9, 6)}, r"four odd numbers .*\(15, 11, 9, 6\)"),
        ({"peak": 0.0}, r"peak .*got 0\.0"),
    ],
)
def test_a_value_that_makes_no_network_is_quoted(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CPN(17, **{**TINY, **options})

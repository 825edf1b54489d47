"""MRHeatNet and MRFeaNet: the public code's tensors, costs and sums."""

from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from public_networks import (
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

from models.cost import Cost, network_cost
from models.crop_size import CropSizeError
from models.networks.mrfeanet import MRFeaNet
from models.networks.mrheatnet import MRHeatNet

NETWORKS: dict[str, tuple[type[MRHeatNet] | type[MRFeaNet], int]] = {
    "mrheat1": (MRHeatNet, 1),
    "mrheat2": (MRHeatNet, 2),
    "mrfea1": (MRFeaNet, 1),
    "mrfea2": (MRFeaNet, 2),
}
PARAMS = {  # specs 4.6, K = 17
    "mrheat1": (34_017_785, 53_009_913, 68_653_561),
    "mrheat2": (34_022_409, 53_014_537, 68_658_185),
    "mrfea1": (41_341_265, 60_333_393, 75_977_041),
    "mrfea2": (80_141_137, 99_133_265, 114_776_913),
}
PARAMS_MPII = {"mrheat1": 34_015_952, "mrheat2": 34_020_048, "mrfea1": 41_341_008, "mrfea2": 80_140_880}  # specs 6


@cache
def on_meta(name: str, resnet: str, num_keypoints: int = 17) -> MRHeatNet | MRFeaNet:
    network, variant = NETWORKS[name]
    with torch.device("meta"):
        return network(num_keypoints, resnet, variant).eval()


def tiny(name: str, resnet: str = "resnet18", **options: Any) -> MRHeatNet | MRFeaNet:
    network, variant = NETWORKS[name]
    if network is MRHeatNet:
        options = {"deconv_channels": (7, 6, 5), **options}
    torch.manual_seed(0)
    return network(3, resnet, variant, **{"width": 4, **options})


@pytest.mark.parametrize("name", NETWORKS)
def test_tensors_costs_and_heatmaps_are_those_of_the_public_code(name: str) -> None:
    published, network = fixture(f"{name}_r50_256x192"), on_meta(name, "resnet50")
    assert public_state(network) == state_of(published)
    crops = torch.empty(published["input"], device="meta")
    assert network_cost(network, crops) == Cost(published["params"], published["macs"], published["macs_deconv_dense"])
    maps, _ = network(crops)
    assert [list(heatmaps.shape) for heatmaps in maps] == published["output_shapes"]


@pytest.mark.parametrize("name", NETWORKS)
def test_parameters_are_those_of_the_specs(name: str) -> None:
    networks = [on_meta(name, resnet) for resnet in ("resnet50", "resnet101", "resnet152")]
    assert tuple(sum(p.numel() for p in network.parameters()) for network in networks) == PARAMS[name]
    mpii = on_meta(name, "resnet50", 16)
    assert sum(p.numel() for p in mpii.parameters()) == PARAMS_MPII[name]


def plain_deconv(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    """Transposed convolution 4x4 of stride 2, norm, ReLU."""
    x = F.conv_transpose2d(x, state[f"{name}.0.weight"], stride=2, padding=1)
    return plain_norm(x, state, f"{name}.1").clamp(min=0)


def plain_mrheatnet(x4: Tensor, state: dict[str, Tensor], variant: int) -> tuple[Tensor, Tensor]:
    def side(x: Tensor, name: str) -> Tensor:
        return plain_norm(plain_conv(x, state, f"{name}.0"), state, f"{name}.1").clamp(min=0)

    def up(x: Tensor, name: str) -> Tensor:
        return F.conv_transpose2d(x, state[f"{name}.weight"], stride=2, padding=1)

    d1 = plain_deconv(x4, state, "deconv1")
    d2 = plain_deconv(d1, state, "deconv2")
    d3 = plain_deconv(d2, state, "deconv3")
    h1, h2, h3 = side(d1, "s_conv1"), side(d2, "s_conv2"), plain_conv(d3, state, "final_layer")
    raised = plain_deconv(h1, state, "s_deconv1")
    if variant == 1:
        return h3 + up(h2 + raised, "s_deconv2"), d3
    return h3 + up(raised, "s_deconv12") + up(h2, "s_deconv2"), d3


def plain_mrfeanet(stages: tuple[Tensor, ...], state: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    def through(x: Tensor, *names: str) -> Tensor:
        for name in names:
            x = plain_deconv(x, state, name)
        return x

    maps = [
        stages[0],
        through(stages[1], "deconv3"),
        through(stages[2], "deconv21", "deconv22"),
        through(stages[3], "deconv11", "deconv12", "deconv13"),
    ]
    features = torch.stack(maps).mean(dim=0)
    return plain_conv(features, state, "final_layer"), features


@pytest.mark.parametrize("resnet", ["resnet18", "resnet50"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_head_computes_what_its_tensors_say(name: str, resnet: str) -> None:
    network = randomised(tiny(name, resnet))
    crops = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        stages = network.backbone(crops)
        (heatmaps,), features = network(crops)
        if isinstance(network, MRHeatNet):
            expected = plain_mrheatnet(stages[-1], network.state_dict(), NETWORKS[name][1])
        else:
            expected = plain_mrfeanet(stages, network.state_dict())
    torch.testing.assert_close((heatmaps, features), expected)
    assert features.shape == (2, network.feature_channels, 16, 24)
    assert heatmaps.shape == (2, 3, 16, 24)
    assert [(output.name, output.stride, output.hardest) for output in network.outputs] == [("heatmaps", 4, None)]


@pytest.mark.parametrize("name", NETWORKS)
def test_new_layers_start_near_zero(name: str) -> None:
    network = tiny(name, width=32)
    layers = {
        own: module
        for own, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and not own.startswith("backbone.")
    }
    assert layers
    for own, layer in layers.items():
        draws = layer.weight.detach()
        assert abs(float(draws.std()) / 0.001 - 1) < 5 / (2 * draws.numel()) ** 0.5, own
        assert layer.bias is None or not layer.bias.any(), own


@pytest.mark.parametrize("name", NETWORKS)
def test_gradients_reach_every_parameter(name: str) -> None:
    network = tiny(name)
    network(torch.randn(2, 3, 64, 64))[0][0].square().sum().backward()
    assert [own for own, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "training"), [("mrheat1", True), ("mrheat2", False), ("mrfea1", True), ("mrfea2", False)]
)
def test_the_network_is_one_graph(name: str, training: bool) -> None:
    crops = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    require_one_graph(tiny(name).double(), crops, training)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_memory_layout_of_the_crops_is_kept(name: str) -> None:
    require_kept_layout(tiny(name).double(), torch.randn(2, 3, 64, 64, dtype=torch.float64))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mrheat1", {"width": 0}, r"width .* got 0, "),
        ("mrheat2", {"deconv_channels": (4, 4)}, r"three numbers, got \(4, 4\)"),
        ("mrheat2", {"deconv_channels": (4, -4, 4)}, r"\(4, -4, 4\)"),
        ("mrfea1", {"width": 4.0}, r"got 4\.0"),
    ],
)
def test_a_value_that_makes_no_network_is_quoted(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny(name, **options)


@pytest.mark.parametrize("network", [MRHeatNet, MRFeaNet])
def test_there_are_two_variants(network: Any) -> None:
    with pytest.raises(ValueError, match="1 or 2, got 3"):
        network(17, "resnet18", 3)


@pytest.mark.parametrize("name", ["mrfea1", "mrfea2"])
def test_crops_whose_maps_would_not_sum_are_refused_by_their_size(name: str) -> None:
    with pytest.raises(CropSizeError, match=r"\(64, 48\).*multiples of 32 px"):
        tiny(name)(torch.zeros(1, 3, 64, 48))

"""HigherHRNet: the public code's tensors, arithmetic and cost; its files load."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

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

from models.cost import Cost, network_cost
from models.crop_size import CropSizeError
from models.heatmap_network import HeatmapNetwork
from models.networks.higherhrnet import HigherHRNet
from models.published import load_published
from models.weights_file import WeightsError

TINY = {"width": 4, "stem": 4, "modules": (1, 1, 1), "blocks": 1, "deconv_blocks": 2}


@cache
def on_meta(num_keypoints: int, width: int) -> HigherHRNet:
    with torch.device("meta"):
        return HigherHRNet(num_keypoints, width).eval()


@pytest.mark.parametrize(
    ("width", "side", "params", "macs", "macs_dense", "printed"),
    [
        (32, 512, 28_645_331, 46_203_404_288, 47_864_348_672, 47.9),
        (32, 640, 28_645_331, 72_192_819_200, 74_788_044_800, 74.8),
        (48, 640, 63_827_139, 149_468_774_400, 154_305_331_200, 154.3),
    ],
)
def test_cost_is_the_published_one(
    width: int, side: int, params: int, macs: int, macs_dense: int, printed: float
) -> None:
    images = torch.empty(1, 3, side, side, device="meta")
    assert network_cost(on_meta(17, width), images) == Cost(params, macs, macs_dense)
    assert macs_dense / 1e9 == pytest.approx(printed, abs=0.05)


def test_tensors_and_maps_have_the_public_names_shapes_and_order() -> None:
    published, network = fixture("higherhrnet_w32_512_coco"), on_meta(17, 32)
    assert public_state(network) == state_of(published)
    (heatmaps, tags, finer), features = network(torch.empty(published["input"], device="meta"))
    assert [list(torch.cat([heatmaps, tags], 1).shape), list(finer.shape)] == published["output_shapes"]
    assert features.shape == (1, network.feature_channels, 256, 256)


def test_tensors_of_the_other_published_network_agree_too() -> None:
    expected = "bff3b3eaad686fbede1529dd2a6928f30a9eb98fab1c22bc9ef53e71f899ef69"
    assert digest(public_state(on_meta(17, 48))) == expected


def plain_head(state: dict[str, Tensor], coarse: Tensor, blocks: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features at stride 4 → what is made of them at strides 4 and 2, and the features between, from tensors alone."""
    maps = plain_conv(coarse, state, "final_layers.0")
    weight = state["deconv_layers.0.0.0.weight"]
    x = F.conv_transpose2d(torch.cat([coarse, maps], dim=1), weight, stride=2, padding=1)
    x = plain_norm(x, state, "deconv_layers.0.0.1").clamp(min=0)
    for block in range(1, blocks + 1):
        name = f"deconv_layers.0.{block}.0"
        y = plain_norm(plain_conv(x, state, f"{name}.conv1"), state, f"{name}.bn1").clamp(min=0)
        x = (x + plain_norm(plain_conv(y, state, f"{name}.conv2"), state, f"{name}.bn2")).clamp(min=0)
    return maps, plain_conv(x, state, "final_layers.1"), x


@pytest.mark.parametrize("blocks", [0, 2])
def test_the_head_computes_what_its_tensors_say(blocks: int) -> None:
    network = randomised(HigherHRNet(3, **TINY | {"deconv_blocks": blocks}))
    images = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        (heatmaps, tags, finer), features = network(images)
        (coarse,) = network.backbone(images)
        maps, expected, expected_features = plain_head(network.state_dict(), coarse, blocks)
    torch.testing.assert_close(heatmaps, maps[:, :3])
    torch.testing.assert_close(tags, maps[:, 3:])
    torch.testing.assert_close(finer, expected)
    torch.testing.assert_close(features, expected_features)


def test_every_output_says_what_it_is() -> None:
    network = HigherHRNet(3, **TINY)
    maps, features = network(torch.zeros(1, 3, 64, 32))
    assert [tuple(m.shape) for m in maps] == [(1, 3, 16, 8), (1, 3, 16, 8), (1, 3, 32, 16)]
    assert features.shape == (1, network.feature_channels, 32, 16)
    assert [(o.name, o.kind, o.stride, o.averaged, o.sigma_scale, o.loss_weight) for o in network.outputs] == [
        ("heatmaps_quarter", "heatmaps", 4, True, 1, 1),
        ("tags", "tags", 4, False, 1, 1),
        ("heatmaps", "heatmaps", 2, True, 1, 1),
    ]


def test_gradients_reach_every_parameter_from_the_last_maps_alone() -> None:
    network = randomised(HigherHRNet(3, **TINY))
    network(torch.randn(2, 3, 64, 64, dtype=torch.float64))[0][-1].square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_weights_start_as_in_the_public_code() -> None:
    torch.manual_seed(0)
    network = HigherHRNet(17, 16, modules=(1, 1, 1), blocks=1)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            draws = module.weight.detach()
            assert abs(float(draws.std()) / 0.001 - 1) < 5 / (2 * draws.numel()) ** 0.5, name
            assert module.bias is None or not module.bias.any(), name
        elif isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight.detach(), torch.ones_like(module.weight)), name
            assert (module.eps, module.momentum) == (1e-5, 0.1)


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_one_graph(training: bool) -> None:
    require_one_graph(HigherHRNet(3, **TINY).double(), torch.randn(2, 3, 64, 64, dtype=torch.float64), training)


def test_the_memory_layout_of_the_images_is_kept() -> None:
    require_kept_layout(HigherHRNet(3, **TINY).double(), torch.randn(2, 3, 64, 64, dtype=torch.float64))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width, .* got 0, 64,"),
        ({"width": 4, "modules": (1, 2)}, r"three numbers, got \(1, 2\)"),
        ({"width": 4, "deconv_blocks": -1}, "deconv_blocks .* got -1"),
        ({"width": 4, "deconv_blocks": 1.0}, r"deconv_blocks .* got 1\.0"),
    ],
)
def test_a_value_that_makes_no_network_is_quoted(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HigherHRNet(17, **options)


def test_images_that_cannot_be_halved_five_times_are_refused_by_their_size() -> None:
    with pytest.raises(CropSizeError, match=r"\(64, 48\).*multiples of 32 px"):
        HigherHRNet(3, **TINY)(torch.zeros(1, 3, 64, 48))


def tiny_file(tmp_path: Path, change: Callable[[dict[str, Tensor]], object]) -> Path:
    state = {name.removeprefix("backbone."): t for name, t in HigherHRNet(3, **TINY).state_dict().items()}
    change(state)
    torch.save(state, tmp_path / "tiny.pth")
    return tmp_path / "tiny.pth"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("deconv_layers.0.0.0.weight"), r"1 missing: deconv_layers\.0\.0\.0\.weight$"),
        (lambda s: s.update({"final_layers.2.bias": torch.zeros(3)}), r"1 left over: final_layers\.2\.bias$"),
        (lambda s: s.update({"conv1.bias": torch.zeros(4)}), r"1 left over: conv1\.bias$"),
    ],
)
def test_a_file_must_fit_both_ways(change: Callable[[dict[str, Tensor]], object], message: str, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=message):
        load_published(HeatmapNetwork(HigherHRNet(3, **TINY)), tiny_file(tmp_path, change))


def test_imagenet_weights_go_to_the_backbone(tmp_path: Path) -> None:
    def of_imagenet(state: dict[str, Tensor]) -> None:
        for name in [name for name in state if name.startswith(("final_layers.", "deconv_layers."))]:
            del state[name]
        state.update({"head.2.0.weight": torch.zeros(3), "classifier.weight": torch.zeros(3)})
        state["stage4.0.fuse_layers.1.0.0.0.weight"] = torch.zeros(3)

    network = HigherHRNet(3, **TINY)
    loaded = load_published(HeatmapNetwork(network), tiny_file(tmp_path, of_imagenet))
    assert loaded.part == "backbone"
    assert loaded.dropped == ("head.2.0.weight", "classifier.weight", "stage4.0.fuse_layers.1.0.0.0.weight")
    assert {name.split(".")[1] for name in loaded.fresh} == {"final_layers", "deconv_layers"}
    assert loaded.tensors == len(network.backbone.state_dict())

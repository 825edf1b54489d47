"""EnhanceNet: the costs that its paper prints (specs 1.6), the layers, the finer grid, what becomes of the losses."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import OutputMap
from models.cost import network_cost
from models.plugins.enhancenet import EnhanceNet
from pose.heatmaps import HeatmapCodec

OUTPUT = OutputMap("heatmaps", stride=4)


def weights_biases_macs(
    size: tuple[int, int] = (64, 48), feature_channels: int = 256, num_keypoints: int = 17, **options: object
) -> tuple[int, int, int, int]:
    """Weights, biases, multiply-accumulates counted densely, and those that are done."""
    with torch.device("meta"):
        plugin = EnhanceNet(feature_channels, num_keypoints, OUTPUT, **options)
        cost = network_cost(plugin, *(torch.empty(1, count, *size) for count in (feature_channels, num_keypoints)))
    biases = sum(tensor.numel() for name, tensor in plugin.named_parameters() if name.endswith("bias"))
    return cost.params - biases, biases, cost.macs_dense, cost.macs


@pytest.mark.parametrize(
    ("options", "weights", "with_biases", "printed"),
    [
        ({"channels": 64}, 211_008, 211_408, 0.648),
        ({}, 495_744, 496_272, 1.523),
        ({"channels": 256}, 1_286_400, 1_287_184, 3.952),
        ({"ratio": 2}, 260_736, 261_060, 0.801),
        ({"ratio": 3}, 358_656, 359_065, 1.102),
        ({"ratio": 5}, 672_000, 672_681, 2.064),
        ({"upscale": "bilinear"}, 201_984, 202_257, 1.523),
        ({"upscale": "deconv3"}, 201_984, 202_257, 1.523),
        ({"upscale": "deconv12"}, 495_744, 496_017, 15.962),
    ],
)
def test_every_row_of_the_papers_tables_has_its_parameters_and_multiply_accumulates(
    options: dict[str, object], weights: int, with_biases: int, printed: float
) -> None:
    found, biases, dense, done = weights_biases_macs(**options)
    assert (found, found + biases) == (weights, with_biases)
    assert dense / 1e9 == pytest.approx(printed, abs=5e-4)
    if "upscale" not in options:
        assert done == dense == weights * 64 * 48


@pytest.mark.parametrize(("upscale", "gmacs"), [("deconv3", 0.620), ("deconv12", 1.523)])
def test_a_deconvolution_does_less_than_is_counted(upscale: str, gmacs: float) -> None:
    assert weights_biases_macs(upscale=upscale)[3] / 1e9 == pytest.approx(gmacs, abs=5e-4)


@pytest.mark.parametrize(
    ("network", "mparams", "gmacs"),
    [
        ({"feature_channels": 32}, 0.468, 1.435),
        ({"feature_channels": 48}, 0.470, 1.441),
        ({"size": (128, 128)}, 0.496, 8.122),
        ({"size": (64, 64), "num_keypoints": 16}, 0.478, 1.955),
    ],
    ids=["hrnet_w32", "hrnet_w48", "associative_embedding", "mpii"],
)
def test_costs_on_other_networks(network: dict[str, int], mparams: float, gmacs: float) -> None:
    weights, biases, dense, _ = weights_biases_macs(**network)
    assert (weights + biases) / 1e6 == pytest.approx(mparams, abs=6e-4)
    assert dense / 1e9 == pytest.approx(gmacs, abs=6e-4)


def written_out(plugin: EnhanceNet, features: Tensor, heatmaps: Tensor) -> Tensor:
    """Layers 0 … L − 1 of specs 1.1 from the tensors alone."""
    x = torch.cat([features, heatmaps], dim=1)
    convolutions = [module for module in plugin.hidden if isinstance(module, nn.Conv2d)]
    for number, layer in enumerate(convolutions):
        assert layer.weight.shape[2:] == ((1, 1) if number == 0 else (3, 3))
        x = F.conv2d(x, layer.weight, layer.bias, padding=0 if number == 0 else 1).clamp(min=0)
    return x


def periodic_shuffle(maps: Tensor, ratio: int, num_keypoints: int) -> Tensor:
    """PS of the paper's equation 5, pixel by pixel: (B, K·r², h, w) → (B, K, r·h, r·w)."""
    batch, _, height, width = maps.shape
    fine = maps.new_zeros(batch, num_keypoints, height * ratio, width * ratio)
    for y in range(height * ratio):
        for x in range(width * ratio):
            for k in range(num_keypoints):
                channel = num_keypoints * ratio * (y % ratio) + num_keypoints * (x % ratio) + k
                fine[:, k, y, x] = maps[:, channel, y // ratio, x // ratio]
    return fine


@pytest.mark.parametrize(("ratio", "layers"), [(2, 2), (3, 3), (4, 5)])
def test_it_is_the_paper_up_to_the_order_of_the_last_layers_filters(ratio: int, layers: int) -> None:
    torch.manual_seed(0)
    plugin = EnhanceNet(6, 3, OUTPUT, channels=5, ratio=ratio, layers=layers).double()
    for parameter in plugin.parameters():
        nn.init.normal_(parameter)
    features, heatmaps = torch.randn(2, 6, 4, 3).double(), torch.randn(2, 3, 4, 3).double()
    last = plugin.upscale[0]
    # The paper's channel r·K·row + K·col + k is channel k·r² + r·row + col here.
    order = torch.arange(3 * ratio**2).view(3, ratio, ratio).permute(1, 2, 0).flatten()
    x = F.conv2d(written_out(plugin, features, heatmaps), last.weight[order], last.bias[order], padding=1)
    torch.testing.assert_close(plugin(features, heatmaps)[0], periodic_shuffle(x, ratio, 3))


@pytest.mark.parametrize(("input", "channels"), [("both", 9), ("features", 6), ("heatmaps", 3)])
def test_it_looks_at_what_it_is_told_to(input: str, channels: int) -> None:
    torch.manual_seed(0)
    plugin = EnhanceNet(6, 3, OUTPUT, channels=4, input=input)
    assert plugin.hidden[0].in_channels == channels
    features, heatmaps = torch.randn(1, 6, 4, 4, requires_grad=True), torch.randn(1, 3, 4, 4, requires_grad=True)
    plugin(features, heatmaps)[0].square().sum().backward()
    assert (features.grad is not None) == (input != "heatmaps")
    assert (heatmaps.grad is not None) == (input != "features")


@pytest.mark.parametrize("ratio", [2, 3, 4, 5])
@pytest.mark.parametrize("upscale", ["subpixel", "bilinear", "deconv3", "deconv12"])
def test_every_upscaling_is_exactly_as_much_finer_as_the_output_says(upscale: str, ratio: int) -> None:
    plugin = EnhanceNet(4, 3, OUTPUT, channels=2, upscale=upscale, ratio=ratio)
    (output,) = plugin.outputs
    (maps,) = plugin(torch.zeros(1, 4, 6, 5), torch.zeros(1, 3, 6, 5))
    assert maps.shape == (1, 3, 6 * ratio, 5 * ratio)
    assert (output.stride, output.sigma_scale) == (4 / ratio, ratio)


def test_the_transposed_convolutions_are_those_of_the_specs() -> None:
    """Specs 1.4 at ratio 4: kernel 3 with output padding 1, kernel 12 with padding 4."""
    for upscale, kernel, padding, added in (("deconv3", 3, 0, 1), ("deconv12", 12, 4, 0)):
        layer = EnhanceNet(4, 3, OUTPUT, upscale=upscale).upscale
        found = layer.kernel_size, layer.stride, layer.padding, layer.output_padding
        assert found == ((kernel, kernel), (4, 4), (padding, padding), (added, added))


def test_a_kernel_of_3_leaves_the_bias_alone_on_every_fourth_row_and_column() -> None:
    plugin = EnhanceNet(4, 2, OUTPUT, channels=3, upscale="deconv3", layers=2)
    nn.init.ones_(plugin.hidden[0].bias)
    (maps,) = plugin(torch.randn(1, 4, 5, 6), torch.randn(1, 2, 5, 6))
    untouched = maps == 0
    assert untouched[:, :, 3::4].all()
    assert untouched[..., 3::4].all()
    assert float(untouched.float().mean()) == pytest.approx(7 / 16)


@pytest.mark.parametrize("ratio", [2, 3, 4, 5])
def test_bilinear_upscaling_keeps_keypoints_where_they_are(ratio: int) -> None:
    """With layers that change nothing the finer map decodes to the same points of the crop."""
    plugin = EnhanceNet(1, 4, OUTPUT, channels=4, input="heatmaps", upscale="bilinear", ratio=ratio, layers=2)
    for layer in (plugin.hidden[0], plugin.upscale[1]):
        nn.init.dirac_(layer.weight)
    coarse = HeatmapCodec((64, 48), (16, 12), 1.5, "exact")
    fine = HeatmapCodec((64, 48), (16 * ratio, 12 * ratio), 1.5 * ratio, "exact", "dark")
    keypoints = torch.tensor([[[20.0, 30.0], [21.0, 29.0], [22.0, 28.0], [23.3, 33.7]]])
    (maps,) = plugin(torch.zeros(1, 1, 16, 12), coarse.encode(keypoints, torch.ones(1, 4))[0])
    assert (fine.decode(maps)[0] - keypoints).abs().max() < 0.1


def test_layers_start_small_and_without_bias() -> None:
    torch.manual_seed(0)
    for upscale in ("subpixel", "bilinear", "deconv3", "deconv12"):
        for name, parameter in EnhanceNet(256, 17, OUTPUT, upscale=upscale).named_parameters():
            assert float(parameter.detach().std()) == pytest.approx(0 if name.endswith("bias") else 0.001, rel=0.05)


def test_hard_keypoint_mining_moves_to_the_finer_map() -> None:
    """And with it everything else that a target needs; the loss is η times the network's own (specs 1.2, 1.5)."""
    base = OutputMap("refined", stride=4, sigma_scale=1.5, loss_weight=0.5, hardest=8, peak=255)
    plugin = EnhanceNet(8, 17, base, loss_weight=3)
    assert plugin.base_output == OutputMap("refined", stride=4, sigma_scale=1.5, loss_weight=0.5, peak=255)
    assert plugin.outputs == (
        OutputMap("enhanced", stride=1, sigma_scale=6, loss_weight=1.5, hardest=8, peak=255),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("input", "F"), ("upscale", "deconv"), ("ratio", 1), ("ratio", 2.5), ("channels", 0), ("layers", 1),
        ("loss_weight", -1), ("loss_weight", float("nan")),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_quoted(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{option} must be .*got {value!r}"):
        EnhanceNet(4, 3, OUTPUT, **{option: value})

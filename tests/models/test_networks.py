"""ResNet and SimpleBaseline: torchvision's tensor names, the published arithmetic, the head of the paper."""

from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from models import HeatmapNetwork, create_model, list_models
from models.backbones.resnet import RESNETS, BasicBlock, Bottleneck, ResNet
from models.heads.deconvolution import DeconvolutionHead

DEPTHS = {
    "resnet18": (1, (2, 2, 2, 2)),
    "resnet34": (1, (3, 4, 6, 3)),
    "resnet50": (4, (3, 4, 6, 3)),
    "resnet101": (4, (3, 4, 23, 3)),
    "resnet152": (4, (3, 8, 36, 3)),
}
# torchvision's published counts less the classifier (C·1000 + 1000).
TORCHVISION_PARAMS = {
    "resnet18": 11_689_512 - 513_000,
    "resnet34": 21_797_672 - 513_000,
    "resnet50": 25_557_032 - 2_049_000,
    "resnet101": 44_549_160 - 2_049_000,
    "resnet152": 60_192_808 - 2_049_000,
}


def norm_shapes(name: str, channels: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def torchvision_shapes(
    expansion: int, depths: tuple[int, ...], width: int = 64
) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of a torchvision ResNet's state dictionary without `fc`."""
    yield "conv1.weight", (width, 3, 7, 7)
    yield from norm_shapes("bn1", width)
    inputs = width
    for stage, blocks in enumerate(depths):
        middle = width * 2**stage
        outputs = middle * expansion
        for block in range(blocks):
            name = f"layer{stage + 1}.{block}"
            kernels = (1, 3, 1) if expansion == 4 else (3, 3)
            channels = [inputs, *[middle] * (len(kernels) - 1), outputs]
            for number, kernel in enumerate(kernels):
                yield f"{name}.conv{number + 1}.weight", (channels[number + 1], channels[number], kernel, kernel)
                yield from norm_shapes(f"{name}.bn{number + 1}", channels[number + 1])
            if block == 0 and (stage > 0 or inputs != outputs):
                yield f"{name}.downsample.0.weight", (outputs, inputs, 1, 1)
                yield from norm_shapes(f"{name}.downsample.1", outputs)
            inputs = outputs


def normalised(x: Tensor, state: dict[str, Tensor], name: str) -> Tensor:
    mean, var = state[f"{name}.running_mean"], state[f"{name}.running_var"]
    scale = state[f"{name}.weight"] / torch.sqrt(var + 1e-5)
    return (x - mean[:, None, None]) * scale[:, None, None] + state[f"{name}.bias"][:, None, None]


def plain_block(x: Tensor, state: dict[str, Tensor], name: str, stride: int, kernels: tuple[int, ...]) -> Tensor:
    """One residual block from its tensors alone; the stride sits on the first 3x3 convolution."""
    y, left = x, stride
    for number, kernel in enumerate(kernels, start=1):
        here = left if kernel == 3 else 1
        left = 1 if kernel == 3 else left
        y = F.conv2d(y, state[f"{name}conv{number}.weight"], stride=here, padding=kernel // 2)
        y = normalised(y, state, f"{name}bn{number}")
        y = y.clamp(min=0) if number < len(kernels) else y
    if f"{name}downsample.0.weight" in state:
        x = normalised(F.conv2d(x, state[f"{name}downsample.0.weight"], stride=stride), state, f"{name}downsample.1")
    return (x + y).clamp(min=0)


def plain_resnet(x: Tensor, state: dict[str, Tensor], expansion: int, depths: tuple[int, ...]) -> Tensor:
    x = normalised(F.conv2d(x, state["conv1.weight"], stride=2, padding=3), state, "bn1").clamp(min=0)
    x = F.max_pool2d(x, 3, stride=2, padding=1)
    kernels = (1, 3, 1) if expansion == 4 else (3, 3)
    for stage, blocks in enumerate(depths):
        for block in range(blocks):
            stride = 2 if stage > 0 and block == 0 else 1
            x = plain_block(x, state, f"layer{stage + 1}.{block}.", stride, kernels)
    return x


def with_random_statistics(network: torch.nn.Module) -> torch.nn.Module:
    """Double precision, evaluation mode, and norms that do something."""
    torch.manual_seed(0)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point() and tensor.ndim == 1:
            tensor.normal_().mul_(0.3).add_(0.0 if name.endswith(("bias", "mean")) else 1.0)
    return network.double().eval()


@pytest.mark.parametrize("name", DEPTHS)
def test_tensor_names_and_shapes_are_torchvisions_in_torchvisions_order(name: str) -> None:
    with torch.device("meta"):
        network = RESNETS[name](64)
    assert [(n, tuple(t.shape)) for n, t in network.state_dict().items()] == list(torchvision_shapes(*DEPTHS[name]))
    assert sum(p.numel() for p in network.parameters()) == TORCHVISION_PARAMS[name]


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_resnet_computes_what_its_tensors_say(name: str) -> None:
    network = with_random_statistics(RESNETS[name](8))
    crops = torch.randn(2, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(network(crops)[-1], plain_resnet(crops, network.state_dict(), *DEPTHS[name]))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("block", "kernels"), [(BasicBlock, (3, 3)), (Bottleneck, (1, 3, 1))])
def test_a_block_is_its_convolutions_norms_and_shortcut(
    block: type[BasicBlock] | type[Bottleneck], kernels: tuple[int, ...], stride: int
) -> None:
    outputs = 4 * block.expansion
    downsample = torch.nn.Sequential(
        torch.nn.Conv2d(6, outputs, 1, stride=stride, bias=False), torch.nn.BatchNorm2d(outputs)
    )
    module = with_random_statistics(block(6, 4, stride, downsample))
    x = torch.randn(2, 6, 9, 8, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(module(x), plain_block(x, module.state_dict(), "", stride, kernels))


@pytest.mark.parametrize("name", ["resnet50", "resnet101", "resnet152"])
def test_the_stride_of_a_bottleneck_sits_on_its_3x3_convolution(name: str) -> None:
    with torch.device("meta"):
        network = RESNETS[name](64)
    for stage in (2, 3, 4):
        first = network.get_submodule(f"layer{stage}.0")
        assert [conv.stride for conv in (first.conv1, first.conv2, first.conv3)] == [(1, 1), (2, 2), (1, 1)]
        assert first.downsample[0].stride == (2, 2)


def test_backbone_starts_from_he_initialisation() -> None:
    torch.manual_seed(0)
    conv = RESNETS["resnet18"](64).get_submodule("layer4.1.conv2")
    assert float(conv.weight.detach().std()) == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.02)


def test_every_simplebaseline_halves_five_times_and_doubles_three_times() -> None:
    for name in filter(lambda name: name.startswith("simplebaseline"), list_models()):
        with torch.device("meta"):
            network = create_model(name, 14)
            (maps,) = network(torch.empty(2, 3, 96, 64))
        assert maps.shape == (2, 14, 24, 16), name
        assert [(output.name, output.stride) for output in network.outputs] == [("heatmaps", 4)]


@pytest.mark.parametrize("layers", [0, 1, 2, 3, 5])
def test_the_declared_stride_is_the_true_one(layers: int) -> None:
    network = create_model("simplebaseline_resnet18", 3, width=4, deconv_channels=[4] * layers)
    (maps,) = network(torch.zeros(1, 3, 64, 32))
    stride = network.outputs[-1].stride
    assert maps.shape[2:] == (64 / stride, 32 / stride)
    assert stride == 32 / 2**layers


def test_the_head_is_four_by_four_stride_two_without_bias_and_starts_small() -> None:
    torch.manual_seed(0)
    head = DeconvolutionHead(64, 17)
    deconvolutions = [m for m in head.modules() if isinstance(m, torch.nn.ConvTranspose2d)]
    assert [tuple(m.weight.shape) for m in deconvolutions] == [(64, 256, 4, 4), (256, 256, 4, 4), (256, 256, 4, 4)]
    for module in deconvolutions:
        assert (module.stride, module.padding, module.bias) == ((2, 2), (1, 1), None)
        assert float(module.weight.detach().std()) == pytest.approx(0.001, rel=0.02)
        assert abs(float(module.weight.detach().mean())) < 2e-5
    assert float(head.final_layer.weight.detach().std()) == pytest.approx(0.001, rel=0.1)
    assert not head.final_layer.bias.any()
    assert [type(m).__name__ for m in head.deconv_layers] == ["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 3


def test_tensor_names_of_the_head_are_those_of_the_public_code() -> None:
    names = [name for name, _ in DeconvolutionHead(8, 2, (4, 4)).named_parameters()]
    assert names == [
        "deconv_layers.0.weight", "deconv_layers.1.weight", "deconv_layers.1.bias", "deconv_layers.3.weight",
        "deconv_layers.4.weight", "deconv_layers.4.bias", "final_layer.weight", "final_layer.bias",
    ]  # fmt: skip


def test_gradients_reach_every_parameter() -> None:
    network: HeatmapNetwork = create_model("simplebaseline_resnet50", 3, width=4, deconv_channels=(4, 4, 4))
    network(torch.randn(2, 3, 64, 64))[0].square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_an_unknown_model_lists_the_known_ones() -> None:
    with pytest.raises(KeyError, match="unknown model 'hourglass'") as error:
        create_model("hourglass", 17)
    assert all(name in str(error.value) for name in list_models())


@pytest.mark.parametrize("options", [{"widht": 8}, {"deconv_channels": 5}])
def test_an_option_that_the_network_does_not_have_is_named_with_the_network(options: dict[str, object]) -> None:
    with pytest.raises(TypeError, match=r"simplebaseline_resnet18: .*(widht|int)"):
        create_model("simplebaseline_resnet18", 17, **options)


def test_stage_names_do_not_depend_on_width() -> None:
    narrow, wide = ResNet(BasicBlock, (1, 1, 1, 1), 4), ResNet(BasicBlock, (1, 1, 1, 1), 8)
    assert narrow.channels == 32
    assert wide.channels == 64
    shortcut_of_first_stage = [name for name in narrow.state_dict() if name.startswith("layer1.0.downsample")]
    assert not shortcut_of_first_stage
    assert list(narrow.state_dict()) == list(wide.state_dict())

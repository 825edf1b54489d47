"""The hourglass for associative embedding: the public code's tensors, arithmetic and cost; its file loads."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from public_networks import (
    fixture,
    plain_conv,
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
from models.heatmap_network import HeatmapNetwork
from models.networks.ae_hourglass import AEHourglass
from models.published import load_published
from models.weights_file import WeightsError

TINY = {"stacks": 3, "channels": 8, "increase": 4, "depth": 2}


@cache
def on_meta() -> AEHourglass:
    with torch.device("meta"):
        return AEHourglass(17).eval()


def test_cost_is_the_published_one() -> None:
    images = torch.empty(1, 3, 512, 512, device="meta")
    assert network_cost(on_meta(), images) == Cost(138_893_840, 222_210_031_616, 222_210_031_616)


def test_tensors_and_maps_have_the_public_names_shapes_and_order() -> None:
    published, network = fixture("ae_hourglass_s4_512"), on_meta()
    assert public_state(network) == state_of(published)
    (shape,) = published["output_shapes"]
    maps, features = network(torch.empty(published["input"], device="meta"))
    assert [list(one.shape) for one in maps] == [[1, 17, *shape[3:]]] * (2 * shape[1])
    assert network.outs[0].conv.out_channels == shape[2]
    assert features.shape == (1, network.feature_channels, *shape[3:])


class PlainAEHourglass:
    """The network from its tensors alone."""

    def __init__(self, state: dict[str, Tensor], stacks: int, depth: int) -> None:
        self.state, self.stacks, self.depth = state, stacks, depth

    def answers_and_features(self, images: Tensor) -> tuple[list[Tensor], Tensor]:
        x = self.conv(self.conv(images, "pre.0", 2), "pre.1")
        x = self.conv(self.conv(F.max_pool2d(x, 2, stride=2), "pre.3"), "pre.4")
        answers = []
        for stack in range(self.stacks):
            features = self.hourglass(x, f"features.{stack}.0", self.depth)
            features = self.conv(self.conv(features, f"features.{stack}.1"), f"features.{stack}.2")
            answers.append(plain_conv(features, self.state, f"outs.{stack}.conv"))
            if stack < self.stacks - 1:
                x = x + plain_conv(answers[-1], self.state, f"merge_preds.{stack}.conv.conv")
                x = x + plain_conv(features, self.state, f"merge_features.{stack}.conv.conv")
        return answers, features

    def hourglass(self, x: Tensor, name: str, halvings: int) -> Tensor:
        below = self.conv(F.max_pool2d(x, 2, stride=2), f"{name}.low1")
        inner = f"{name}.low2"
        below = self.hourglass(below, inner, halvings - 1) if halvings > 1 else self.conv(below, inner)
        return self.conv(x, f"{name}.up1") + plain_upsampling(self.conv(below, f"{name}.low3"), 2)

    def conv(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        return plain_conv(x, self.state, f"{name}.conv", stride).clamp(min=0)


@pytest.mark.parametrize(("stacks", "depth"), [(1, 1), (2, 4), (3, 2)])
def test_the_network_computes_what_its_tensors_say(stacks: int, depth: int) -> None:
    network = randomised(AEHourglass(3, stacks, channels=8, increase=4, depth=depth))
    images = torch.randn(2, 3, 64, 128, dtype=torch.float64)
    with torch.no_grad():
        maps, features = network(images)
        answers, expected = PlainAEHourglass(network.state_dict(), stacks, depth).answers_and_features(images)
    for tags, heatmaps, answer in zip(maps[::2], maps[1::2], answers, strict=True):
        torch.testing.assert_close(heatmaps, answer[:, :3])
        torch.testing.assert_close(tags, answer[:, 3:6])
        assert answer.shape[1] == 12
    torch.testing.assert_close(features, expected)


def test_every_output_says_what_it_is() -> None:
    network = AEHourglass(3, **TINY)
    maps, features = network(torch.zeros(1, 3, 48, 32))
    assert {tuple(m.shape) for m in maps} == {(1, 3, 12, 8)}
    assert features.shape == (1, network.feature_channels, 12, 8)
    assert [(o.name, o.kind) for o in network.outputs] == [
        ("tags_1", "tags"),
        ("heatmaps_1", "heatmaps"),
        ("tags_2", "tags"),
        ("heatmaps_2", "heatmaps"),
        ("tags_3", "tags"),
        ("heatmaps_3", "heatmaps"),
    ]
    assert {(o.stride, o.averaged, o.sigma_scale, o.loss_weight) for o in network.outputs} == {(4, False, 1, 1 / 3)}


def test_the_next_stack_looks_at_all_that_a_stack_answers() -> None:
    network = randomised(AEHourglass(3, **TINY))
    network(torch.randn(2, 3, 32, 32, dtype=torch.float64))[0][-1].square().sum().backward()
    assert [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []
    assert all(out.conv.weight.grad.flatten(1).any(1).all() for out in network.outs[:-1])
    assert not network.outs[-1].conv.weight.grad[3:].any()


def test_there_are_no_norms_and_every_convolution_has_a_bias() -> None:
    modules = list(AEHourglass(3, **TINY).modules())
    assert not any(isinstance(m, nn.BatchNorm2d) for m in modules)
    assert all(m.bias is not None for m in modules if isinstance(m, nn.Conv2d))


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_the_network_is_one_graph(training: bool) -> None:
    network = AEHourglass(3, stacks=2, channels=8, increase=4, depth=1)
    require_one_graph(network.double(), torch.randn(2, 3, 16, 16, dtype=torch.float64), training)


def test_the_memory_layout_of_the_images_is_kept() -> None:
    require_kept_layout(AEHourglass(3, **TINY).double(), torch.randn(2, 3, 64, 64, dtype=torch.float64))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stacks": 0}, "got 0, 256 and 4"),
        ({"depth": 0}, "got 4, 256 and 0"),
        ({"channels": 8.0}, r"got 4, 8\.0"),
        ({"channels": 6}, "multiple of 4, got 6"),
        ({"increase": -1}, "increase .* got -1"),
        ({"increase": 0.5}, r"increase .* got 0\.5"),
    ],
)
def test_a_value_that_makes_no_network_is_quoted(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AEHourglass(17, **options)


@pytest.mark.parametrize(("depth", "size", "divisor"), [(4, (64, 96), 64), (2, (24, 32), 16)])
def test_images_that_cannot_be_halved_often_enough_are_refused_by_their_size(
    depth: int, size: tuple[int, int], divisor: int
) -> None:
    network = AEHourglass(3, stacks=1, channels=8, increase=0, depth=depth)
    with pytest.raises(CropSizeError, match=rf"\({size[0]}, {size[1]}\).*multiples of {divisor} px"):
        network(torch.zeros(1, 3, *size))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("outs.2.conv.bias"), r"1 missing: outs\.2\.conv\.bias$"),
        (lambda s: s.update({"outs.2.bn.bias": torch.zeros(3)}), r"1 left over: outs\.2\.bn\.bias$"),
    ],
)
def test_a_file_must_fit_both_ways(change: Callable[[dict[str, Tensor]], object], message: str, tmp_path: Path) -> None:
    state = dict(AEHourglass(3, **TINY).state_dict())
    change(state)
    torch.save({f"model.module.{name}": tensor for name, tensor in state.items()}, tmp_path / "tiny.pth")
    with pytest.raises(WeightsError, match=message):
        load_published(HeatmapNetwork(AEHourglass(3, **TINY)), tmp_path / "tiny.pth")

"""Parameters and multiply-accumulates against the papers' figures (specs 6) and hand counts."""

import pytest
import torch
from torch import nn

from models import create_model
from models.cost import Cost, model_cost, network_cost, plugin_cost


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("simplebaseline_resnet50", 33_999_697),
        ("simplebaseline_resnet101", 52_991_825),
        ("simplebaseline_resnet152", 68_635_473),
    ],
)
def test_parameters_are_the_published_ones(name: str, params: int) -> None:
    assert model_cost(name, 17, (256, 192)).params == params


def test_multiply_accumulates_of_simplebaseline_are_the_published_ones() -> None:
    assert model_cost("simplebaseline_resnet50", 17, (256, 192)) == Cost(33_999_697, 5_426_380_800, 9_654_239_232)
    assert model_cost("simplebaseline_resnet101", 17, (256, 192)).macs_dense / 1e9 == pytest.approx(13.291, abs=5e-4)
    assert model_cost("simplebaseline_resnet50", 17, (384, 288)).macs_dense / 1e9 == pytest.approx(21.72, abs=5e-3)


def test_mpii_has_one_row_of_the_last_layer_less() -> None:
    coco, mpii = (model_cost("simplebaseline_resnet50", k, (256, 192)) for k in (17, 16))
    assert coco.params - mpii.params == 257
    assert coco.macs - mpii.macs == coco.macs_dense - mpii.macs_dense == 256 * 64 * 48


def test_the_head_alone_costs_what_the_specs_say() -> None:
    with torch.device("meta"):
        head = create_model("simplebaseline_resnet50", 17).base.head.eval()
        cost = network_cost(head, torch.empty(1, 2048, 8, 6))
    assert cost.params == 10_491_665
    assert cost.macs_dense / 1e9 == pytest.approx(5.651, abs=5e-4)
    assert cost.macs / 1e9 == pytest.approx(1.423, abs=5e-4)


def test_counting_allocates_and_computes_nothing() -> None:
    assert model_cost("simplebaseline_resnet152", 17, (4096, 4096)).macs > 1e12


@pytest.mark.parametrize(
    ("layer", "shape", "macs", "dense"),
    [
        (nn.Linear(7, 5), (1, 7), 35, 35),
        (nn.Linear(7, 5), (1, 3, 2, 7), 6 * 35, 6 * 35),
        (nn.Conv2d(6, 4, 3, padding=1), (1, 6, 10, 8), 6 * 4 * 9 * 80, 6 * 4 * 9 * 80),
        (nn.Conv2d(6, 4, 3, padding=1, groups=2), (1, 6, 10, 8), 6 * 4 * 9 * 80 // 2, 6 * 4 * 9 * 80 // 2),
        (nn.Conv2d(2, 3, (1, 5), stride=(2, 1)), (1, 2, 10, 8), 2 * 3 * 5 * 5 * 4, 2 * 3 * 5 * 5 * 4),
        (nn.ConvTranspose2d(3, 5, 4, stride=2, padding=1), (1, 3, 6, 7), 15 * 16 * 42, 15 * 16 * 42 * 4),
        (nn.ConvTranspose2d(4, 6, (2, 3), stride=(2, 3), groups=2), (1, 4, 5, 5), 72 * 25, 72 * 25 * 6),
        (nn.Sequential(nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Upsample(scale_factor=2)), (1, 3, 8, 8), 0, 0),
    ],
)
def test_single_layers_match_a_hand_count(layer: nn.Module, shape: tuple[int, ...], macs: int, dense: int) -> None:
    cost = network_cost(layer.eval(), torch.zeros(shape))
    assert (cost.macs, cost.macs_dense) == (macs, dense)
    assert cost.params == sum(p.numel() for p in layer.parameters())


def test_a_plugin_alone_is_what_it_adds() -> None:
    options = {"plugin": "enhancenet", "plugin_options": {"channels": 5, "ratio": 2}}
    tiny = {"width": 4, "blocks": (2, 2), "deconv_channels": (8, 6)}
    alone = plugin_cost("simplebaseline_resnet18", 3, (64, 48), **options, **tiny)
    whole = model_cost("simplebaseline_resnet18", 3, (64, 48), **options, **tiny)
    assert model_cost("simplebaseline_resnet18", 3, (64, 48), **tiny) + alone == whole
    # By hand: 1x1 on 6 features and 3 heatmaps, 3x3, 3x3 to 3·2² channels; on 32x24 px. The parameters have biases.
    weights = 9 * 5 + 9 * 5 * 5 + 9 * 5 * 12
    assert alone == Cost(weights + 5 + 5 + 12, weights * 32 * 24, weights * 32 * 24)


def test_counting_leaves_the_network_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    before = network[1].running_mean.clone()
    network_cost(network, torch.rand(2, 3, 4, 4))
    assert torch.equal(network[1].running_mean, before)
    assert network(torch.rand(2, 3, 4, 4)).mean().abs() < 1e-5  # norms work again


def test_counting_leaves_no_hooks_behind_even_when_the_network_fails() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(5, 4, 1))
    with pytest.raises(RuntimeError):
        network_cost(network, torch.zeros(1, 3, 4, 4))
    assert not any(module._forward_hooks for module in network.modules())


def test_a_layer_used_twice_is_counted_twice_but_owned_once() -> None:
    conv = nn.Conv2d(2, 2, 1, bias=False)
    assert network_cost(nn.Sequential(conv, conv), torch.zeros(1, 2, 3, 3)) == Cost(4, 72, 72)

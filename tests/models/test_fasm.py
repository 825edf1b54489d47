"""EFAFNet's bottleneck: feature aggregation and feature selection are their equations."""

from typing import Any

import pytest
import torch
from plain_efafnet import plain_bottleneck, plain_selection, without_saturation
from public_networks import randomised
from torch import nn

from models.backbones.fasm import Fasm
from models.backbones.feature_selection import ARRANGEMENTS, FeatureSelection


@pytest.mark.parametrize("outer_relu", [True, False])
@pytest.mark.parametrize("arrangement", ARRANGEMENTS)
def test_feature_selection_weighs_channels_and_places(arrangement: Any, outer_relu: bool) -> None:
    module = without_saturation(randomised(FeatureSelection(6, 3, arrangement, outer_relu)))
    x = torch.randn(2, 6, 5, 4, dtype=torch.float64)
    with torch.no_grad():
        expected = plain_selection(x, module.state_dict(), "", arrangement, outer_relu)
        torch.testing.assert_close(module(x), expected)
        beta = module.lss(x)
    assert (float(beta.min()) == 0.5) if outer_relu else (float(beta.min()) < 0.5)


def test_the_location_selection_starts_alive() -> None:
    torch.manual_seed(0)
    module = FeatureSelection(64, 4, "parallel")
    assert float(module.lss.w2.weight.detach()) == 1
    assert not module.lss.w1.bias.any()
    assert not module.lss.w2.bias.any()
    module(torch.randn(2, 64, 6, 5)).square().sum().backward()
    assert bool(module.lss.w1.weight.grad.any())
    assert bool(module.lss.w2.weight.grad.any())


@pytest.mark.parametrize(("stride", "first"), [(1, False), (1, True), (2, True)])
@pytest.mark.parametrize(
    "fasm",
    [
        Fasm(fsm=None),
        Fasm(fsm=None, first_sum=False),
        Fasm(fsm=None, scales=3, base_width=20),
        Fasm(fam=False),
        Fasm(),
        Fasm(fsm="cs_lss", lss_relu=False),
        Fasm(fsm="lss_cs", place="convolution"),
        Fasm(fam=False, place="convolution", reduction=2),
    ],
    ids=str,
)
def test_a_bottleneck_is_its_equations(fasm: Fasm, stride: int, first: bool) -> None:
    inputs = 24 if first else 32
    downsample = (
        nn.Sequential(nn.Conv2d(inputs, 32, 1, stride=stride, bias=False), nn.BatchNorm2d(32)) if first else None
    )
    block = without_saturation(randomised(fasm(inputs, 8, stride, downsample)))
    x = torch.randn(2, inputs, 10, 8, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(block(x), plain_bottleneck(x, block.state_dict(), "", stride, fasm))


def test_the_untouched_group_reaches_the_first_convolution_only_by_equation_1() -> None:
    x = torch.zeros(1, 32, 6, 6, dtype=torch.float64)
    x[:, 24:] = torch.randn(1, 8, 6, 6, dtype=torch.float64)
    for first_sum in (True, False):
        block = randomised(Fasm(fsm=None, base_width=64, first_sum=first_sum)(32, 8, 1, None))
        for bn in block.bns:
            bn.reset_parameters()
            bn.reset_running_stats()
        assert bool(block._aggregate(x)[:, :8].any()) == first_sum


@pytest.mark.parametrize(
    ("width", "base_width", "group"), [(64, 26, 26), (512, 26, 208), (8, 26, 3), (4, 26, 1), (1, 26, 1), (8, 16, 2)]
)
def test_groups_of_narrow_networks_are_rounded_down_but_never_empty(width: int, base_width: int, group: int) -> None:
    assert Fasm(base_width=base_width).group_width(width) == group

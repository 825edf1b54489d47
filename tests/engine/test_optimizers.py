"""Each optimiser that a recipe can name is torch's own, over every parameter, with the recipe's numbers."""

import pytest
import torch

from engine.config import OptimConfig
from engine.learner import build_optimizer
from models import create_model

KINDS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "rmsprop": torch.optim.RMSprop}


@pytest.mark.parametrize("name", KINDS)
def test_an_optimiser_has_the_recipes_numbers_and_every_parameter(name: str) -> None:
    network = create_model("simplebaseline_resnet18", 17, width=4, deconv_channels=(4, 4, 4))
    optimizer = build_optimizer(OptimConfig.model_validate({"name": name, "lr": 0.5, "weight_decay": 0.25}), network)
    assert type(optimizer) is KINDS[name]
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.25)
    assert {id(parameter) for parameter in group["params"]} == {id(parameter) for parameter in network.parameters()}


def test_rmsprop_takes_the_steps_of_the_hourglass_recipe() -> None:
    """pytorch-pose: alpha 0.99, epsilon 1e-8, no momentum. The step is lr · gradient / (√average + ε)."""
    network = create_model("simplebaseline_resnet18", 17, width=4, deconv_channels=(4, 4, 4))
    optimizer = build_optimizer(OptimConfig(name="rmsprop", lr=2.5e-4), network)
    weight = next(network.parameters())
    average = torch.zeros_like(weight)
    for gradient in (0.3, -0.2):
        before = weight.detach().clone()
        weight.grad = torch.full_like(weight, gradient)
        optimizer.step()
        average = 0.99 * average + 0.01 * gradient**2
        torch.testing.assert_close(before - weight, 2.5e-4 * gradient / (average.sqrt() + 1e-8), rtol=1e-3, atol=1e-7)

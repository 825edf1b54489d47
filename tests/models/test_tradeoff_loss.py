"""The tradeoff heatmap loss against loops over channels and pixels."""

import numpy as np
import pytest
import torch
from torch import Tensor

from models.tradeoff_loss import common_region, tradeoff_mse

B, C, H, W = 4, 3, 5, 6
VALID = torch.tensor([True, False, True, True])


def by_loops(
    predicted: Tensor,
    target: Tensor,
    background: float,
    valid: Tensor,
    ignore: Tensor | None = None,
    counted: Tensor | None = None,
    region: Tensor | None = None,
) -> float:
    total = 0.0
    for b, c, y, x in np.ndindex(*predicted.shape):
        if not valid[b] or (ignore is not None and ignore[b, y, x]) or (counted is not None and not counted[b, c]):
            continue
        in_region = target[b, c, y, x] > 0 if region is None else region[b, y, x]
        total += (1 if in_region else background) * float(predicted[b, c, y, x] - target[b, c, y, x]) ** 2
    return total / (int(valid.sum()) * predicted[0].numel())


def random_maps() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    predicted, target = torch.randn(2, B, C, H, W, generator=generator)
    return predicted, target.clamp(min=0)


def options(which: str) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    every = {
        "ignore": (torch.rand(B, H, W, generator=generator) < 0.4).to(torch.uint8),
        "counted": torch.rand(B, C, generator=generator) < 0.6,
        "region": torch.rand(B, H, W, generator=generator) < 0.5,
    }
    return {name: every[name] for name in which.split()}


@pytest.mark.parametrize("background", [1.0, 0.1, 0.0])
@pytest.mark.parametrize("which", ["", "ignore", "counted", "region", "ignore counted region"])
def test_it_equals_loops(background: float, which: str) -> None:
    predicted, target = random_maps()
    loss = tradeoff_mse(predicted, target, background, VALID, **options(which))
    expected = by_loops(predicted, target, background, VALID, **options(which))
    torch.testing.assert_close(float(loss), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("background", [1.0, 0.1])
@pytest.mark.parametrize("which", ["", "ignore counted", "ignore counted region"])
def test_gradients_are_those_of_finite_differences(background: float, which: str) -> None:
    predicted, target = (maps.double() for maps in random_maps())
    assert torch.autograd.gradcheck(
        lambda maps: tradeoff_mse(maps, target, background, VALID, **options(which)), predicted.requires_grad_()
    )


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_layout_and_precision_of_the_prediction(dtype: torch.dtype, layout: torch.memory_format) -> None:
    predicted, target = random_maps()
    given = predicted.to(dtype, memory_format=layout).clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = tradeoff_mse(given, target, 0.1, VALID, **options("ignore"))
    assert loss.dtype == torch.float32
    expected = by_loops(given.detach().float(), target, 0.1, VALID, **options("ignore"))
    torch.testing.assert_close(float(loss.detach()), expected, rtol=1e-5, atol=0)
    (gradient,) = torch.autograd.grad(loss, given)
    assert gradient.dtype == dtype
    assert gradient.is_contiguous(memory_format=layout)


def test_no_gradient_where_nothing_counts() -> None:
    predicted, target = random_maps()
    chosen = options("ignore counted")
    tradeoff_mse(predicted.requires_grad_(), target, 0.1, VALID, **chosen).backward()
    assert predicted.grad is not None
    counts = (chosen["ignore"] == 0)[:, None] & chosen["counted"][..., None, None] & VALID[:, None, None, None]
    assert torch.equal(predicted.grad != 0, counts)


def test_pictures_without_anybody_only_have_background() -> None:
    predicted, _ = random_maps()
    nobody = torch.zeros_like(predicted)
    loss = tradeoff_mse(predicted, nobody, 0.1, VALID)
    torch.testing.assert_close(loss, 0.1 * predicted[VALID].square().mean())


def test_a_batch_of_nothing_but_filling_has_no_loss() -> None:
    predicted, target = random_maps()
    loss = tradeoff_mse(predicted.requires_grad_(), target, 0.1, torch.zeros(B, dtype=torch.bool))
    assert loss == 0
    assert not torch.autograd.grad(loss, predicted)[0].any()
    assert tradeoff_mse(predicted[:0], target[:0], 0.1, VALID[:0]) == 0


def test_the_common_region_is_that_of_any_channel_of_any_target() -> None:
    heatmaps, center = torch.zeros(2, 3, 4, 5), torch.zeros(2, 1, 4, 5)
    heatmaps[0, 2, 1, 1] = 0.5
    center[1, 0, 3, 4] = 1.0
    assert common_region(heatmaps, center).nonzero().tolist() == [[0, 1, 1], [1, 3, 4]]

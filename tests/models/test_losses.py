"""JointsMSE and hard keypoint mining against the formulas of specs 0.3, written out."""

import pytest
import torch
from torch import Tensor

from models import squared_error
from models.losses import joints_mse
from pose.heatmaps import SeparableMaps


def losses_written_out(predicted: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """l (B, K), ½ · mean_{h,w} (w_k·pred − w_k·target)²."""
    rows, num_keypoints, height, width = predicted.shape
    losses = torch.zeros(rows, num_keypoints, dtype=torch.float64)
    for b in range(rows):
        for k in range(num_keypoints):
            difference = weights[b, k].double() * (predicted[b, k].double() - target[b, k].double())
            losses[b, k] = 0.5 * (difference**2).sum() / (height * width)
    return losses


def written_out(predicted: Tensor, target: Tensor, weights: Tensor) -> float:
    """(1/K) Σ_k 0.5 · mean_{b,h,w} (w_k·pred − w_k·target)²."""
    losses = losses_written_out(predicted, target, weights)
    return sum(float(losses[:, k].mean()) for k in range(losses.shape[1])) / losses.shape[1]


def hardest_written_out(predicted: Tensor, target: Tensor, weights: Tensor, hardest: int) -> float:
    """Per instance the mean over the top n of K, then over the instances."""
    rows = [sorted(row.tolist())[-hardest:] for row in losses_written_out(predicted, target, weights)]
    return sum(sum(row) / len(row) for row in rows) / len(rows)


def random_batch(rows: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    predicted, target = torch.randn(2, rows, 4, 6, 3, generator=generator)
    weights = torch.tensor([0.0, 1.0, 1.5, 0.5])[torch.randint(0, 4, (rows, 4), generator=generator)]
    return predicted, target, weights


ALL_FIVE = torch.ones(5, dtype=torch.bool)


def test_it_is_the_formula() -> None:
    predicted, target, weights = random_batch()
    loss = joints_mse(predicted, target, weights, ALL_FIVE)
    torch.testing.assert_close(float(loss), written_out(predicted, target, weights), rtol=1e-5, atol=0)


@pytest.mark.parametrize("hardest", [1, 2, 3, 4])
def test_hard_keypoint_mining_is_the_formula(hardest: int) -> None:
    predicted, target, weights = random_batch()
    loss = joints_mse(predicted, target, weights, ALL_FIVE, hardest)
    expected = hardest_written_out(predicted, target, weights, hardest)
    torch.testing.assert_close(float(loss), expected, rtol=1e-5, atol=0)


@pytest.mark.parametrize("hardest", [4, 8, None])
def test_mining_as_many_as_there_are_is_joints_mse(hardest: int | None) -> None:
    predicted, target, weights = random_batch()
    loss = joints_mse(predicted, target, weights, ALL_FIVE, hardest)
    torch.testing.assert_close(float(loss), written_out(predicted, target, weights), rtol=1e-5, atol=0)


def test_only_the_hardest_keypoints_of_each_instance_get_a_gradient() -> None:
    predicted, target, _ = random_batch()
    predicted.requires_grad_()
    weights = torch.ones(5, 4)
    joints_mse(predicted, target, weights, ALL_FIVE, hardest=3).backward()
    assert predicted.grad is not None
    losses = losses_written_out(predicted.detach(), target, weights)
    assert torch.equal(predicted.grad.abs().amax(dim=(2, 3)) > 0, losses > losses.amin(dim=1, keepdim=True))


@pytest.mark.parametrize("hardest", [None, 2])
def test_rows_that_fill_up_a_batch_change_nothing(hardest: int | None) -> None:
    predicted, target, weights = random_batch(7)
    valid = torch.tensor([True, False, True, True, False, True, True])
    strange = predicted * (1 + 1e3 * ~valid)[:, None, None, None]
    loss = joints_mse(strange, target, weights + ~valid[:, None], valid, hardest)
    expected = hardest_written_out(predicted[valid], target[valid], weights[valid], hardest or 4)
    torch.testing.assert_close(float(loss), expected, rtol=1e-5, atol=0)


def test_gradients_of_filling_rows_and_unlabelled_keypoints_are_zero() -> None:
    predicted, target, weights = random_batch()
    predicted.requires_grad_()
    valid = torch.tensor([True, True, True, False, True])
    joints_mse(predicted, target, weights, valid).backward()
    assert predicted.grad is not None
    reached = predicted.grad.abs().amax(dim=(2, 3)) > 0
    assert torch.equal(reached, (weights > 0) & valid[:, None])


def test_a_batch_of_nothing_but_filling_has_no_loss() -> None:
    predicted, target, weights = random_batch()
    assert joints_mse(predicted, target, weights, torch.zeros(5, dtype=torch.bool)) == 0


def test_half_precision_maps_are_compared_in_single_precision() -> None:
    predicted, target, weights = random_batch()
    loss = joints_mse(predicted.bfloat16(), target, weights, ALL_FIVE)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(
        float(loss), written_out(predicted.bfloat16().float(), target, weights), rtol=1e-5, atol=0
    )


@pytest.mark.parametrize("hardest", [None, 2])
@pytest.mark.parametrize("separable", [True, False])
def test_gradients_are_those_of_finite_differences(separable: bool, hardest: int | None) -> None:
    predicted, dense, weights = (tensor.double() for tensor in random_batch())
    target = SeparableMaps(dense[..., 0], dense[:, :, 0]) if separable else dense
    assert torch.autograd.gradcheck(
        lambda maps: joints_mse(maps, target, weights, ALL_FIVE, hardest), predicted.requires_grad_()
    )


@pytest.mark.parametrize("rows_at_a_time", [1, 3, 100])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_targets_that_are_not_multiplied_out_give_the_same_loss_and_gradient(
    monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype, layout: torch.memory_format, rows_at_a_time: int
) -> None:
    predicted, target, weights = random_batch()
    monkeypatch.setattr(squared_error, "_PIECE", rows_at_a_time * predicted[0].numel())
    maps = SeparableMaps(target[..., 0], target[:, :, 0])
    plain = predicted.to(dtype).float().clone().requires_grad_()
    expected = (0.5 * (weights[..., None, None] * (plain - maps.dense())) ** 2).mean()
    (expected_gradient,) = torch.autograd.grad(expected, plain)
    given = predicted.to(dtype, memory_format=layout).clone().requires_grad_()
    loss = joints_mse(given, maps, weights, ALL_FIVE)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=0)
    (gradient,) = torch.autograd.grad(loss, given)
    assert gradient.dtype == dtype
    assert gradient.is_contiguous(memory_format=layout)
    torch.testing.assert_close(gradient.float(), expected_gradient.to(dtype).float(), rtol=1e-5, atol=1e-10)


def test_the_loss_is_in_single_precision_under_autocast() -> None:
    predicted, target, weights = random_batch()
    expected = joints_mse(predicted, target, weights, ALL_FIVE)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(joints_mse(predicted, target, weights, ALL_FIVE), expected)


def test_the_gradient_can_be_asked_for_twice() -> None:
    predicted, target, weights = random_batch()
    predicted.requires_grad_()
    loss = joints_mse(predicted, target, weights, ALL_FIVE)
    first = torch.autograd.grad(loss, predicted, retain_graph=True)[0]
    assert torch.equal(torch.autograd.grad(loss, predicted)[0], first)


def test_an_empty_batch_has_no_loss() -> None:
    assert joints_mse(torch.zeros(0, 4, 6, 3), torch.zeros(0, 4, 6, 3), torch.zeros(0, 4), ALL_FIVE[:0]) == 0

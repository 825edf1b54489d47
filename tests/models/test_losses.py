"""JointsMSE against the formula of specs 0.3, written out."""

import torch
from torch import Tensor

from models.losses import joints_mse


def written_out(predicted: Tensor, target: Tensor, weights: Tensor) -> float:
    """(1/K) Σ_k 0.5 · mean_{b,h,w} (w_k·pred − w_k·target)²."""
    batch, num_keypoints, height, width = predicted.shape
    total = 0.0
    for k in range(num_keypoints):
        squares = 0.0
        for b in range(batch):
            difference = weights[b, k] * predicted[b, k] - weights[b, k] * target[b, k]
            squares += float((difference.double() ** 2).sum())
        total += 0.5 * squares / (batch * height * width)
    return total / num_keypoints


def random_batch(rows: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    predicted, target = torch.randn(2, rows, 4, 6, 3, generator=generator)
    weights = torch.tensor([0.0, 1.0, 1.5, 0.5])[torch.randint(0, 4, (rows, 4), generator=generator)]
    return predicted, target, weights


def test_it_is_the_formula() -> None:
    predicted, target, weights = random_batch()
    loss = joints_mse(predicted, target, weights, torch.ones(5, dtype=torch.bool))
    torch.testing.assert_close(float(loss), written_out(predicted, target, weights), rtol=1e-5, atol=0)


def test_rows_that_fill_up_a_batch_change_nothing() -> None:
    predicted, target, weights = random_batch(7)
    valid = torch.tensor([True, False, True, True, False, True, True])
    loss = joints_mse(predicted * (1 + 1e3 * ~valid)[:, None, None, None], target, weights + ~valid[:, None], valid)
    expected = written_out(predicted[valid], target[valid], weights[valid])
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
    loss = joints_mse(predicted.bfloat16(), target, weights, torch.ones(5, dtype=torch.bool))
    assert loss.dtype == torch.float32
    torch.testing.assert_close(
        float(loss), written_out(predicted.bfloat16().float(), target, weights), rtol=1e-5, atol=0
    )

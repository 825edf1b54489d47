"""The offset loss against loops over positions and channels."""

import pytest
import torch
from torch import Tensor

from models.offset_loss import offset_loss
from pose.center_offsets import OffsetTargets, encode_offsets

B, K, H, W = 3, 2, 9, 11


def smooth_l1(difference: float, beta: float) -> float:
    size = abs(difference)
    return 0.5 * size**2 / beta if size < beta else size - 0.5 * beta


def by_loops(predicted: Tensor, targets: OffsetTargets, valid: Tensor, beta: float = 1 / 9) -> float:
    total, number = 0.0, 0
    persons, positions = targets.places.shape
    for m, s, k, axis in (
        (m, s, k, a) for m in range(persons) for s in range(positions) for k in range(K) for a in "xy"
    ):
        image, place = divmod(int(targets.places[m, s]), H * W)
        weight = float(targets.weights[m, s, k])
        if weight > 0 and valid[image]:
            channel = 2 * k + "xy".index(axis)
            found = float(predicted[image, channel, place // W, place % W])
            total += weight * smooth_l1(found - float(targets.offsets[m, s, k, "xy".index(axis)]), beta)
            number += 1
    return total / max(1, number)


def crowd(persons: int = 5) -> OffsetTargets:
    """Regions that overlap and are cut by the border, keypoints that are unlabelled and outside."""
    generator = torch.Generator().manual_seed(0)
    size = torch.tensor([W, H])
    keypoints = torch.rand(persons, K, 2, generator=generator) * 1.4 * size - 2
    labelled = torch.rand(persons, K, generator=generator) < 0.8
    centers = torch.rand(persons, 2, generator=generator) * size
    corners = torch.rand(persons, 1, 1, generator=generator) * 9 * torch.tensor([[0, 0], [1, 0], [1, 2], [0, 2]])
    image = torch.arange(persons) % B
    everybody = torch.ones(persons, dtype=torch.bool)
    return encode_offsets(keypoints, labelled, centers, everybody, corners, image, B, (H, W), radius=3)


def prediction() -> Tensor:
    return torch.randn(B, 2 * K, H, W, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("valid", [[True, True, True], [True, False, True], [False, False, False]])
@pytest.mark.parametrize("beta", [1 / 9, 1.0])
def test_it_equals_loops(valid: list[bool], beta: float) -> None:
    targets, rows = crowd(), torch.tensor(valid)
    loss = offset_loss(prediction(), targets, rows, beta)
    torch.testing.assert_close(float(loss), by_loops(prediction(), targets, rows, beta), rtol=1e-5, atol=0)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_only_positions_with_a_target_get_a_gradient(dtype: torch.dtype, layout: torch.memory_format) -> None:
    targets, valid = crowd(), torch.tensor([True, True, False])
    predicted = prediction().to(dtype, memory_format=layout).clone().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        loss = offset_loss(predicted, targets, valid)
    assert loss.dtype == torch.float32
    (gradient,) = torch.autograd.grad(loss, predicted)
    taught = torch.zeros(B * H * W, K).index_add_(0, targets.places.flatten(), targets.weights.flatten(0, 1)) > 0
    expected = taught.view(B, H, W, K) & valid[:, None, None, None]
    assert torch.equal(gradient.permute(0, 2, 3, 1).unflatten(3, (K, 2)).ne(0).any(dim=4), expected)


def test_gradients_are_those_of_finite_differences() -> None:
    valid = torch.tensor([True, True, False])
    assert torch.autograd.gradcheck(
        lambda maps: offset_loss(maps, crowd(), valid, beta=1.0), prediction().double().requires_grad_()
    )


def test_exact_offsets_have_no_loss() -> None:
    targets = crowd(1)
    chosen = targets.weights[0].any(dim=1)
    predicted = torch.zeros(B * H * W, K, 2)
    predicted[targets.places[0, chosen]] = targets.offsets[0, chosen]
    maps = predicted.view(B, H, W, 2 * K).permute(0, 3, 1, 2)
    assert chosen.any()
    assert offset_loss(maps, targets, torch.ones(B, dtype=torch.bool)) == 0
    assert offset_loss(-maps, targets, torch.ones(B, dtype=torch.bool)) > 0


def test_without_anybody_loss_and_gradient_are_zero() -> None:
    predicted = prediction().requires_grad_()
    loss = offset_loss(predicted, crowd(0), torch.ones(B, dtype=torch.bool))
    assert loss == 0
    assert torch.equal(torch.autograd.grad(loss, predicted)[0], torch.zeros(B, 2 * K, H, W))


def test_half_precision_offsets_are_compared_in_single_precision() -> None:
    targets, valid = crowd(), torch.ones(B, dtype=torch.bool)
    expected = offset_loss(prediction().bfloat16().float(), targets, valid)
    assert torch.equal(offset_loss(prediction().bfloat16(), targets, valid), expected)

"""The adaptive convolution: its formula, its gradients, and the ordinary convolutions that it contains."""

import pytest
import torch
import torch.nn.functional as F
from plain_adaptive_convolution import plain_adaptive_convolution
from torch import Tensor

from models.adaptive_convolution import AdaptiveConvolution, adaptive_convolution

DILATIONS = (1, 2, 3)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def everywhere(matrix: list[list[float]], like: Tensor) -> Tensor:
    """The transforms that are this matrix at every pixel of a map."""
    values = torch.tensor(matrix, dtype=like.dtype).reshape(1, 4, 1, 1)
    return values.repeat(len(like), 1, *like.shape[2:])


@pytest.fixture
def x() -> Tensor:
    return drawn(2, 3, 6, 7, seed=1).requires_grad_()


@pytest.fixture
def weight() -> Tensor:
    return drawn(4, 3, 3, 3, seed=2).requires_grad_()


@pytest.mark.parametrize("dilation", DILATIONS)
@pytest.mark.parametrize("spread", [0.5, 5])
def test_it_is_its_formula(x: Tensor, weight: Tensor, dilation: int, spread: float) -> None:
    transforms = spread * drawn(2, 4, 6, 7)
    with torch.no_grad():
        expected = plain_adaptive_convolution(x, transforms, weight, dilation)
        torch.testing.assert_close(adaptive_convolution(x, transforms, weight, dilation), expected)


@pytest.mark.parametrize("dilation", DILATIONS)
def test_the_identity_makes_it_the_ordinary_convolution(x: Tensor, weight: Tensor, dilation: int) -> None:
    found = adaptive_convolution(x, everywhere([[1, 0], [0, 1]], x), weight, dilation)
    expected = F.conv2d(x, weight, padding=dilation, dilation=dilation)
    torch.testing.assert_close(found, expected)
    upstream = drawn(*expected.shape)
    gradients = [torch.autograd.grad(y, (x, weight), upstream) for y in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_in_single_precision_the_identity_is_exact_in_every_place() -> None:
    """Far from the origin too: a place that was off by 1e-5 px would show."""
    x = 1e4 * torch.randn(1, 2, 3, 700, generator=torch.Generator().manual_seed(0))
    center = torch.eye(2)[:, :, None, None] * F.pad(torch.ones(1, 1), (1, 1, 1, 1))
    assert torch.equal(adaptive_convolution(x, everywhere([[1, 0], [0, 1]], x), center), x)
    right = center.roll(1, dims=3)
    assert torch.equal(adaptive_convolution(x, everywhere([[1, 0], [0, 1]], x), right)[..., :-1], x[..., 1:])


def test_no_transform_at_all_samples_the_centre_with_every_tap(x: Tensor, weight: Tensor) -> None:
    found = adaptive_convolution(x, everywhere([[0, 0], [0, 0]], x), weight)
    torch.testing.assert_close(found, F.conv2d(x, weight.sum((2, 3), keepdim=True)))


@pytest.mark.parametrize(
    ("matrix", "turned"),
    [
        ([[0.0, 1.0], [1.0, 0.0]], lambda weight: weight.transpose(2, 3)),
        ([[0.0, -1.0], [1.0, 0.0]], lambda weight: weight.rot90(1, (2, 3))),
        ([[-1.0, 0.0], [0.0, 1.0]], lambda weight: weight.flip(2)),
    ],
    ids=["mirrored at the diagonal", "turned by 90°", "upside down"],
)
def test_the_matrix_acts_on_y_and_x_row_by_row(x: Tensor, weight: Tensor, matrix: list[list[float]], turned) -> None:  # type: ignore[no-untyped-def]
    found = adaptive_convolution(x, everywhere(matrix, x), weight)
    torch.testing.assert_close(found, F.conv2d(x, turned(weight), padding=1))


@pytest.mark.parametrize("dilation", DILATIONS)
def test_gradients_are_those_of_finite_differences(dilation: int) -> None:
    x, weight = (drawn(*shape, seed=shape[0]).requires_grad_() for shape in ((2, 2, 4, 5), (3, 2, 3, 3)))
    # Between the pixels, where it is smooth, and partly beyond the map.
    transforms = everywhere([[1.3, 0.17], [-0.22, 0.6]], x) + 0.05 * drawn(2, 4, 4, 5).clamp(-1, 1)
    assert torch.autograd.gradcheck(
        lambda *operands: adaptive_convolution(*operands, dilation), (x, transforms.requires_grad_(), weight)
    )


def test_beyond_the_map_there_is_nothing_and_nowhere_to_go(x: Tensor, weight: Tensor) -> None:
    transforms = everywhere([[50, 0], [0, -70]], x).requires_grad_()
    only_corners = weight.detach() * torch.tensor([[1, 0, 1], [0, 0, 0], [1, 0, 1]])
    found = adaptive_convolution(x, transforms, only_corners)
    assert not found.any()
    gradients = torch.autograd.grad(found.sum(), (x, transforms))
    assert not any(gradient.any() for gradient in gradients)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_transform_that_is_no_number_spoils_its_pixel_and_ends_nothing(
    x: Tensor, weight: Tensor, value: float
) -> None:
    transforms = everywhere([[1, 0], [0, 1]], x)
    transforms[1, 2, 3, 4] = value
    found = adaptive_convolution(x, transforms, weight).detach()
    expected = F.conv2d(x, weight, padding=1).detach()
    spoilt = torch.zeros_like(found, dtype=torch.bool)
    spoilt[1, :, 3, 4] = True
    assert found[spoilt].isnan().all()
    torch.testing.assert_close(found[~spoilt], expected[~spoilt])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_operands_of_half_precision_leave_the_places_exact(dtype: torch.dtype) -> None:
    """At 600 px bfloat16 counts in steps of 4 px."""
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(shape, generator=generator) for shape in ((1, 8, 4, 600), (8, 8, 3, 3)))
    transforms = everywhere([[1.3, 0.25], [-0.25, 0.5]], x)
    operands = [tensor.to(dtype).requires_grad_() for tensor in (x, transforms, weight)]
    found = adaptive_convolution(*operands)
    expected = adaptive_convolution(*(tensor.float() for tensor in operands))
    assert found.dtype == dtype
    assert (found.float() - expected).abs().max() < 0.02 * expected.abs().max()
    found.sum().backward()
    assert [tensor.grad is not None and tensor.grad.dtype for tensor in operands] == [dtype] * 3


def test_autocast_chooses_the_precision_of_the_products(x: Tensor, weight: Tensor) -> None:
    operands = [tensor.detach().float().requires_grad_() for tensor in (x, drawn(2, 4, 6, 7), weight)]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = adaptive_convolution(*operands)
    expected = adaptive_convolution(*operands)
    assert (found.dtype, expected.dtype) == (torch.bfloat16, torch.float32)
    assert (found - expected).abs().max() < 0.02 * expected.abs().max()
    found.float().sum().backward()
    assert all(tensor.grad is not None and tensor.grad.dtype == torch.float32 for tensor in operands)


def test_only_the_operands_are_kept_for_the_gradient(x: Tensor, weight: Tensor) -> None:
    kept: list[Tensor] = []
    transforms = everywhere([[1, 0], [0, 1]], x).requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        adaptive_convolution(x, transforms, weight)
    assert sum(tensor.numel() for tensor in kept) == x.numel() + transforms.numel() + weight.numel()


def test_the_result_is_channels_last_whatever_the_operand_is(x: Tensor, weight: Tensor) -> None:
    transforms = drawn(2, 4, 6, 7)
    found = adaptive_convolution(x, transforms, weight)
    assert found.is_contiguous(memory_format=torch.channels_last)
    last = adaptive_convolution(x.contiguous(memory_format=torch.channels_last), transforms, weight)
    assert torch.equal(found, last)


@pytest.mark.parametrize("dilation", DILATIONS)
def test_the_layer_has_a_weight_and_starts_as_in_the_public_code(x: Tensor, dilation: int) -> None:
    torch.manual_seed(0)
    layer = AdaptiveConvolution(3, 500, dilation).double()
    assert [name for name, _ in layer.named_parameters()] == ["weight"]
    draws = layer.weight.detach()
    assert float(draws.abs().max()) == pytest.approx(27**-0.5, rel=1e-2)
    assert float(draws.std()) == pytest.approx((27 * 3) ** -0.5, rel=2e-2)
    transforms = drawn(2, 4, 6, 7)
    assert torch.equal(layer(x, transforms), adaptive_convolution(x, transforms, layer.weight, dilation))


@pytest.mark.slow
def test_it_compiles_with_its_gradients(x: Tensor, weight: Tensor) -> None:
    torch._dynamo.reset()
    operands = (x, drawn(2, 4, 6, 7).requires_grad_(), weight)
    compiled = torch.compile(adaptive_convolution, fullgraph=True, backend="aot_eager")
    results = [function(*operands) for function in (compiled, adaptive_convolution)]
    torch.testing.assert_close(*results)
    upstream = drawn(*results[0].shape)
    torch.testing.assert_close(*(torch.autograd.grad(result, operands, upstream) for result in results))

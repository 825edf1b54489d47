"""What stands for the adaptive convolution in exported networks computes the same."""

import pytest
import torch

from models.adaptive_convolution import adaptive_convolution
from models.grid_sampled_convolution import grid_sampled_convolution


@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_samples_inside_outside_and_between_pixels_agree(dilation: int) -> None:
    generator = torch.Generator().manual_seed(dilation)
    x, transforms, weight = (
        torch.randn(shape, generator=generator) for shape in ((2, 5, 9, 7), (2, 4, 9, 7), (6, 5, 3, 3))
    )
    wanted = adaptive_convolution(x, 2 * transforms, weight, dilation)
    torch.testing.assert_close(grid_sampled_convolution(x, 2 * transforms, weight, dilation), wanted, atol=1e-4, rtol=0)
    shifted = grid_sampled_convolution(x, 2 * transforms + 0.01, weight, dilation)
    assert (shifted - wanted).abs().max() > 1e-2

"""Which pictures an exported network takes, and some to try it on."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.config import Recipe


@dataclass(frozen=True)
class InputSizes:
    """Heights and widths, px.

    Attributes:
        multiple: of what both sides are any multiple; None if there is one size only.
        tried: sizes to try the network on. The first is what it is traced with.
    """

    multiple: int | None
    tried: tuple[tuple[int, int], ...]


def input_sizes(recipe: Recipe) -> InputSizes:
    """Crops have the recipe's size; whole pictures any that `bottomup.test.multiple` divides."""
    if recipe.bottomup is None:
        return InputSizes(None, (recipe.data.crop_size,))
    multiple = recipe.bottomup.test.multiple
    return InputSizes(multiple, ((2 * multiple, 3 * multiple), (3 * multiple, 2 * multiple)))


def example_pictures(batch: int, size: tuple[int, int]) -> Tensor:
    """uint8 (B, 3, H, W), always the same: like photographs, with large and small structures, but the last of several
    is noise."""
    generator = torch.Generator().manual_seed(batch)
    total = torch.zeros(batch, 3, *size)
    for cells in (2, 4, 8, 16, 32):
        coarse = torch.rand(batch, 3, cells, cells, generator=generator) - 0.5
        total += F.interpolate(coarse, size, mode="bicubic", align_corners=False) / cells**0.5
    pictures = (total * 160 + 128).clamp(0, 255).byte()
    if batch > 1:
        pictures[-1] = torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)
    return pictures

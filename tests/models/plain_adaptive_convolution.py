"""The adaptive convolution by its formula: pixel by pixel, tap by tap."""

import math

import torch
from torch import Tensor


def plain_adaptive_convolution(x: Tensor, transforms: Tensor, weight: Tensor, dilation: int) -> Tensor:
    batch, _, height, width = x.shape
    result = x.new_zeros(batch, len(weight), height, width)
    for image in range(batch):
        for row in range(height):
            for column in range(width):
                t_yy, t_yx, t_xy, t_xx = transforms[image, :, row, column].tolist()
                for tap in range(9):
                    g_y, g_x = tap // 3 - 1, tap % 3 - 1
                    y = row + dilation * g_y + t_yy * g_y + t_yx * g_x - g_y
                    z = column + dilation * g_x + t_xy * g_y + t_xx * g_x - g_x
                    result[image, :, row, column] += weight[:, :, tap // 3, tap % 3] @ _sample(x[image], y, z)
    return result


def _sample(x: Tensor, row: float, column: float) -> Tensor:
    """(C, h, w) → (C,), bilinear; whatever lies outside is 0."""
    total = torch.zeros_like(x[:, 0, 0])
    for y in (math.floor(row), math.floor(row) + 1):
        for z in (math.floor(column), math.floor(column) + 1):
            if 0 <= y < x.shape[1] and 0 <= z < x.shape[2]:
                total += x[:, y, z] * (1 - abs(row - y)) * (1 - abs(column - z))
    return total

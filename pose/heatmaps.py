"""Keypoints ↔ heatmaps in torch: on any device, at any stride, without a loop over instances or keypoints."""

from dataclasses import dataclass
from typing import Literal

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

from pose.crop import CropConvention

Encoding = Literal["rounded", "exact"]
Decoding = Literal["argmax", "quarter", "dark"]
FlipShift = Literal["public", "exact", "none"]


@dataclass(frozen=True)
class HeatmapCodec:
    """How keypoints in a crop become heatmaps and back. One codec per output map of a network.

    Attributes:
        crop_size: (height, width), crop px.
        heatmap_size: (height, width), heatmap px; any ratio to the crop, finer or coarser, also fractional.
        sigma: standard deviation of the Gaussian, heatmap px.
        encoding: "rounded" centres it on the nearest heatmap pixel and cuts it at ±3 sigma (SimpleBaseline, HRNet);
            "exact" centres it between pixels and fills the whole map (DARK, CVPR 2020).
        decoding: "argmax"; "quarter" moves 0.25 px towards the larger neighbour; "dark" takes one Newton step on the
            logarithm of the blurred map.
        convention: how crop and heatmap pixels correspond, see `pose.crop`.
    """

    crop_size: tuple[int, int]
    heatmap_size: tuple[int, int]
    sigma: float = 2.0
    encoding: Encoding = "rounded"
    decoding: Decoding = "quarter"
    convention: CropConvention = "hrnet"

    @property
    def crop_px_per_heatmap_px(self) -> tuple[float, float]:
        """Along x and y."""
        one = 1 if self.convention == "unbiased" else 0
        (crop_h, crop_w), (map_h, map_w) = self.crop_size, self.heatmap_size
        return (crop_w - one) / (map_w - one), (crop_h - one) / (map_h - one)

    def encode(self, keypoints: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Target heatmaps of peak 1.

        Args:
            keypoints: (B, K, 2), crop px. Values where the weight is 0 are ignored, NaN included.
            weights: (B, K), 0 for keypoints that are not labelled.
        Returns:
            heatmaps (B, K, H, W), and weights (B, K) set to 0 where the ±3 sigma window misses the map.
        """
        height, width = self.heatmap_size
        per_px = torch.tensor(self.crop_px_per_heatmap_px, device=keypoints.device, dtype=torch.float32)
        labelled = weights > 0
        center = torch.where(labelled[..., None], keypoints.float() / per_px, torch.zeros_like(per_px))
        if self.encoding == "rounded":
            center = torch.floor(center + 0.5)
        radius = 3 * self.sigma
        limit = torch.tensor([width - 1, height - 1], device=center.device)
        touches = ((center + radius >= 0) & (center - radius <= limit)).all(dim=-1)
        weights = weights * (labelled & touches)
        along_x = self._gaussian(center[..., 0], width)
        along_y = self._gaussian(center[..., 1], height) * (weights > 0)[..., None]
        return along_y[..., :, None] * along_x[..., None, :], weights

    def _gaussian(self, center: Tensor, length: int) -> Tensor:
        """One axis of the separable Gaussian: (…, length) for centres (…)."""
        distance = torch.arange(length, device=center.device, dtype=torch.float32) - center[..., None]
        values = torch.exp(-(distance**2) / (2 * self.sigma**2))
        if self.encoding == "rounded":
            values = values * (distance.abs() <= 3 * self.sigma)
        return values

    def decode(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints (B, K, 2) in crop px, and their peaks (B, K), from heatmaps (B, K, H, W).

        A map without a positive value decodes to (0, 0), as in the public HRNet code.
        """
        heatmaps = heatmaps.float()
        peaks, position = heatmaps.flatten(2).max(dim=2)
        width = heatmaps.shape[3]
        integer = torch.stack([position % width, position // width], dim=-1)
        offset = _OFFSETS[self.decoding](heatmaps, integer, self.sigma)
        per_px = torch.tensor(self.crop_px_per_heatmap_px, device=heatmaps.device, dtype=torch.float32)
        keypoints = (integer + offset) * per_px
        return torch.where(peaks[..., None] > 0, keypoints, torch.zeros_like(keypoints)), peaks


def flip_back(mirrored: Tensor, flip_indices: tuple[int, ...], shift: float) -> Tensor:
    """Heatmaps (B, K, H, W) of a mirrored crop brought back onto those of the crop itself (flip test).

    Columns are reversed, left and right keypoints trade places, and the maps move `shift` px to the right.
    """
    return shift_right(mirrored.flip(3)[:, list(flip_indices)], shift)


def flip_shift(stride: float, convention: CropConvention, kind: FlipShift = "public") -> float:
    """By how many heatmap px reversed maps are moved to the right (specs 0.3, 1.5).

    A reversed HRNet-convention map lies 1 − 1/stride px too far left: "exact". Above stride 2 the public code moves it
    by a whole pixel, at stride 4 instead of 0.75 px, and published numbers depend on it: "public". Unbiased maps fit.
    """
    if convention == "unbiased" or kind == "none":
        return 0.0
    return 1.0 if kind == "public" and stride > 2 else 1 - 1 / stride


def shift_right(heatmaps: Tensor, shift: float) -> Tensor:
    """Heatmaps (…, W) moved by `shift` px, |shift| ≤ 1, to the right; the uncovered column repeats the old edge."""
    if shift == 0:
        return heatmaps
    if shift < 0:
        return shift_right(heatmaps.flip(-1), -shift).flip(-1)
    left = torch.cat([heatmaps[..., :1], heatmaps[..., :-1]], dim=-1)
    return left if shift == 1 else shift * left + (1 - shift) * heatmaps


def _no_offset(heatmaps: Tensor, integer: Tensor, sigma: float) -> Tensor:
    return torch.zeros(integer.shape, device=heatmaps.device)


def _quarter_offset(heatmaps: Tensor, integer: Tensor, sigma: float) -> Tensor:
    """0.25 px towards the larger neighbour in x and y, only where 1 < x < W − 1 and 1 < y < H − 1 (public code)."""
    near = _neighbourhood(heatmaps, integer, 1)
    gradient = torch.stack([near[..., 1, 2] - near[..., 1, 0], near[..., 2, 1] - near[..., 0, 1]], dim=-1)
    return 0.25 * gradient.sign() * _inside(heatmaps, integer, low=2, high=2)


def _dark_offset(heatmaps: Tensor, integer: Tensor, sigma: float) -> Tensor:
    """One Newton step from the argmax on the log of the blurred map (Zhang et al., CVPR 2020, eqs. 4–9)."""
    blurred = _blurred_neighbourhood(heatmaps, integer, radius=2, kernel_size=3 if sigma <= 1 else 11)
    scale = heatmaps.flatten(2).amax(2) / blurred.flatten(2).amax(2).clamp(min=1e-10)
    n = torch.log((blurred * scale[..., None, None]).clamp(min=1e-10))
    dx, dy = 0.5 * (n[..., 2, 3] - n[..., 2, 1]), 0.5 * (n[..., 3, 2] - n[..., 1, 2])
    dxx = 0.25 * (n[..., 2, 4] - 2 * n[..., 2, 2] + n[..., 2, 0])
    dyy = 0.25 * (n[..., 4, 2] - 2 * n[..., 2, 2] + n[..., 0, 2])
    dxy = 0.25 * (n[..., 3, 3] - n[..., 1, 3] - n[..., 3, 1] + n[..., 1, 1])
    determinant = dxx * dyy - dxy**2
    solvable = (determinant != 0)[..., None] & _inside(heatmaps, integer, low=2, high=3)
    determinant = torch.where(determinant == 0, torch.ones_like(determinant), determinant)
    step = -torch.stack([dyy * dx - dxy * dy, dxx * dy - dxy * dx], dim=-1) / determinant[..., None]
    return torch.where(solvable, step, torch.zeros_like(step))


_OFFSETS = {"argmax": _no_offset, "quarter": _quarter_offset, "dark": _dark_offset}


def _blurred_neighbourhood(heatmaps: Tensor, integer: Tensor, radius: int, kernel_size: int) -> Tensor:
    """(B, K, 2r+1, 2r+1) around integer positions, of the maps blurred by the kernel that OpenCV derives from its size.

    Zeros outside. Only what the step looks at is blurred, so the map is rescaled by the maximum of this neighbourhood
    instead of the whole map's; that shifts a logarithm, whose derivatives stay the same.
    """
    # OpenCV's formula for the width holds for 11 only; for 3 it takes (1, 2, 1) / 4 from a table.
    kernel = torch.from_numpy(cv2.getGaussianKernel(kernel_size, 0)).to(heatmaps).flatten()
    half, size = kernel_size // 2, 2 * radius + 1
    padded = F.pad(heatmaps, (half, half, half, half))
    patch = _neighbourhood(padded, integer + half, radius + half)
    band = torch.stack([F.pad(kernel, (row, size - 1 - row)) for row in range(size)])
    return band @ patch @ band.T


def _neighbourhood(maps: Tensor, integer: Tensor, radius: int) -> Tensor:
    """Values (B, K, 2r+1, 2r+1), rows first, around integer positions (B, K, 2); beyond the edge, the edge's value."""
    steps = torch.arange(-radius, radius + 1, device=maps.device)
    height, width = maps.shape[2:]
    x = (integer[..., 0, None] + steps).clamp(0, width - 1)
    y = (integer[..., 1, None] + steps).clamp(0, height - 1)
    index = y[..., :, None] * width + x[..., None, :]
    return maps.flatten(2).gather(2, index.flatten(2)).view(index.shape)


def _inside(maps: Tensor, integer: Tensor, low: int, high: int) -> Tensor:
    """(B, K, 1): low ≤ x ≤ W − high and likewise for y."""
    height, width = maps.shape[2:]
    limit = torch.tensor([width - high, height - high], device=maps.device)
    return ((integer >= low) & (integer <= limit)).all(dim=-1, keepdim=True)

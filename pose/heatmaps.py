"""Keypoints ↔ heatmaps in torch: on any device, at any stride, without a loop over instances or keypoints."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from pose.crop import CropConvention
from pose.heatmap_offsets import OFFSETS, Decoding

Encoding = Literal["rounded", "exact", "truncated"]
FlipShift = Literal["public", "exact", "none"]


@dataclass(frozen=True)
class SeparableMaps:
    """Heatmaps (B, K, H, W) as products of `along_y` (B, K, H) and `along_x` (B, K, W)."""

    along_y: Tensor
    along_x: Tensor

    def dense(self) -> Tensor:
        return self.along_y[..., :, None] * self.along_x[..., None, :]


@dataclass(frozen=True)
class HeatmapCodec:
    """How keypoints in a crop become heatmaps and back. One codec per output map of a network.

    Attributes:
        crop_size: (height, width), crop px.
        heatmap_size: (height, width), heatmap px; any ratio to the crop, finer or coarser, also fractional.
        sigma: standard deviation of the Gaussian, heatmap px.
        encoding: "rounded" centres it on the nearest heatmap pixel and cuts it at ±3 sigma (SimpleBaseline, HRNet);
            "exact" centres it between pixels and fills the whole map (DARK, CVPR 2020); "truncated" centres it on the
            pixel up and left of it and cuts it at ±(3 sigma + 1), and decoding adds the half pixel that this loses on
            average (associative embedding, HigherHRNet).
        decoding: "argmax"; "quarter" moves 0.25 px towards the larger neighbour; "dark" takes one Newton step on the
            logarithm of the blurred map.
        convention: how crop and heatmap pixels correspond, see `pose.crop`.
        peak: the Gaussian's largest value; what is read from a map is divided by it.
    """

    crop_size: tuple[int, int]
    heatmap_size: tuple[int, int]
    sigma: float = 2.0
    encoding: Encoding = "rounded"
    decoding: Decoding = "quarter"
    convention: CropConvention = "hrnet"
    peak: float = 1.0

    @property
    def crop_px_per_heatmap_px(self) -> tuple[float, float]:
        """Along x and y."""
        one = 1 if self.convention == "unbiased" else 0
        (crop_h, crop_w), (map_h, map_w) = self.crop_size, self.heatmap_size
        return (crop_w - one) / (map_w - one), (crop_h - one) / (map_h - one)

    def to_heatmap_px(self, keypoints: Tensor) -> Tensor:
        """Keypoints (…, 2), crop px → float32 heatmap px, not rounded."""
        # Numbers instead of a tensor: making one on a GPU would wait for all that runs there.
        per_x, per_y = self.crop_px_per_heatmap_px
        x, y = keypoints.float().unbind(-1)
        return torch.stack([x / per_x, y / per_y], dim=-1)

    def encode(self, keypoints: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Target heatmaps (B, K, H, W), and weights as `encode_axes` says."""
        maps, weights = self.encode_axes(keypoints, weights)
        return maps.dense(), weights

    def encode_axes(self, keypoints: Tensor, weights: Tensor) -> tuple[SeparableMaps, Tensor]:
        """Target heatmaps, not multiplied out.

        Args:
            keypoints: (B, K, 2), crop px. Values where the weight is 0 are ignored, NaN included.
            weights: (B, K), 0 for keypoints that are not labelled.
        Returns:
            heatmaps (B, K, H, W), empty and with weights (B, K) set to 0 where the window, ±3 sigma if the Gaussian is
            not cut, misses the map.
        """
        height, width = self.heatmap_size
        labelled = weights > 0
        center = torch.where(labelled[..., None], self.to_heatmap_px(keypoints), 0.0)
        if self.encoding != "exact":
            center = torch.floor(center + 0.5 if self.encoding == "rounded" else center)
        x, y = center.unbind(-1)
        reach = self._reach
        touches = (x == x.clamp(-reach, width - 1 + reach)) & (y == y.clamp(-reach, height - 1 + reach))
        weights = weights * (labelled & touches)
        along_y = self._gaussian(y, height).mul_((weights > 0)[..., None])
        return SeparableMaps(along_y.mul_(self.peak), self._gaussian(x, width)), weights

    @property
    def _reach(self) -> float:
        """How far the Gaussian's window goes from its centre, heatmap px."""
        return 3 * self.sigma + (1 if self.encoding == "truncated" else 0)

    def _gaussian(self, center: Tensor, length: int) -> Tensor:
        """One axis of the separable Gaussian: (…, length) for centres (…)."""
        distance = torch.arange(length, device=center.device, dtype=torch.float32) - center[..., None]
        values = distance.square_().mul_(-0.5 / self.sigma**2).clamp_(min=-50).exp_()
        if self.encoding != "exact":  # all distances are whole numbers: cut between two of them
            least = math.exp(-0.5 * ((math.floor(self._reach) + 0.5) / self.sigma) ** 2)
        else:
            least = 1e-19  # products of smaller ones are no normal float32, with which a CPU takes ten times as long
        return F.threshold(values, least, 0.0, inplace=True)

    def decode(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """Keypoints (B, K, 2) in crop px, and their peaks (B, K), from heatmaps (B, K, H, W).

        A map without a positive value decodes to (0, 0), as in the public HRNet code.
        """
        heatmaps = heatmaps.float().contiguous()
        peaks, position = _largest(heatmaps.flatten(2))
        width = heatmaps.shape[3]
        x, y = position % width, position // width
        offset = OFFSETS[self.decoding](heatmaps, torch.stack([x, y], dim=-1), self.sigma)
        if self.encoding == "truncated":
            offset = offset + 0.5
        per_x, per_y = self.crop_px_per_heatmap_px
        keypoints = torch.stack([(x + offset[..., 0]) * per_x, (y + offset[..., 1]) * per_y], dim=-1)
        return torch.where(peaks[..., None] > 0, keypoints, 0.0), peaks / self.peak


def _largest(values: Tensor) -> tuple[Tensor, Tensor]:
    """The largest of each (B, K, N), and the first place (B, K) where it stands.

    First the best group of values, then the best in that group: torch's maximum is vectorised without places only.
    """
    size = math.gcd(values.shape[2], 128)
    groups = values.unflatten(2, (-1, size))
    peaks, group = groups.amax(3).max(2)
    one = groups.flatten(0, 1)[torch.arange(group.numel(), device=group.device), group.flatten()]
    return peaks, group * size + one.argmax(1).view_as(group)


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

"""Target heatmaps of pictures with any number of persons, in torch on any device."""

import math

import torch
from torch import Tensor

from pose.heatmaps import Encoding


def encode_persons(
    keypoints: Tensor,
    shown: Tensor,
    person_image: Tensor,
    images: int,
    heatmap_size: tuple[int, int],
    sigma: float,
    encoding: Encoding = "exact",
) -> Tensor:
    """Heatmaps of peak 1 (B, K, h, w): the Gaussians of all persons in a picture, combined by maximum.

    A Gaussian fills a square window, within which it is positive; outside of all windows the map is 0, so
    `heatmaps > 0` is the keypoint region of the tradeoff loss (specs 3.2). Nothing is drawn for keypoints outside of
    the map.

    - "exact": centred on (x, y), from floor(x − 3 sigma − 1) to ceil(x + 3 sigma + 1) (bottom-up HRNet).
    - "truncated": centred on floor(x), reaching ±(3 sigma + 1) (HigherHRNet).
    - "rounded": centred on floor(x + 0.5), reaching ±3 sigma (top-down code).

    Args:
        keypoints: (M, K, 2), heatmap px. Values of those that are not shown are ignored, NaN included.
        shown: (M, K) bool. person_image: (M,) int64, the row of each person, in any order.
        images: B. heatmap_size: (h, w), heatmap px. sigma: heatmap px.
    """
    (height, width), num_keypoints = heatmap_size, shown.shape[1]
    shown = shown & inside_map(keypoints, heatmap_size)
    known = torch.where(shown[..., None], keypoints.float(), 0.0)
    column, along_x = _window(known[..., 0], width, sigma, encoding)
    row, along_y = _window(known[..., 1], height, sigma, encoding)
    along_y = along_y * shown[..., None]
    channel = person_image[:, None] * num_keypoints + torch.arange(num_keypoints, device=keypoints.device)
    row = channel[..., None] * height + row
    place = (row * width)[..., :, None] + column[..., None, :]
    values = along_y[..., :, None] * along_x[..., None, :]
    maps = torch.zeros(images * num_keypoints * height * width, device=keypoints.device)
    maps.scatter_reduce_(0, place.flatten(), values.flatten(), "amax")
    return maps.view(images, num_keypoints, height, width)


def inside_map(points: Tensor, heatmap_size: tuple[int, int]) -> Tensor:
    """Whether points (…, 2), heatmap px, have 0 ≤ x < w and 0 ≤ y < h: (…) bool, False for NaN."""
    (height, width), (x, y) = heatmap_size, points.unbind(-1)
    return (x >= 0) & (y >= 0) & (x < width) & (y < height)


def _window(center: Tensor, length: int, sigma: float, encoding: Encoding) -> tuple[Tensor, Tensor]:
    """Pixels (M, K, S) of one axis in the window around centres (M, K), and the Gaussian there.

    Pixels outside of the map or the window are replaced by some in the map, with the value 0.
    """
    reach = 3 * sigma + 1
    if encoding == "rounded":
        center, reach = torch.floor(center + 0.5), math.floor(3 * sigma)
    elif encoding == "truncated":
        center, reach = torch.floor(center), math.floor(reach)
    size = math.ceil(2 * reach) + (2 if encoding == "exact" else 1)
    pixels = torch.floor(center - reach)[..., None] + torch.arange(size, device=center.device)
    drawn = (pixels >= 0) & (pixels < length) & (pixels <= torch.ceil(center + reach)[..., None])
    # Not below −40: with a very small sigma too, a window's corner is a positive normal float32.
    exponent = ((pixels - center[..., None]).square() * (-0.5 / sigma**2)).clamp(min=-40)
    return pixels.clamp(0, length - 1).long(), exponent.exp() * drawn

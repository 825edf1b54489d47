"""Keypoints between pixels: a 2-D Gaussian fitted to the heatmap around each of them (specs 3.5, public code).

All windows are fitted at once, by the Levenberg-Marquardt method with its own damping for each window.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from pose.scored_poses import ScoredPoses

_STEPS = 20
_SETTLED = 1e-3  # px: a fit is done when its next step is shorter


@dataclass(frozen=True)
class _Windows:
    """M windows of (2r+1)² px. Values (M, P); x and y (P,), px from the middle; inside (M, P), 1 in the map, else 0."""

    values: Tensor
    inside: Tensor
    x: Tensor
    y: Tensor


def refine(
    poses: ScoredPoses, heatmaps: Tensor, least_score: float = 0.05, radius: int = 6, sigma: float = 2.0
) -> ScoredPoses:
    """Poses whose keypoints are the centres, and whose heat the heights, of Gaussians fitted to heatmaps (K, h, w).

    The fit starts from the nearest pixel, its value and `sigma`, px, and sees `radius` px in each direction, less at
    the map's border. A keypoint stays as it was if its score (heat times centre score) is at most `least_score`, if it
    lies on or beyond the map's outermost pixels, if the fit does not converge, or if it ends outside the window. (The
    public code accepts a centre outside the window.)
    """
    height, width = heatmaps.shape[1:]
    start = (poses.keypoints + 0.5).floor()
    x, y = start.unbind(-1)
    eligible = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1) & (poses.keypoint_scores > least_score)
    person, keypoint = eligible.nonzero(as_tuple=True)
    if not len(person):
        return poses
    middle = start[person, keypoint].long()
    fitted, good = _fit(_cut(heatmaps.float(), keypoint, middle, radius), sigma, radius)
    person, keypoint, fitted, middle = person[good], keypoint[good], fitted[good], middle[good]
    keypoints, heat = poses.keypoints.clone(), poses.heat.clone()
    keypoints[person, keypoint] = middle + fitted[:, 1:3]
    heat[person, keypoint] = fitted[:, 0]
    return replace(poses, keypoints=keypoints, heat=heat)


def _cut(heatmaps: Tensor, channels: Tensor, middle: Tensor, radius: int) -> _Windows:
    """Windows around pixels `middle` (M, 2) of maps `channels` (M,)."""
    height, width = heatmaps.shape[1:]
    steps = torch.arange(-radius, radius + 1, device=heatmaps.device)
    y, x = (axis.flatten() for axis in torch.meshgrid(steps, steps, indexing="ij"))
    column, row = middle[:, :1] + x, middle[:, 1:] + y
    near_column, near_row = column.clamp(0, width - 1), row.clamp(0, height - 1)
    values = heatmaps[channels[:, None], near_row, near_column]
    inside = ((column == near_column) & (row == near_row)).to(values.dtype)
    return _Windows(values, inside, x.to(values.dtype), y.to(values.dtype))


def _fit(windows: _Windows, sigma: float, radius: int) -> tuple[Tensor, Tensor]:
    """Height, centre's x and y from the middle, and sigma: (M, 4), and which of them are trustworthy: (M,) bool."""
    height = windows.values[:, windows.values.shape[1] // 2]
    found = torch.stack([height, *(torch.full_like(height, start) for start in (0.0, 0.0, sigma))], dim=1)
    damping = torch.full_like(height, 1e-3)
    settled = torch.zeros_like(height, dtype=torch.bool)
    error, gradient, curvature = _derivatives(windows, found)
    for _ in range(_STEPS):
        step = _step(gradient, curvature, damping)
        new_error, new_gradient, new_curvature = _derivatives(windows, found + step)
        better = new_error <= error
        # A short step counts also where it brings nothing more that float32 could tell.
        settled = settled | (step.abs().amax(1) < _SETTLED)
        found = torch.where(better[:, None], found + step, found)
        gradient = torch.where(better[:, None], new_gradient, gradient)
        curvature = torch.where(better[:, None, None], new_curvature, curvature)
        error = torch.where(better, new_error, error)
        damping = (damping * torch.where(better, 0.1, 10.0)).clamp(1e-4, 1e9)
        if settled.all():
            break
    return found, settled & (found[:, 1:3].abs().amax(1) <= radius) & (found[:, 0] > 0)


def _step(gradient: Tensor, curvature: Tensor, damping: Tensor) -> Tensor:
    """(M, 4) from (M, 4) and (M, 4, 4); the damping is relative to the curvature's diagonal."""
    diagonal = curvature.diagonal(dim1=1, dim2=2)
    added = (damping[:, None] * diagonal).clamp(min=1e-12)
    return -torch.linalg.solve_ex(curvature + torch.diag_embed(added), gradient)[0]


def _derivatives(windows: _Windows, parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Squared error (M,), half its gradient (M, 4) and, as Gauss and Newton do, about half its Hessian (M, 4, 4)."""
    height, center_x, center_y, sigma = (column[:, None] for column in parameters.unbind(1))
    x, y = (windows.x - center_x) / sigma, (windows.y - center_y) / sigma
    squared = x.square() + y.square()
    unit = torch.exp(-0.5 * squared) * windows.inside
    model = height * unit
    residual = model - windows.values * windows.inside
    slope = model / sigma
    jacobian = torch.stack([unit, slope * x, slope * y, slope * squared], dim=1)
    return residual.square().sum(1), (jacobian @ residual[..., None])[..., 0], jacobian @ jacobian.mT

"""Curved solids seen from the camera (orthographic): capsule, ellipsoid, elliptic frustum.

Integer (x, y) is the centre of pixel (x, y): rays are cast through integer coordinates.
"""

from dataclasses import dataclass

import numpy as np

Array = np.ndarray
_SHORTEST_AXIS = 1e-3


@dataclass(frozen=True)
class Surface:
    """The part of a solid that the camera sees, one row per pixel.

    pixels (N,) flat indices into the picture; depth (N,) px; normal (N, 3) image axes, z < 0 faces the camera;
    local (N, 3) where on the solid: see the function that made it.
    """

    pixels: Array
    depth: Array
    normal: Array
    local: Array


def _grid(low: Array, high: Array, size: tuple[int, int]) -> tuple[Array, Array] | None:
    """Pixel columns (w,) and rows (h,) of a window clipped to the picture, or None where nothing is left."""
    height, width = size
    x0, x1 = max(int(np.ceil(low[0])), 0), min(int(np.floor(high[0])), width - 1)
    y0, y1 = max(int(np.ceil(low[1])), 0), min(int(np.floor(high[1])), height - 1)
    if x1 < x0 or y1 < y0:
        return None
    return np.arange(x0, x1 + 1, dtype=np.float32), np.arange(y0, y1 + 1, dtype=np.float32)


def capsule(start: Array, end: Array, radii: tuple[float, float], size: tuple[int, int]) -> Surface | None:
    """A tapered limb from start (3,) to end (3,), px. local = (side -1..1, along 0..1, distance from the axis 0..1)."""
    reach = np.maximum(radii[0], radii[1])
    grid = _grid(np.minimum(start, end)[:2] - reach, np.maximum(start, end)[:2] + reach, size)
    if grid is None:
        return None
    axis = (end - start)[:2]
    squared = max(float(axis @ axis), _SHORTEST_AXIS)
    dx, dy = (grid[0] - np.float32(start[0]))[None, :], (grid[1] - np.float32(start[1]))[:, None]
    along = np.clip((dx * np.float32(axis[0]) + dy * np.float32(axis[1])) / np.float32(squared), 0, 1)
    off_x, off_y = dx - along * np.float32(axis[0]), dy - along * np.float32(axis[1])
    radius = np.float32(radii[0]) + along * np.float32(radii[1] - radii[0])
    distance = off_x * off_x + off_y * off_y
    rows, columns = np.nonzero(distance < radius * radius)
    inside = (rows, columns)
    r, t = radius[inside], along[inside]
    nx, ny = off_x[inside] / r, off_y[inside] / r
    nz = np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0))
    side = (ny * np.float32(axis[0]) - nx * np.float32(axis[1])) / np.float32(np.sqrt(squared))
    return Surface(
        pixels=(rows + int(grid[1][0])) * size[1] + columns + int(grid[0][0]),
        depth=np.float32(start[2]) + t * np.float32(end[2] - start[2]) - r * nz,
        normal=np.stack([nx, ny, -nz], axis=1),
        local=np.stack([side, t, 1 - nz], axis=1),
    )


def ellipsoid(centre: Array, frame: Array, half_axes: Array, size: tuple[int, int]) -> Surface | None:
    """Half axes (3,) px along the columns of frame (3, 3). local is on the unit sphere, in the solid's own axes."""
    reach = np.sqrt(((frame * half_axes) ** 2).sum(axis=1))
    return _quadric(centre, frame.T / half_axes[:, None], np.ones(3), 1.0, (centre - reach, centre + reach), size)


def frustum(
    base: Array, frame: Array, length: float, radii: tuple[float, float], flatness: float, size: tuple[int, int]
) -> Surface | None:
    """A trunk segment from base (3,) upwards (minus frame's second column) with elliptic rings, without end caps.

    Rings are radii wide along the first column of frame and `flatness` times as deep along the third.
    local = (left -1..1, up 0..1, back -1..1).
    """
    top = base - frame[:, 1] * length
    spread = np.sqrt(frame[:, 0] ** 2 + (frame[:, 2] * flatness) ** 2)
    low = np.minimum(base - spread * radii[0], top - spread * radii[1])
    high = np.maximum(base + spread * radii[0], top + spread * radii[1])
    to_local = frame.T / np.array([1.0, -length, flatness])[:, None]
    grow = radii[1] - radii[0]
    return _quadric(base, to_local, np.array([1.0, 0.0, 1.0]), 0.0, (low, high), size, (radii[0], grow))


def _quadric(
    origin: Array,
    to_local: Array,
    weights: Array,
    constant: float,
    window: tuple[Array, Array],
    size: tuple[int, int],
    ring: tuple[float, float] | None = None,
) -> Surface | None:
    """Nearest root along z of sum(weights * local**2) = constant, or = (ring[0] + ring[1] * up)**2 with 0 < up < 1."""
    grid = _grid(window[0][:2], window[1][:2], size)
    if grid is None:
        return None
    matrix = np.diag(weights).astype(float)
    linear = np.zeros(3)
    if ring is not None:
        matrix[1, 1] -= ring[1] ** 2
        linear[1] = -ring[0] * ring[1]
        constant = ring[0] ** 2
    m = to_local.T @ matrix @ to_local  # p' m p + 2 n' p = constant, with p relative to origin
    n = to_local.T @ linear
    if m[2, 2] <= 1e-9:
        return None  # looking along the trunk: the caps cover it
    dx, dy = grid[0] - np.float32(origin[0]), grid[1] - np.float32(origin[1])
    half_b = (np.float32(m[0, 2]) * dx + np.float32(n[2]))[None, :] + (np.float32(m[1, 2]) * dy)[:, None]
    c = (np.float32(m[0, 0]) * dx * dx + np.float32(2 * n[0]) * dx - np.float32(constant))[None, :] + (
        np.float32(m[1, 1]) * dy * dy + np.float32(2 * n[1]) * dy
    )[:, None]
    c = c + np.float32(2 * m[0, 1]) * dy[:, None] * dx[None, :]
    discriminant = half_b * half_b - np.float32(m[2, 2]) * c
    rows, columns = np.nonzero(discriminant > 0)
    z = (-half_b[rows, columns] - np.sqrt(discriminant[rows, columns])) / np.float32(m[2, 2])
    local = np.stack([dx[columns], dy[rows], z], axis=1) @ to_local.T.astype(np.float32)
    if ring is not None:
        kept = np.flatnonzero((local[:, 1] >= 0) & (local[:, 1] <= 1))
        rows, columns, z, local = rows[kept], columns[kept], z[kept], local[kept]
    normal = local @ (matrix @ to_local).astype(np.float32) + (linear @ to_local).astype(np.float32)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), np.float32(1e-12))
    if ring is not None:
        local[:, (0, 2)] /= (ring[0] + ring[1] * local[:, 1:2]).astype(np.float32)
    return Surface(
        (rows + int(grid[1][0])) * size[1] + columns + int(grid[0][0]), z + np.float32(origin[2]), normal, local
    )

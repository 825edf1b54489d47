"""The picture being painted: colour, depth and owner of every pixel. Nearer surfaces win."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sharding.synthetic.surfaces import Surface

Array = np.ndarray
BACKGROUND = 0
THING = -1

# colour_of(local (N, 3), normal (N, 3)) -> (N, 3) RGB 0..255, unlit
ColourOf = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Canvas:
    """colour (H, W, 3) float32 RGB 0..255; depth (H, W) float32 px, smaller is nearer;
    owner (H, W) int32: BACKGROUND, THING, or what `figure` wrote; light (3,) points to the lamp."""

    colour: Array
    depth: Array
    owner: Array
    light: Array
    ambient: float

    @property
    def size(self) -> tuple[int, int]:
        """(height, width)."""
        return self.depth.shape[0], self.depth.shape[1]

    def paint(self, surface: Surface | None, owner: int, colour_of: ColourOf) -> None:
        """Lay a curved surface into the picture where it is nearer than what is there."""
        if surface is None:
            return
        nearer = np.flatnonzero(surface.depth < self.depth.ravel()[surface.pixels])
        if len(nearer) == 0:
            return
        pixels, normal = surface.pixels[nearer], surface.normal[nearer]
        lit = self.ambient + (1 - self.ambient) * np.maximum(normal @ self.light, 0)
        self.colour.reshape(-1, 3)[pixels] = colour_of(surface.local[nearer], normal) * lit[:, None]
        self.depth.ravel()[pixels] = surface.depth[nearer]
        self.owner.ravel()[pixels] = owner

    def paint_flat(self, corner_xy: tuple[int, int], mask: Array, depth: float, owner: int, colour: Array) -> None:
        """Lay a flat cut-out: `mask` (h, w) bool with its top left pixel at corner_xy, colour (h, w, 3) or (3,)."""
        x0, y0 = corner_xy
        height, width = self.size
        top, left = max(-y0, 0), max(-x0, 0)
        bottom, right = min(mask.shape[0], height - y0), min(mask.shape[1], width - x0)
        if bottom <= top or right <= left:
            return
        here = (slice(y0 + top, y0 + bottom), slice(x0 + left, x0 + right))
        seen = mask[top:bottom, left:right] & (self.depth[here] > depth)
        self.colour[here][seen] = colour if colour.ndim == 1 else colour[top:bottom, left:right][seen]
        self.depth[here][seen] = depth
        self.owner[here][seen] = owner


def blank_canvas(background: Array, light: Array, ambient: float) -> Canvas:
    """A canvas with the background (H, W, 3) infinitely far away."""
    size = background.shape[:2]
    return Canvas(
        colour=np.ascontiguousarray(background, np.float32),
        depth=np.full(size, np.inf, np.float32),
        owner=np.full(size, BACKGROUND, np.int32),
        light=(light / np.linalg.norm(light)).astype(np.float32),
        ambient=ambient,
    )


def solid(colour: Array) -> ColourOf:
    """One colour (3,) everywhere."""
    return lambda local, normal: np.broadcast_to(colour, (len(local), 3))

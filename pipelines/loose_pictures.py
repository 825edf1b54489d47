"""Pictures that belong to no split, such as files, frames of a video, arrays: what the graph needs to know of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.orientation import AS_STORED, upright_size, upright_to_stored
from pipelines.pictures import Encoded
from pose.crop import Floats


@dataclass(frozen=True, eq=False)
class Regions:
    """N regions of a picture to make crops of; image px of the upright picture.

    Attributes:
        center: (N, 2). extent: (N, 2) as (height, width). scores: (N,) of the boxes. instance_ids: (N,), −1 for nobody
            who is annotated.
    """

    center: Floats
    extent: Floats
    scores: Floats
    instance_ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.center)

    def part(self, start: int, stop: int | None = None) -> "Regions":
        """Those from `start` up to `stop`."""
        here = slice(start, stop)
        return Regions(self.center[here], self.extent[here], self.scores[here], self.instance_ids[here])


@dataclass(frozen=True, eq=False)
class LoosePicture:
    """An encoded picture.

    Attributes:
        image_id: given to predictions. encoded: (size,) uint8, a file's bytes.
        stored_size: (height, width) in px as the decoder gives it, without EXIF rotation.
        orientation: how it is stored, as EXIF numbers it.
        regions: what to make crops of; None where the whole picture is looked at.
    """

    image_id: int
    encoded: Encoded
    stored_size: tuple[int, int]
    orientation: int = AS_STORED
    regions: Regions | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the upright picture."""
        return upright_size(self.stored_size, self.orientation)

    @property
    def upright_to_stored(self) -> Floats:
        """(2, 3)"""
        return upright_to_stored(self.stored_size, self.orientation)


def encode_losslessly(pixels: NDArray[np.uint8]) -> Encoded:
    """RGB pixels (H, W, 3) as the bytes of a PPM file, which costs a copy and loses nothing."""
    height, width = pixels.shape[:2]
    header = np.frombuffer(b"P6\n%d %d\n255\n" % (width, height), dtype=np.uint8)
    return np.concatenate([header, pixels.reshape(-1)])


def chained(outer: Floats, inner: Floats) -> Floats:
    """The map (…, 2, 3) that first does `inner`, then `outer`."""
    linear = outer[..., :2] @ inner[..., :2]
    return np.concatenate([linear, outer[..., :2] @ inner[..., 2:] + outer[..., 2:]], axis=-1)

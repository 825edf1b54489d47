"""Frames of a video, one after the other, and a video made of pictures."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError

from pipelines.loose_pictures import encode_losslessly
from pipelines.orientation import AS_STORED
from pipelines.pictures import Encoded
from pose.drawing import Picture

VIDEO_EXTENSIONS = (".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".gif")
_USUAL_RATE = Fraction(25)
# By the anticlockwise turn, degrees, under which a frame is to be shown.
_ORIENTATIONS = {0: AS_STORED, 90: 8, 180: 3, -180: 3, -90: 6}


@dataclass(frozen=True, eq=False)
class Frame:
    """A frame's bytes without loss, (height, width) as stored, orientation in EXIF's numbers, and when it is shown."""

    encoded: Encoded
    size: tuple[int, int]
    orientation: int
    time_s: float | None


def count_frames(path: Path) -> int:
    """How many frames a video says that it has, or its duration promises; 0 if it says nothing or cannot be read."""
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            if stream.frames:
                return int(stream.frames)
            rate = stream.average_rate or _USUAL_RATE
            return round(container.duration / av.time_base * rate) if container.duration else 0
    except (FFmpegError, OSError, IndexError):
        return 0


def frame_rate(path: Path) -> Fraction:
    """Frames per second; 25 where the video does not say, or cannot be read."""
    try:
        with av.open(str(path)) as container:
            return Fraction(container.streams.video[0].average_rate or _USUAL_RATE)
    except (FFmpegError, OSError, IndexError):
        return _USUAL_RATE


def read_frames(path: Path, as_stored: bool = False) -> Iterator[Frame]:
    """A video's frames; only those that the decoder works on are in memory.

    Args:
        as_stored: pay no heed to how the video says that it is to be turned.
    Raises:
        ValueError, OSError: it is no video, or damaged from here on.
    """
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ValueError("the file holds no pictures, only sound")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            for frame in container.decode(stream):
                pixels = frame.to_ndarray(format="rgb24").astype(np.uint8, copy=False)
                turn = AS_STORED if as_stored else _ORIENTATIONS.get(round(frame.rotation / 90) * 90, AS_STORED)
                yield Frame(encode_losslessly(pixels), (frame.height, frame.width), turn, frame.time)
    except FFmpegError as error:
        raise ValueError(str(error)) from error


class VideoWriter:
    """Writes pictures as an .mp4 video that can be played up to where writing was interrupted.

    All pictures are brought to the even size of the first: players want it so.
    """

    def __init__(self, path: Path, rate: Fraction) -> None:
        self._path, self._rate = path, rate
        self._container: av.container.OutputContainer | None = None
        self._stream: av.VideoStream | None = None

    def write(self, picture: Picture) -> None:
        """Add a picture (H, W, 3)."""
        if self._stream is None:
            self._stream = self._open(picture.shape[0], picture.shape[1])
        fitting = _fitted(picture, (self._stream.height, self._stream.width))
        self._mux(av.VideoFrame.from_ndarray(fitting, format="rgb24"))

    def close(self) -> None:
        """Write what is left."""
        if self._container is not None:
            self._mux(None)
            self._container.close()
            self._container = None

    def _open(self, height: int, width: int) -> av.VideoStream:
        # In fragments: a whole file is listed at its end only, and what is cut off could not be played.
        self._container = av.open(
            str(self._path), "w", format="mp4", options={"movflags": "frag_keyframe+empty_moov+default_base_moof"}
        )
        stream = self._container.add_stream("libx264", rate=self._rate, options={"crf": "20", "g": "50", "bf": "0"})
        stream.width, stream.height = width + width % 2, height + height % 2
        stream.pix_fmt = "yuv420p"
        return stream

    def _mux(self, frame: av.VideoFrame | None) -> None:
        assert self._stream is not None
        assert self._container is not None
        for packet in self._stream.encode(frame):
            self._container.mux(packet)


def _fitted(picture: Picture, size: tuple[int, int]) -> Picture:
    """Cut off or continued with black, right and below."""
    height, width = (min(have, want) for have, want in zip(picture.shape[:2], size, strict=True))
    fitted = np.zeros((*size, 3), dtype=np.uint8)
    fitted[:height, :width] = picture[:height, :width]
    return fitted

"""Pictures of a prediction: skeletons on them, or on a video's frames, and panels of heatmaps."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from engine.heatmap_panels import heatmap_panel, heatmaps_on_picture
from engine.input_pictures import InputPicture
from engine.picture_answers import Answer
from engine.predict_files import write_picture
from engine.predict_regions import upright_pixels
from engine.video_frames import VideoWriter
from pose.drawing import Picture
from pose.skeletons import Skeleton

_TILE_PX = 320  # the longer side of a panel's tiles

Draw = Callable[[Picture, Answer], Picture]
Done = Callable[[InputPicture, Answer, str | None], None]


class PicturePrinter:
    """Draws and writes pictures in a few threads, and reports them in the order in which they came.

    Args:
        draw: draws an answer's persons; None for no overlays. with_panels: also write panels of the heatmaps.
        frame_rate: of a video, by its name. on_done: called in the caller's thread with each picture that is on disk.
    """

    def __init__(
        self,
        out: Path,
        skeleton: Skeleton,
        draw: Draw | None,
        with_panels: bool,
        frame_rate: Callable[[str], Fraction],
        on_done: Done,
        threads: int,
    ) -> None:
        self._out, self._skeleton, self._draw, self._with_panels = out, skeleton, draw, with_panels
        self._frame_rate, self._on_done = frame_rate, on_done
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="posestream-drawing")
        self._most = 2 * threads
        self._waiting: deque[tuple[InputPicture, Answer, Future[tuple[Picture | None, str | None]]]] = deque()
        self._video: tuple[str, VideoWriter] | None = None

    def add(self, asked: InputPicture, answer: Answer) -> None:
        """Raises what failed for an earlier picture, such as OSError for a full disk."""
        self._waiting.append((asked, answer, self._pool.submit(self._print, asked, answer)))
        if len(self._waiting) > self._most:
            self._report()

    def finish(self) -> None:
        """Write what is left."""
        while self._waiting:
            self._report()

    def close(self) -> None:
        """End threads and a video that is being written."""
        self._pool.shutdown(cancel_futures=True)
        self._end_video()

    def _report(self) -> None:
        asked, answer, printed = self._waiting.popleft()
        frame, problem = printed.result()
        if frame is not None and asked.video is not None:
            self._video_of(asked.video).write(frame)
        self._on_done(asked, answer, problem)

    def _print(self, asked: InputPicture, answer: Answer) -> tuple[Picture | None, str | None]:
        """A frame for the video, and what is wrong with the picture."""
        problem = asked.problem or answer.problem
        if asked.picture is None or problem is not None or (self._draw is None and not self._with_panels):
            return None, problem
        try:
            pixels = upright_pixels(asked.picture)
        except ValueError as error:
            return None, f"predicted, but not drawn: {error}"
        if self._with_panels and answer.heatmaps:
            write_picture(self._out / "heatmaps", asked, self._panel(pixels, answer))
        if self._draw is None:
            return None, None
        drawn = self._draw(pixels, answer)
        if asked.video is not None:
            return drawn, None
        write_picture(self._out / "overlays", asked, drawn)
        return None, None

    def _panel(self, pixels: Picture, answer: Answer) -> Picture:
        height, width = pixels.shape[:2]
        scale = min(1.0, _TILE_PX / max(height, width))
        heatmaps = heatmaps_on_picture(answer.heatmaps, (height, width), scale)
        small = cv2.resize(pixels, heatmaps.shape[:0:-1], interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)
        return heatmap_panel(small, heatmaps, self._skeleton)

    def _video_of(self, name: str) -> VideoWriter:
        if self._video is None or self._video[0] != name:
            self._end_video()
            path = self._out / "overlays" / (name if name.lower().endswith(".mp4") else f"{name}.mp4")
            path.parent.mkdir(parents=True, exist_ok=True)
            self._video = name, VideoWriter(path, self._frame_rate(name))
        return self._video[1]

    def _end_video(self) -> None:
        if self._video is not None:
            self._video[1].close()
            self._video = None

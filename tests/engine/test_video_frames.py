"""Videos: frames in, the same number of drawn frames out, in little memory."""

import json
from collections.abc import Callable
from fractions import Fraction
from io import StringIO
from pathlib import Path

import av
import numpy as np
import pytest
from rich.console import Console

from engine.config import Recipe
from engine.estimator import Estimator, make_estimator
from engine.predict import PredictSettings, predict_inputs
from engine.video_frames import VideoWriter, count_frames, frame_rate, read_frames
from pipelines.orientation import turned_upright
from pose.drawing import decode_picture
from pose.skeletons import COCO_17

WHOLE = PredictSettings(whole_image=True)


def shade(number: int) -> int:
    return 20 + 10 * number


def write_video(path: Path, frames: int = 12, size: tuple[int, int] = (48, 64), rate: int = 12) -> Path:
    """Frames that get brighter; the left half is darker."""
    writer = VideoWriter(path, Fraction(rate))
    for number in range(frames):
        picture = np.full((*size, 3), shade(number), np.uint8)
        picture[:, : size[1] // 2] //= 2
        writer.write(picture)
    writer.close()
    return path


@pytest.fixture
def estimator(tiny: Callable[..., Recipe]) -> Estimator:
    return make_estimator(tiny("evaluate.batch_size=5"), COCO_17, None, "cpu")


def ask(estimator: Estimator, path: Path, out: Path, settings: PredictSettings = WHOLE) -> dict[str, str]:
    return predict_inputs(estimator, [str(path)], out, settings, Console(file=StringIO())).damaged


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", size=(47, 63))
    assert count_frames(path) in (0, 12)  # a fragmented file does not say it in one place
    assert frame_rate(path) == 12
    frames = list(read_frames(path))
    assert [round(frame.time_s * 12) for frame in frames if frame.time_s is not None] == list(range(12))
    for number, frame in enumerate(frames):
        pixels = decode_picture(frame.encoded)
        assert pixels.shape == (48, 64, 3)  # even, as players want it
        assert abs(int(pixels[20, 50, 1]) - shade(number)) <= 4
        assert abs(int(pixels[20, 10, 1]) - shade(number) // 2) <= 4


def test_every_frame_is_answered_and_drawn(estimator: Estimator, tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4")
    assert ask(estimator, path, tmp_path / "out", PredictSettings(whole_image=True, heatmaps=True)) == {}
    rows = json.loads((tmp_path / "out" / "predictions.json").read_text())
    images = json.loads((tmp_path / "out" / "images.json").read_text())["images"]
    assert [image["frame"] for image in images] == list(range(12))
    assert [row["image_id"] for row in rows] == [image["id"] for image in images]
    assert images[6]["time_s"] == pytest.approx(0.5)
    assert {image["video"] for image in images} == {"clip.mp4"}
    assert len(list((tmp_path / "out" / "heatmaps" / "clip.mp4").iterdir())) == 12
    drawn = list(read_frames(tmp_path / "out" / "overlays" / "clip.mp4"))
    assert frame_rate(tmp_path / "out" / "overlays" / "clip.mp4") == 12
    means = [decode_picture(frame.encoded).mean() for frame in drawn]
    assert len(means) == 12
    assert np.all(np.diff(means) > 4)  # in order


def test_frames_get_the_numbers_of_arrays(estimator: Estimator, tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", frames=3)
    ask(estimator, path, tmp_path / "out", PredictSettings(whole_image=True, overlays=False))
    rows = json.loads((tmp_path / "out" / "predictions.json").read_text())
    poses = estimator.predict([decode_picture(frame.encoded) for frame in read_frames(path)])
    for row, one in zip(rows, poses, strict=True):
        np.testing.assert_allclose(np.array(row["keypoints"]).reshape(17, 3)[:, :2], one.keypoints[0], atol=1e-3)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_video_that_is_to_be_turned_is_seen_upright(tmp_path: Path, degrees: int) -> None:
    """The darker half of the stored frame lies at its left; turned clockwise it is above, and so on."""
    write_video(tmp_path / "plain.mp4", frames=2)
    turned = tmp_path / "turned.mp4"
    with av.open(str(tmp_path / "plain.mp4")) as source, av.open(str(turned), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    data = turned.read_bytes()
    place = data.index(b"tkhd") + 4 + 40  # the track's matrix: 16.16 fixed point, 2.30 in its last column
    cos, sin = {90: (0, 1), 180: (-1, 0), 270: (0, -1)}[degrees]
    matrix = [cos << 16, sin << 16, 0, -sin << 16, cos << 16, 0, 0, 0, 1 << 30]
    turned.write_bytes(data[:place] + np.array(matrix, ">i4").tobytes() + data[place + 36 :])
    frame = next(iter(read_frames(turned)))
    pixels = turned_upright(decode_picture(frame.encoded), frame.orientation).astype(int)[:, :, 0]
    height, width = pixels.shape
    assert (height, width) == ((64, 48) if degrees != 180 else (48, 64))
    parts = {90: pixels[: height // 2], 180: pixels[:, width // 2 :], 270: pixels[height // 2 :]}  # clockwise
    assert parts[degrees].mean() < pixels.mean() - 2
    assert next(iter(read_frames(turned, as_stored=True))).orientation == 1


def test_a_damaged_video_is_listed_and_the_rest_goes_on(estimator: Estimator, tmp_path: Path) -> None:
    folder = tmp_path / "videos"
    folder.mkdir()
    write_video(folder / "b.mp4")
    (folder / "a.mp4").write_bytes(b"no video at all")
    damaged = ask(estimator, folder, tmp_path / "out")
    assert list(damaged) == ["a.mp4#000000"]
    assert "cannot be read" in damaged["a.mp4#000000"]
    images = json.loads((tmp_path / "out" / "images.json").read_text())["images"]
    assert len(images) == 13
    assert [path.name for path in (tmp_path / "out" / "overlays").iterdir()] == ["b.mp4"]


def test_a_video_that_was_not_finished_can_be_played(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "cut.mp4", Fraction(25))
    for number in range(200):
        writer.write(np.random.default_rng(number).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    (tmp_path / "killed.mp4").write_bytes((tmp_path / "cut.mp4").read_bytes())
    writer.close()
    assert len(list(read_frames(tmp_path / "killed.mp4"))) >= 50
    assert len(list(read_frames(tmp_path / "cut.mp4"))) == 200

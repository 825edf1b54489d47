"""The quick look at a JPEG's header: it says what Pillow says, or nothing."""

import io
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sharding.jpeg_header import ordinary_jpeg_size

Jpeg = Callable[..., bytes]

ORDINARY: list[dict[str, Any]] = [
    {},
    {"quality": 30, "subsampling": 2},
    {"progressive": True},
    {"optimize": True},
    {"mode": "L"},
    {"restart_marker_blocks": 3},
    {"comment": b"a comment"},
    {"dpi": (72, 72)},
    {"qtables": "web_low"},
]
LEFT_TO_PILLOW: list[dict[str, Any]] = [
    {"mode": "CMYK"},
    {"keep_rgb": True},
    {"exif": b"Exif\0\0II*\0"},
    {"icc_profile": bytes(300)},
    {"format": "MPO", "save_all": True, "append_images": [Image.new("RGB", (60, 40))]},
    {"format": "PNG"},
]


def pillow_size(data: bytes) -> tuple[int, int] | None:
    """(height, width), None if Pillow refuses the file."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            return image.height, image.width
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None


def header_bytes(data: bytes) -> int:
    """Where the scan begins."""
    position = 2
    while data[position + 1] != 0xDA:
        position += 2 + struct.unpack_from(">H", data, position + 2)[0]
    return position + 2 + struct.unpack_from(">H", data, position + 2)[0]


def with_frame(data: bytes, **values: int) -> bytes:
    """The same JPEG with other bits, height, width or components in its frame header."""
    changed, frame = bytearray(data), data.index(b"\xff\xc0") + 4
    for name, value in values.items():
        form, offset = {"bits": (">B", 0), "height": (">H", 1), "width": (">H", 3), "components": (">B", 5)}[name]
        struct.pack_into(form, changed, frame + offset, value)
    return bytes(changed)


@pytest.mark.parametrize("options", ORDINARY)
def test_ordinary_headers_are_read(jpeg: Jpeg, options: dict[str, Any]) -> None:
    data = jpeg((40, 60), **options)
    assert ordinary_jpeg_size(data) == (40, 60)
    assert ordinary_jpeg_size(data[: header_bytes(data)]) == (40, 60)
    assert ordinary_jpeg_size(data[: header_bytes(data) - 1]) is None


@pytest.mark.parametrize("options", LEFT_TO_PILLOW)
def test_what_is_not_ordinary_is_left_to_pillow(jpeg: Jpeg, options: dict[str, Any]) -> None:
    assert ordinary_jpeg_size(jpeg((40, 60), **options)) is None


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff", b"\xff\xd8\xff\xda\x00\x02", b"GIF89a", bytes(99)]
)
def test_files_without_a_frame(data: bytes) -> None:
    assert ordinary_jpeg_size(data) is None


@pytest.mark.parametrize(
    "values",
    [
        {"bits": 12}, {"bits": 0}, {"components": 2}, {"components": 1}, {"components": 4}, {"height": 0}, {"width": 0},
        {"height": 65535, "width": 65535},
    ],
)  # fmt: skip
def test_frames_that_pillow_may_refuse(jpeg: Jpeg, values: dict[str, int]) -> None:
    assert ordinary_jpeg_size(with_frame(jpeg(), **values)) is None
    assert ordinary_jpeg_size(with_frame(jpeg(), height=1, width=65535)) == (1, 65535)


def segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, 2 + len(content)) + content


@pytest.mark.parametrize(
    "unusual",
    [
        segment(0xC0, b"\x08\0\x28\0\x3c\x03" + bytes(9)),  # a frame, and the picture has its own
        segment(0xC0, b"\x0c\0\x28\0\x3c\x03" + bytes(9)),  # one that Pillow refuses
        segment(0xDB, b"\x10" + bytes(64)),  # half a table of two-byte values
        segment(0xDB, bytes(64)),
        segment(0xE0, b"JFIF\0\x01"),
        b"\0",
        b"\xff\xd8",
        b"\xff\xc4\0\0",
    ],
)
def test_unusual_segments_are_left_to_pillow(jpeg: Jpeg, unusual: bytes) -> None:
    data = jpeg((40, 60))
    assert ordinary_jpeg_size(data[:2] + segment(0xFE, b"usual") + data[2:]) == (40, 60)
    assert ordinary_jpeg_size(data[:2] + unusual + data[2:]) is None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", [*ORDINARY, *LEFT_TO_PILLOW[:4]])
@pytest.mark.parametrize("rounds", [150, pytest.param(20_000, marks=pytest.mark.slow)])
def test_damaged_headers_are_never_judged_otherwise_than_by_pillow(
    jpeg: Jpeg, options: dict[str, Any], rounds: int
) -> None:
    good, rng, judged = jpeg((40, 60), **options), np.random.default_rng(rounds), 0
    header = header_bytes(good)
    for _ in range(rounds):
        data = bytearray(good)
        for place in rng.integers(0, header, rng.integers(1, 4)):
            data[place] = rng.choice([0, 1, 255, *rng.integers(0, 256, 3)])
        place = rng.integers(header)
        match rng.integers(4):
            case 0:
                del data[place : place + rng.integers(1, 30)]
            case 1:
                data[place:place] = rng.bytes(rng.integers(1, 30))
            case 2:
                del data[place:]
        size = ordinary_jpeg_size(bytes(data))
        judged += size is not None
        assert size is None or size == pillow_size(bytes(data))
    assert judged or options in LEFT_TO_PILLOW


@pytest.mark.real_data
def test_photographs(real_data: Path) -> None:
    pictures = sorted(real_data.rglob("*.jpg"))[::25]
    assert len(pictures) > 20
    sizes = {path: ordinary_jpeg_size(path.read_bytes()) for path in pictures}
    assert all(size is None or size == pillow_size(path.read_bytes()) for path, size in sizes.items())
    assert sum(size is not None for size in sizes.values()) > 0.9 * len(sizes)

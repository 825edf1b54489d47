"""Which pictures conversion takes, with which size, and the reason against every other."""

import io
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sharding.image_check import UnusableImageError, read_image

Jpeg = Callable[..., bytes]
UNKNOWN = (None, None)


@pytest.fixture
def stored(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(data: bytes) -> Path:
        path = tmp_path / "picture.jpg"
        path.write_bytes(data)
        return path

    return write


def rotated() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = 6  # shown turned by 90 degrees
    return exif


GOOD: list[tuple[dict[str, Any], str]] = [
    ({}, "jpg"),
    ({"progressive": True}, "jpg"),
    ({"mode": "L"}, "jpg"),
    ({"mode": "CMYK"}, "jpg"),
    ({"exif": rotated()}, "jpg"),
    ({"format": "MPO"}, "jpg"),
    ({"format": "PNG"}, "png"),
    ({"format": "PNG", "mode": "RGBA"}, "png"),
    ({"format": "PNG", "mode": "P"}, "png"),
    ({"format": "PNG", "mode": "1"}, "png"),
]


@pytest.mark.parametrize(("options", "extension"), GOOD)
@pytest.mark.parametrize("decode", [True, False])
def test_good_pictures(
    jpeg: Jpeg, stored: Callable[[bytes], Path], options: dict[str, Any], extension: str, decode: bool
) -> None:
    data = jpeg((40, 60), **options)
    picture = read_image(stored(data), (40, 60), decode)
    assert (picture.data, picture.extension) == (data, extension)
    assert (picture.width, picture.height) == (60, 40)  # EXIF rotation is ignored, as COCO's tools do
    assert picture.crc32 == zlib.crc32(data)


def test_several_pictures_in_one_jpeg(jpeg: Jpeg, stored: Callable[[bytes], Path]) -> None:
    """Phones write them (MPO): the first picture is an ordinary JPEG."""
    other = Image.open(io.BytesIO(jpeg((40, 60), 1)))
    data = jpeg((40, 60), format="MPO", save_all=True, append_images=[other])
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "MPO"
    assert read_image(stored(data), (40, 60), decode=True).extension == "jpg"


def test_sixteen_bit_png(stored: Callable[[bytes], Path]) -> None:
    stream = io.BytesIO()
    Image.fromarray(np.arange(2400, dtype=np.uint16).reshape(40, 60)).save(stream, "PNG")
    assert read_image(stored(stream.getvalue()), (40, 60), decode=True).extension == "png"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"<html>404 not found</html>", "not a JPEG or PNG picture"),
        (b"\xff\xd8", "not a JPEG or PNG picture"),
        (b"GIF89a" + bytes(40), "not a JPEG or PNG picture"),
        (b"\x89PNG\r\n\x1a\n", "cannot be decoded|not a JPEG or PNG"),
    ],
)
def test_files_that_are_no_pictures(stored: Callable[[bytes], Path], data: bytes, reason: str) -> None:
    with pytest.raises(UnusableImageError, match=reason):
        read_image(stored(data), UNKNOWN, decode=True)


def test_formats_that_the_loaders_do_not_take(jpeg: Jpeg, stored: Callable[[bytes], Path]) -> None:
    for name in ("GIF", "BMP", "WEBP", "TIFF"):
        with pytest.raises(UnusableImageError, match="not a JPEG or PNG"):
            read_image(stored(jpeg(format=name)), UNKNOWN, decode=True)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"mode": "L"}, {"format": "PNG"}])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_truncation_is_found_by_decoding(
    jpeg: Jpeg, stored: Callable[[bytes], Path], options: dict[str, Any], share: float
) -> None:
    data = jpeg((120, 160), **options)
    path = stored(data[: int(share * len(data))])
    with pytest.raises(UnusableImageError, match="cannot be decoded"):
        read_image(path, (120, 160), decode=True)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA"])
def test_a_png_without_its_last_bytes(jpeg: Jpeg, stored: Callable[[bytes], Path], mode: str) -> None:
    """Every pixel is there, but DALI refuses such a file, and with it the whole batch."""
    data = jpeg((12, 16), mode=mode, format="PNG")
    for cut in range(1, 24):
        with pytest.raises(UnusableImageError, match="cannot be decoded"):
            read_image(stored(data[:-cut]), (12, 16), decode=True)


def test_without_decoding_only_the_header_is_read(jpeg: Jpeg, stored: Callable[[bytes], Path]) -> None:
    data = jpeg((120, 160))
    picture = read_image(stored(data[: len(data) // 2]), (120, 160), decode=False)
    assert (picture.height, picture.width) == (120, 160)
    with pytest.raises(UnusableImageError):
        read_image(stored(data[:40]), (120, 160), decode=False)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(UnusableImageError, match="cannot be read: No such file"):
        read_image(tmp_path / "absent.jpg", UNKNOWN, decode=True)
    with pytest.raises(UnusableImageError, match="cannot be read: Is a directory"):
        read_image(tmp_path, UNKNOWN, decode=True)
    with pytest.raises(UnusableImageError, match="cannot be read"):
        read_image(tmp_path / ("x" * 300 + ".jpg"), UNKNOWN, decode=True)


@pytest.mark.parametrize(
    ("size", "reason"),
    [
        ((41, 60), "its height is 40 px but the annotation says 41 px"),
        ((40, 61), "its width is 60 px but the annotation says 61 px"),
        ((60, 40), "height"),
        ((0, 60), "height"),
        ((None, 61), "width"),
    ],
)
def test_another_size_than_annotated(
    jpeg: Jpeg, stored: Callable[[bytes], Path], size: tuple[int | None, int | None], reason: str
) -> None:
    with pytest.raises(UnusableImageError, match=re.escape(reason)):
        read_image(stored(jpeg((40, 60))), size, decode=False)


def test_a_picture_that_claims_a_billion_pixels(jpeg: Jpeg, stored: Callable[[bytes], Path]) -> None:
    data = bytearray(jpeg((8, 8)))
    frame = data.index(b"\xff\xc0")
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(UnusableImageError, match="cannot be decoded"):
        read_image(stored(bytes(data)), UNKNOWN, decode=True)


JPEGS: list[dict[str, Any]] = [
    {},
    {"quality": 20, "subsampling": 2},
    {"progressive": True},
    {"mode": "L"},
    {"mode": "CMYK"},
    {"restart_marker_blocks": 3},
    {"keep_rgb": True},
    {"exif": rotated(), "optimize": True},
    {"format": "MPO"},
]


def damaged(data: bytes, rng: np.random.Generator) -> Iterator[bytes]:
    """Truncated, truncated and closed, with a hole, with zeros or noise in it, with a changed byte of the header."""
    start, length = (int(rng.integers(limit)) for limit in (len(data), 2000))
    rest = data[start + length :]
    yield data[:start]
    yield data[:start] + b"\xff\xd9"
    yield data[:start] + rest
    yield data[:start] + bytes(length) + rest
    yield data[:start] + rng.bytes(length) + rest
    changed = bytearray(data)
    changed[rng.integers(min(700, len(data)))] = rng.integers(256)
    yield bytes(changed)


def refusal_by_full_decoding(data: bytes) -> str | None:
    """What Pillow says when it makes every pixel."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            image.load()
    except Image.UnidentifiedImageError:
        return "not a JPEG or PNG picture"
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        return f"cannot be decoded: {error}"
    return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", JPEGS)
@pytest.mark.parametrize("rounds", [15, pytest.param(600, marks=pytest.mark.slow)])
def test_the_quick_decoding_finds_what_full_decoding_finds(
    jpeg: Jpeg, stored: Callable[[bytes], Path], options: dict[str, Any], rounds: int
) -> None:
    rng, refused = np.random.default_rng(rounds), 0
    for seed in range(rounds):
        for data in damaged(jpeg((int(rng.integers(1, 90)), int(rng.integers(1, 90))), seed, **options), rng):
            reason = refusal_by_full_decoding(data) if data else "the file is empty"
            refused += reason is not None
            try:
                read_image(stored(data), UNKNOWN, decode=True)
                found = None
            except UnusableImageError as error:
                found = str(error)
            assert found == reason
    assert refused > rounds


def test_a_file_that_no_tar_can_hold(tmp_path: Path) -> None:
    path = tmp_path / "vast.jpg"
    with path.open("wb") as file:
        file.truncate(8 << 30)  # a hole; it takes no room
    with pytest.raises(UnusableImageError, match="too large for a tar"):
        read_image(path, UNKNOWN, decode=False)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"format": "PNG"}, {"format": "PNG", "mode": "P"}])
def test_damaged_headers_never_crash(jpeg: Jpeg, stored: Callable[[bytes], Path], options: dict[str, Any]) -> None:
    good, rng, refused = jpeg((16, 16), **options), np.random.default_rng(0), 0
    for _ in range(120):
        bad = bytearray(good)
        for place in rng.integers(0, min(300, len(bad)), 3):
            bad[place] = rng.integers(256)
        try:
            read_image(stored(bytes(bad)), UNKNOWN, decode=True)
        except UnusableImageError:
            refused += 1
    assert refused > 20

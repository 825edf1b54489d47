"""Is this a picture that every reader will decode? Read once, at conversion."""

import io
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from sharding.jpeg_header import ordinary_jpeg_size
from sharding.tar_format import LARGEST_MEMBER

_EXTENSIONS = {"JPEG": "jpg", "MPO": "jpg", "PNG": "png"}  # MPO: a phone's JPEG with more pictures behind the first
_PNG_END = b"IEND\xaeB`\x82"


class UnusableImageError(ValueError):
    """A picture to refuse; the message is the reason for rejects.jsonl."""


@dataclass(frozen=True)
class CheckedImage:
    """A picture's original bytes and what its header says. Sizes ignore EXIF rotation, as COCO's tools do."""

    data: bytes
    extension: str
    width: int
    height: int
    crc32: int


def read_image(path: str | Path, annotated_size: tuple[int | None, int | None], decode: bool) -> CheckedImage:
    """Read a picture and check it.

    Args:
        path: the file.
        annotated_size: (height, width) that the annotation claims, None where it claims nothing.
        decode: decode the picture to its last byte, which finds truncation; otherwise only the header is read.
    Raises:
        UnusableImageError: missing, empty, neither JPEG nor PNG, truncated, or of another size than annotated.
    """
    data = _read(path)
    if not data:
        raise UnusableImageError("the file is empty")
    size = None if decode else ordinary_jpeg_size(data)
    extension, (height, width) = ("jpg", size) if size else _open(data, decode)
    for axis, annotated, actual in zip(("height", "width"), annotated_size, (height, width), strict=True):
        if annotated is not None and annotated != actual:
            raise UnusableImageError(f"its {axis} is {actual} px but the annotation says {annotated} px")
    return CheckedImage(data, extension, width, height, zlib.crc32(data))


def _read(path: str | Path) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            if os.fstat(file.fileno()).st_size > LARGEST_MEMBER:
                raise UnusableImageError("the file is too large for a tar")
            return file.readall()
    except OSError as error:
        raise UnusableImageError(f"cannot be read: {error.strerror}") from error


def _open(data: bytes, decode: bool) -> tuple[str, tuple[int, int]]:
    """Extension and (height, width)."""
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG", "PNG"]) as image:
            extension, (width, height) = _EXTENSIONS[str(image.format)], image.size
            if decode:
                # A JPEG at an eighth of its size: all its codes are read, which finds the same damage sooner.
                image.draft(None, (1, 1))
                image.load()
        if decode and extension == "png":
            # Decoding stops at the last pixel; DALI also wants every chunk's checksum and the whole last chunk.
            with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
                image.verify()
            if _PNG_END not in data:
                raise ValueError("the last bytes are missing")
    except Image.UnidentifiedImageError as error:
        raise UnusableImageError("not a JPEG or PNG picture") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UnusableImageError(f"cannot be decoded: {error}") from error
    return extension, (height, width)

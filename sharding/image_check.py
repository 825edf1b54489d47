"""Is this a picture that every reader will decode? Read once, at conversion."""

import io
import zlib
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

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


def read_image(path: Path, annotated_size: tuple[int | None, int | None], decode: bool) -> CheckedImage:
    """Read a picture and check it.

    Args:
        path: the file.
        annotated_size: (height, width) that the annotation claims, None where it claims nothing.
        decode: decode every pixel, which finds truncation; otherwise only the header is read.
    Raises:
        UnusableImageError: missing, empty, neither JPEG nor PNG, truncated, or of another size than annotated.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnusableImageError(f"cannot be read: {error.strerror}") from error
    if not data:
        raise UnusableImageError("the file is empty")
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG", "PNG"]) as image:
            extension, (width, height) = _EXTENSIONS[str(image.format)], image.size
            if decode:
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
    for axis, annotated, actual in zip(("height", "width"), annotated_size, (height, width), strict=True):
        if annotated is not None and annotated != actual:
            raise UnusableImageError(f"its {axis} is {actual} px but the annotation says {annotated} px")
    return CheckedImage(data, extension, width, height, zlib.crc32(data))

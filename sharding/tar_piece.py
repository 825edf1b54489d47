"""Pictures as they will lie in the tar: read, checked and laid out in threads, some at a time, in their order."""

import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from sharding.conversion_settings import ConversionSettings
from sharding.image_check import CheckedImage, UnusableImageError, read_image
from sharding.records import ImageRecord, Rejection
from sharding.schema import StoredImage
from sharding.shard_plan import PlannedShard
from sharding.tar_format import tar_header, tar_member_bytes, tar_padding

PIECE_BYTES = 2 << 20  # enough that handing a piece from thread to thread costs nothing beside its reading
_PIECE_IMAGES = 128


@dataclass(frozen=True)
class TarPiece:
    """Some consecutive pictures of a shard. `images` have offsets from the start of `data`."""

    data: bytes
    images: list[tuple[ImageRecord, StoredImage]]
    rejections: list[Rejection]


def read_pieces(shard: PlannedShard, settings: ConversionSettings, pool: ThreadPoolExecutor) -> Iterator[TarPiece]:
    """All of a shard in order, a bounded number of pieces read ahead.

    Threads are enough: reading, decoding and checksums release the interpreter lock, and threads die with the process.
    """
    waiting: deque[Future[TarPiece]] = deque()
    try:
        for images in _split(shard):
            waiting.append(pool.submit(_read_piece, images, settings))
            if len(waiting) > 2 * settings.workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()


def _split(shard: PlannedShard) -> Iterator[list[ImageRecord]]:
    piece: list[ImageRecord] = []
    used = 0
    for image, size in shard:
        piece.append(image)
        used += size
        if used >= PIECE_BYTES or len(piece) == _PIECE_IMAGES:
            yield piece
            piece, used = [], 0
    if piece:
        yield piece


def _read_piece(images: list[ImageRecord], settings: ConversionSettings) -> TarPiece:
    parts: list[bytes] = []
    stored: list[tuple[ImageRecord, StoredImage]] = []
    rejections: list[Rejection] = []
    position = 0
    for image in images:
        path = os.path.join(settings.images, image.file_name)
        try:
            picture = read_image(path, (image.height, image.width), settings.check_images)
        except UnusableImageError as error:
            rejections.append(Rejection("image", image.file_name, image.image_id, str(error)))
            continue
        size = len(picture.data)
        header = tar_header(f"{image.key}.{picture.extension}", size)
        stored.append((image, _stored(image, picture, position + len(header))))
        parts += [header, picture.data, tar_padding(size)]
        position += tar_member_bytes(size)
    return TarPiece(b"".join(parts), stored, rejections)


def _stored(image: ImageRecord, picture: CheckedImage, offset: int) -> StoredImage:
    return StoredImage(
        image.key, picture.extension, picture.width, picture.height, offset, len(picture.data), picture.crc32
    )

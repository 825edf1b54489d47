"""A block in a file: its bytes, their number, and a checksum of them and of the block's key."""

import struct
import zlib
from io import FileIO

import numpy as np

_TRAILER = struct.Struct("<QQ")
_ROW_BYTES = 4096


class DamagedBlockError(Exception):
    """A file that does not hold the block which it should."""


def file_size(block: bytes) -> int:
    """Bytes of the file that holds a block."""
    return len(block) + _TRAILER.size


def write_block(key: str, block: bytes, descriptor: int) -> None:
    """Write a block from the start of an open file. Raises OSError, for instance if the disk is full."""
    with open(descriptor, "wb", closefd=False) as file:
        file.write(block)
        file.write(_TRAILER.pack(len(block), checksum(key, block)))


def read_block(key: str, file: FileIO, size: int) -> bytes:
    """The block in an open file of `size` bytes. Raises DamagedBlockError: it is torn, has rotted, or is another."""
    length = size - _TRAILER.size
    if length < 0:
        raise DamagedBlockError(f"{file.name} is cut off")
    block, trailer = file.read(length), file.read(_TRAILER.size)
    if len(trailer) != _TRAILER.size or _TRAILER.unpack(trailer) != (length, checksum(key, block)):
        raise DamagedBlockError(f"{file.name} does not match its checksum")
    return block


def checksum(key: str, block: bytes) -> int:
    """32 bits of a key and a block, at the speed of memory: about four times as fast as crc32 alone.

    The rows of 4096 bytes are added up, each times another odd number, and the sums go through crc32. Whatever changes
    within 4093 consecutive bytes changes the sums; rows that are exchanged, moved, zero or missing do too, unless a
    thousand sums agree by chance.
    """
    rows = len(block) // _ROW_BYTES
    words = np.frombuffer(block, np.uint32, rows * _ROW_BYTES // 4).reshape(rows, _ROW_BYTES // 4)
    sums = np.einsum("ij,i->j", words, np.arange(1, 2 * rows, 2, dtype=np.uint32))
    rest = memoryview(block)[rows * _ROW_BYTES :]
    return zlib.crc32(rest, zlib.crc32(sums, zlib.crc32(key.encode())))

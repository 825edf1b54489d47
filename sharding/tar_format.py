"""The blocks of a plain tar, and the bytes they take. Header, data and padding of each member, then the end."""

import tarfile

LARGEST_MEMBER = (8 << 30) - 1  # bytes; the header has eleven octal digits for them
_NAME, _SIZE, _CHECKSUM = slice(0, 100), slice(124, 136), slice(148, 156)


def tar_header(name: str, size: int) -> bytes:
    """(512 bytes) The header of a read-only file from 1970 that belongs to nobody, so that equal files make equal tars.

    `tarfile` gives the same bytes but takes five times as long, and holds the interpreter lock meanwhile.
    """
    block = bytearray(_TEMPLATE)
    block[_NAME] = name.encode("ascii").ljust(100, b"\0")
    block[_SIZE] = b"%011o\0" % size
    block[_CHECKSUM] = b"%06o\0 " % sum(block)
    if len(block) != tarfile.BLOCKSIZE:
        raise ValueError(f"no tar header can hold the name {name!r} and the size {size}")
    return bytes(block)


def tar_padding(size: int) -> bytes:
    """What fills the last block of a member of `size` bytes."""
    return bytes(-size % tarfile.BLOCKSIZE)


def tar_member_bytes(size: int) -> int:
    """Bytes that a file of `size` takes in a tar: one header block and whole data blocks."""
    return tarfile.BLOCKSIZE + -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE


def tar_bytes(members: int) -> int:
    """Bytes of a tar whose members take `members`: two empty blocks close it, and it is padded to whole records."""
    return -(-(members + 2 * tarfile.BLOCKSIZE) // tarfile.RECORDSIZE) * tarfile.RECORDSIZE


def tar_end(members: int) -> bytes:
    """What closes a tar whose members take `members` bytes."""
    return bytes(tar_bytes(members) - members)


def _template() -> bytes:
    member = tarfile.TarInfo("")
    member.mode = 0o444
    block = bytearray(member.tobuf(tarfile.USTAR_FORMAT))
    block[_CHECKSUM] = b" " * 8  # as which it is summed
    return bytes(block)


_TEMPLATE = _template()

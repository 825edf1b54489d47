"""Files of blocks: what was written is read, and whatever else a disk can hold is noticed."""

import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sharding.block_file import DamagedBlockError, checksum, file_size, read_block, write_block

BLOCK = random.Random(0).randbytes(5 * 4096 + 77)


def write(path: Path, block: bytes, key: str = "shard-1") -> None:
    with path.open("wb") as file:
        write_block(key, block, file.fileno())


def read(path: Path, key: str = "shard-1") -> bytes:
    with open(path, "rb", buffering=0) as file:
        return read_block(key, file, path.stat().st_size)


@pytest.mark.parametrize("size", [0, 1, 4095, 4096, 4097, 100_001])
def test_what_is_written_is_read(tmp_path: Path, size: int) -> None:
    block = random.Random(size).randbytes(size)
    write(tmp_path / "x", block)
    assert read(tmp_path / "x") == block
    assert (tmp_path / "x").stat().st_size == file_size(block)


@pytest.mark.parametrize("length", [0, 1, 15, 16, 17, 4096, len(BLOCK), file_size(BLOCK) - 1])
def test_a_file_that_is_cut_off(tmp_path: Path, length: int) -> None:
    write(tmp_path / "x", BLOCK)
    os.truncate(tmp_path / "x", length)
    with pytest.raises(DamagedBlockError, match=str(tmp_path / "x")):
        read(tmp_path / "x")


def test_a_file_that_is_too_long(tmp_path: Path) -> None:
    write(tmp_path / "x", BLOCK)
    with (tmp_path / "x").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(DamagedBlockError):
        read(tmp_path / "x")


@pytest.mark.parametrize("size", [16, 4096, file_size(BLOCK)])
def test_a_file_of_zeros(tmp_path: Path, size: int) -> None:
    """What a power cut leaves of a file whose length was written, its content not."""
    (tmp_path / "x").write_bytes(bytes(size))
    with pytest.raises(DamagedBlockError):
        read(tmp_path / "x")


def test_the_block_of_another_key(tmp_path: Path) -> None:
    write(tmp_path / "x", BLOCK)
    with pytest.raises(DamagedBlockError):
        read(tmp_path / "x", "shard-2")


def test_every_flipped_bit_of_a_file_is_noticed(tmp_path: Path) -> None:
    write(tmp_path / "x", BLOCK[:4200])
    content = (tmp_path / "x").read_bytes()
    with (tmp_path / "x").open("r+b", buffering=0) as file:
        for bit in range(0, 8 * len(content), 7):
            place = bit // 8
            os.pwrite(file.fileno(), bytes([content[place] ^ 1 << bit % 8]), place)
            with pytest.raises(DamagedBlockError):
                read(tmp_path / "x")
            os.pwrite(file.fileno(), content[place : place + 1], place)
    assert read(tmp_path / "x") == BLOCK[:4200]


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(BLOCK) - 1), st.binary(min_size=1, max_size=4096))
def test_whatever_overwrites_a_page_is_noticed(start: int, other: bytes) -> None:
    changed = BLOCK[:start] + other + BLOCK[start + len(other) :]
    assert (checksum("k", changed) == checksum("k", BLOCK)) == (changed == BLOCK)


@pytest.mark.parametrize("unit", [512, 4096, 8192])
def test_exchanged_or_doubled_sectors_and_pages_are_noticed(unit: int) -> None:
    parts = [BLOCK[start : start + unit] for start in range(0, len(BLOCK), unit)]
    seen = {checksum("k", BLOCK)}
    for first in range(len(parts)):
        for second in range(first):
            swapped, doubled = list(parts), list(parts)
            swapped[first], swapped[second] = parts[second], parts[first]
            doubled[first] = parts[second]
            seen |= {checksum("k", b"".join(swapped)), checksum("k", b"".join(doubled))}
    assert len(seen) == 1 + len(parts) * (len(parts) - 1)


def test_a_stuck_line_is_noticed() -> None:
    """The highest bit of many words: sums of the words alone would lose it."""
    for words in (2, 4, 1024, 5000):
        stuck = bytearray(BLOCK)
        for word in range(words):
            stuck[4 * word + 3] ^= 0x80
        assert checksum("k", bytes(stuck)) != checksum("k", BLOCK)

"""Reading ahead: in order, whatever takes how long, and never more than a bounded number of pieces."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sharding.conversion_settings import ConversionSettings
from sharding.image_check import CheckedImage, UnusableImageError
from sharding.records import ImageRecord
from sharding.shard_plan import plan_shards
from sharding.tar_piece import read_pieces

ImageReader = Callable[[str, tuple[int, int], bool], CheckedImage]


def records(count: int) -> list[ImageRecord]:
    return [ImageRecord(number, f"{number}.jpg") for number in range(count)]


@pytest.fixture
def pieces_of_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ConversionSettings:
    """Settings of a folder of 60 pictures, two of which make a piece, of which every third cannot be used."""
    for record in records(60):
        (tmp_path / record.file_name).write_bytes(bytes(100))

    def read(path: str, size: tuple[int, int], decode: bool) -> CheckedImage:
        number = int(Path(path).stem)
        time.sleep(0.002 * (number % 5))
        if number % 3 == 0:
            raise UnusableImageError("a third")
        return CheckedImage(path.encode(), "jpg", 1, 1, 0)

    monkeypatch.setattr("sharding.tar_piece.PIECE_BYTES", 1025)
    monkeypatch.setattr("sharding.tar_piece.read_image", read)
    return ConversionSettings(tmp_path, "x", workers=3)


def test_pieces_come_in_order_with_their_refusals(pieces_of_two: ConversionSettings) -> None:
    (shard,) = plan_shards(records(60), pieces_of_two)
    with ThreadPoolExecutor(3) as pool:
        pieces = list(read_pieces(shard, pieces_of_two, pool))
    assert len(pieces) == 30
    assert [image.image_id for piece in pieces for image, _ in piece.images] == [n for n in range(60) if n % 3]
    assert [one.id for piece in pieces for one in piece.rejections] == list(range(0, 60, 3))
    for piece in pieces:
        for image, stored in piece.images:
            at = slice(stored.offset, stored.offset + stored.size)
            assert Path(piece.data[at].decode()).name == image.file_name


def test_no_more_is_read_than_a_bounded_number_of_pieces(
    pieces_of_two: ConversionSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []

    def read(path: str, size: tuple[int, int], decode: bool) -> CheckedImage:
        reads.append(path)
        return CheckedImage(b"x", "jpg", 1, 1, 0)

    monkeypatch.setattr("sharding.tar_piece.read_image", read)
    (shard,) = plan_shards(records(60), pieces_of_two)
    with ThreadPoolExecutor(3) as pool:
        pieces = read_pieces(shard, pieces_of_two, pool)
        for taken in (1, 2, 3):
            next(pieces)
            time.sleep(0.05)
            assert len(reads) <= 2 * (taken + 2 * 3)
        pieces.close()
    assert len(reads) <= 2 * (3 + 2 * 3)


def test_what_is_not_wanted_any_more_is_not_read(
    pieces_of_two: ConversionSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []

    def read(path: str, size: tuple[int, int], decode: bool) -> CheckedImage:
        reads.append(path)
        time.sleep(0.02)
        return CheckedImage(b"x", "jpg", 1, 1, 0)

    monkeypatch.setattr("sharding.tar_piece.read_image", read)
    (shard,) = plan_shards(records(60), pieces_of_two)
    with ThreadPoolExecutor(1) as pool:
        pieces = read_pieces(shard, pieces_of_two, pool)
        next(pieces)
        pieces.close()
    assert len(reads) <= 2 * 3

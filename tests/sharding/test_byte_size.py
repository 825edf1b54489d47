"""Sizes as people write them."""

import pytest

from sharding.byte_size import parse_byte_size


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), ("1.5KB", 1500), (" 2 MiB ", 2 << 20), ("256MB", 256_000_000), ("1gib", 1 << 30)]
)
def test_sizes(text: str, size: int) -> None:
    assert parse_byte_size(text) == size


@pytest.mark.parametrize("text", ["", "MB", "5XB", "-5MB", "0", "0.9", "1e3", "1 2", "1,5KB"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a size such as 256MB, got"):
        parse_byte_size(text)

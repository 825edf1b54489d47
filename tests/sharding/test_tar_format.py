"""A tar made of our blocks is, byte for byte, the one that Python's tarfile makes."""

import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sharding.tar_format import LARGEST_MEMBER, tar_bytes, tar_end, tar_header, tar_member_bytes, tar_padding

names = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=100)


@given(names, st.integers(0, LARGEST_MEMBER))
def test_headers_are_those_of_tarfile(name: str, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o444
    assert tar_header(name, size) == member.tobuf(tarfile.USTAR_FORMAT)


@given(st.lists(st.integers(0, 30_000), max_size=6))
def test_whole_tars_are_those_of_tarfile(sizes: list[int]) -> None:
    ours, stream = b"", io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for number, size in enumerate(sizes):
            data = bytes([number + 1]) * size
            member = tarfile.TarInfo(f"{number:012d}.jpg")
            member.size, member.mode = size, 0o444
            tar.addfile(member, io.BytesIO(data))
            block = tar_header(member.name, size) + data + tar_padding(size)
            assert len(block) == tar_member_bytes(size)
            ours += block
    used = len(ours)
    ours += tar_end(used)
    assert len(ours) == tar_bytes(used)
    assert ours == stream.getvalue()


@pytest.mark.parametrize(("name", "size"), [("a" * 101, 5), ("a.jpg", LARGEST_MEMBER + 1)])
def test_what_no_header_can_hold_is_an_error(name: str, size: int) -> None:
    with pytest.raises(ValueError, match="no tar header can hold"):
        tar_header(name, size)

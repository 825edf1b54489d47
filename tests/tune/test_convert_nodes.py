"""What a node must see before it builds a shard of a conversion; without Ray."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sharding.conversion_state import ShardState
from sharding.convert import ConversionError, ConversionSettings
from sharding.raw import read_raw
from sharding.shard_building import plan_building
from sharding.storage import open_folder
from sharding.synthetic import SyntheticFiles
from tune.convert import _build_task


@pytest.fixture
def build(mini_raw: Callable[[str], SyntheticFiles], tmp_path: Path) -> Callable[..., ShardState]:
    """build(before, scratch): a task on a node that sees what is left after `before(pictures)`."""

    def run(before: Callable[[list[Path]], object] = len, scratch: Path | None = None) -> ShardState:
        files, images = mini_raw("coco"), tmp_path / "pictures"
        images.mkdir()
        for picture in files.images.iterdir():
            (images / picture.name).write_bytes(picture.read_bytes())
        settings = ConversionSettings(images, "mini")
        building, (shard,) = plan_building(read_raw("coco", files.annotations, "mini"), settings)
        before(sorted(images.iterdir()))
        target = open_folder(tmp_path / "out")
        states = target.subfolder(".conversion")
        states.create()
        return _build_task(building, 0, shard, target, states, scratch or tmp_path)

    return run


def test_a_node_that_sees_everything_builds_the_shard(build: Callable[..., ShardState], tmp_path: Path) -> None:
    state = build()
    assert state.shard is not None
    assert state.shard.images == 16
    assert (tmp_path / "out" / state.shard.tar).stat().st_size == state.shard.tar_bytes


def test_a_node_without_the_pictures_says_so_instead_of_refusing_them(build: Callable[..., ShardState]) -> None:
    with pytest.raises(
        ConversionError, match=r"on node \S+ the picture /\S+ is not .*: No such file.*--images must be"
    ):
        build(lambda pictures: [picture.unlink() for picture in pictures])


def test_a_node_with_half_a_picture_says_so(build: Callable[..., ShardState]) -> None:
    with pytest.raises(ConversionError, match="it has 600 bytes there"):
        build(lambda pictures: pictures[3].write_bytes(pictures[3].read_bytes()[:600]))


def test_a_node_without_the_output_says_so(build: Callable[..., ShardState], tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"does not see .*/out; --out must be on a disk that all nodes share"):
        build(scratch=tmp_path / "elsewhere")
    assert not list((tmp_path / "out").glob("*.tar"))

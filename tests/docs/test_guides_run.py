"""Every command and every line of Python in the guides is run, page by page, on synthetic people."""

from pathlib import Path

import pytest
from guide_blocks import DOCS, PAGES, blocks, is_run, starts_with
from guide_runner import Reader, reader
from scratch_folder import fill, make_world

__all__ = ["reader"]
RUN = [page for page in PAGES if any(is_run(block) for block in blocks(page))]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures, shards and a training, made once."""
    root = tmp_path_factory.mktemp("guides")
    make_world(root)
    return root


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN, ids=lambda page: page.relative_to(DOCS).with_suffix("").as_posix())
def test_a_reader_can_follow_the_page(page: Path, world: Path, reader: Reader) -> None:
    fill(reader.folder, world, starts_with(page))
    for block in blocks(page):
        reader.follow(block)

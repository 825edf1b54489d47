"""pytest fixtures: mini shards of synthetic people, made once per test run. For this project's tests, and for yours.

Use them with `pytest_plugins = ["sharding.testing"]` in the conftest.py at the root of your tests.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from sharding.convert import ConversionSettings, convert
from sharding.dataset import ShardedDataset, open_dataset
from sharding.raw import read_raw
from sharding.storage import open_folder
from sharding.synthetic import SyntheticFiles, write_dataset

MINI_IMAGES = 16
MINI_SHARD_BYTES = 150_000  # small enough for several shards


@pytest.fixture(scope="session")
def mini_raw(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], SyntheticFiles]:
    """A function from "coco", "mpii" or "crowdpose" to the raw files of 16 pictures in that layout."""
    made: dict[str, SyntheticFiles] = {}

    def raw(layout: str) -> SyntheticFiles:
        if layout not in made:
            made[layout] = write_dataset(
                layout, tmp_path_factory.mktemp(f"raw-{layout}"), MINI_IMAGES, seed=7, workers=1
            )
        return made[layout]

    return raw


@pytest.fixture(scope="session")
def mini_shards(
    mini_raw: Callable[[str], SyntheticFiles], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """A function from "coco", "mpii" or "crowdpose" to the folder of a sharded split of 16 pictures."""
    made: dict[str, Path] = {}

    def shards(layout: str) -> Path:
        if layout not in made:
            files, out = mini_raw(layout), tmp_path_factory.mktemp(f"shards-{layout}") / "mini"
            settings = ConversionSettings(files.images, "mini", shard_bytes=MINI_SHARD_BYTES)
            convert(read_raw(layout, files.annotations, "mini"), open_folder(out), settings)
            made[layout] = out
        return made[layout]

    return shards


@pytest.fixture(scope="session")
def mini_coco(mini_shards: Callable[[str], Path]) -> ShardedDataset:
    """A sharded COCO split of 16 pictures of synthetic people."""
    return open_dataset(mini_shards("coco"))


@pytest.fixture(scope="session")
def mini_mpii(mini_shards: Callable[[str], Path]) -> ShardedDataset:
    """The same in MPII's layout."""
    return open_dataset(mini_shards("mpii"))


@pytest.fixture(scope="session")
def mini_crowdpose(mini_shards: Callable[[str], Path]) -> ShardedDataset:
    """The same in CrowdPose's layout."""
    return open_dataset(mini_shards("crowdpose"))

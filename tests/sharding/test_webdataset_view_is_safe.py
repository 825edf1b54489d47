"""A tar that somebody slipped things into: none of it reaches webdataset's decoders, which run pickles."""

import io
import pickle
import shutil
import tarfile
from pathlib import Path

import pytest

from sharding.dataset import BrokenShardError, open_dataset
from sharding.webdataset_view import as_webdataset


class Trap:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def add(tar: Path, name: str, content: bytes) -> None:
    with tarfile.open(tar, "a") as file:
        info = tarfile.TarInfo(name)
        info.size = len(content)
        file.addfile(info, io.BytesIO(content))


@pytest.fixture
def split(mini_shards, tmp_path):
    shutil.copytree(mini_shards("coco"), tmp_path / "split")
    return open_dataset(tmp_path / "split")


def last_tar(split) -> Path:
    return Path(split.folder.path) / split.manifest.shards[-1].tar


@pytest.mark.parametrize("extension", ["pkl", "pickle", "pyd", "pth", "jpg.pkl"])
def test_what_lies_beside_a_picture_is_not_handed_out(split, tmp_path, extension):
    last_key = split.sidecars[-1].column("key")[-1].as_py()
    add(last_tar(split), f"{last_key}.{extension}", pickle.dumps(Trap(tmp_path / "sprung")))
    samples = list(as_webdataset(split).decode("rgb8", partial=True))
    assert len(samples) == split.num_images
    assert all(
        {name for name in sample if not name.startswith("__")} <= {"jpg", "png", "annotations"} for sample in samples
    )
    assert not (tmp_path / "sprung").exists()


def test_what_the_sidecar_does_not_know_is_an_error(split, tmp_path):
    add(last_tar(split), "999999999999.pkl", pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(BrokenShardError, match="999999999999 is no picture of its sidecar"):
        list(as_webdataset(split).decode("rgb8", partial=True))
    assert not (tmp_path / "sprung").exists()

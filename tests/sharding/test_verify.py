"""verify: an intact split has no problems, and every kind of damage is found and named."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sharding.dataset import BrokenShardError, ShardedDataset, open_dataset, open_sidecar
from sharding.manifest import Manifest, NotADatasetError, read_manifest
from sharding.storage import open_folder
from sharding.verify import verify

DATASETS = ["coco", "mpii", "crowdpose"]


@pytest.fixture
def split(mini_coco: ShardedDataset, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(mini_coco.folder.path, tmp_path / "split"))


def edit_manifest(split: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads((split / "manifest.json").read_text())
    change(content)
    (split / "manifest.json").write_text(json.dumps(content))


def flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 0x10
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("dataset", DATASETS)
def test_intact_splits_have_no_problems(mini_shards: Callable[[str], Path], dataset: str) -> None:
    seen: list[str] = []
    folder = open_folder(mini_shards(dataset))
    assert verify(folder, lambda shard: seen.append(shard.tar)) == []
    assert seen == [shard.tar for shard in read_manifest(folder).shards]


@pytest.mark.parametrize("where", [0, 0.5, 1])
def test_a_flipped_byte_in_a_picture_names_shard_and_key(split: Path, mini_coco: ShardedDataset, where: float) -> None:
    for shard, sidecar in enumerate(mini_coco.sidecars):
        row = sidecar.to_pylist()[-1]
        flip(split / mini_coco.tar_name(shard), row["offset"] + int(where * (row["size"] - 1)))
        problems = [line for line in verify(open_folder(split)) if mini_coco.tar_name(shard) in line]
        assert len(problems) == 2
        assert "sha256" in problems[0]
        assert problems[1] == f"{mini_coco.tar_name(shard)}: {row['key']}: the picture's bytes do not match their crc32"


def test_a_flipped_byte_in_a_tar_header(split: Path, mini_coco: ShardedDataset) -> None:
    row = mini_coco.sidecars[1].to_pylist()[1]
    flip(split / mini_coco.tar_name(1), row["offset"] - 512 + 3)
    problems = verify(open_folder(split))
    assert any(f"{mini_coco.tar_name(1)}: {row['key']}: no tar member at offset" in line for line in problems)


def test_a_flipped_byte_in_the_padding(split: Path, mini_coco: ShardedDataset) -> None:
    flip(split / mini_coco.tar_name(0), -1)
    (problem,) = verify(open_folder(split))
    assert problem.startswith(f"{mini_coco.tar_name(0)}: sha256")


def test_a_truncated_tar_names_the_first_missing_key(split: Path, mini_coco: ShardedDataset) -> None:
    rows = mini_coco.sidecars[0].to_pylist()
    path = split / mini_coco.tar_name(0)
    path.write_bytes(path.read_bytes()[: rows[-1]["offset"] + 5])
    problems = verify(open_folder(split))
    assert problems[0].startswith(f"{mini_coco.tar_name(0)}: {rows[-1]['offset'] + 5} bytes, the manifest says")
    assert [row["key"] for row in rows if any(row["key"] in line for line in problems)] == [rows[-1]["key"]]
    path.write_bytes(b"")
    problems = verify(open_folder(split))
    assert all(any(row["key"] in line for line in problems) for row in rows)


@pytest.mark.parametrize("replace_by_folder", [False, True])
@pytest.mark.parametrize("kind", ["tar", "sidecar"])
def test_missing_files_are_named(split: Path, mini_coco: ShardedDataset, kind: str, replace_by_folder: bool) -> None:
    name = getattr(mini_coco.manifest.shards[1], kind)
    (split / name).unlink()
    if replace_by_folder:
        (split / name).mkdir()
    problems = verify(open_folder(split))
    assert f"{name}: missing" in problems
    assert all(name in line for line in problems)


def test_swapped_sidecars_are_named_with_the_keys(split: Path, mini_coco: ShardedDataset) -> None:
    first, second = (split / shard.sidecar for shard in mini_coco.manifest.shards[:2])
    content = first.read_bytes(), second.read_bytes()
    first.write_bytes(content[1])
    second.write_bytes(content[0])
    problems = verify(open_folder(split))
    assert any(first.name in line for line in problems)
    assert any(second.name in line for line in problems)
    assert not any(shard.sidecar in line for shard in mini_coco.manifest.shards[2:] for line in problems)


def test_swapped_sidecars_of_one_size_are_found_by_the_keys(split: Path, mini_coco: ShardedDataset) -> None:
    """The manifest edited to fit them: the tar itself still contradicts."""

    def swap(content: dict[str, Any]) -> None:
        one, two = content["shards"][:2]
        for name in ("sidecar", "sidecar_bytes", "sidecar_sha256", "images", "instances"):
            one[name], two[name] = two[name], one[name]

    edit_manifest(split, swap)
    problems = verify(open_folder(split))
    keys = [row["key"] for sidecar in mini_coco.sidecars[:2] for row in sidecar.to_pylist()]
    assert all(any(key in line for line in problems) for key in keys)
    assert all("another shard's?" in line or "no tar member" in line for line in problems)


def test_any_flipped_byte_in_a_sidecar_is_found(split: Path, mini_coco: ShardedDataset) -> None:
    shard = mini_coco.manifest.shards[0]
    path, folder = split / shard.sidecar, open_folder(split)
    good = path.read_bytes()
    places = [*range(64), *range(len(good) - 64, len(good))]
    places += np.random.default_rng(0).integers(0, len(good), 150).tolist()
    for place in places:
        flip(path, place)
        problems = verify(folder)
        assert problems[0].startswith(f"{shard.sidecar}: sha256"), place
        assert not any(other.tar in line for other in mini_coco.manifest.shards[1:] for line in problems)
        path.write_bytes(good)


EDITS: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda m: m.update(images=m["images"] + 1), r"manifest\.json: it says 17 images, its shards have 16"),
    (lambda m: m.update(instances=0), r"manifest\.json: it says 0 instances"),
    (lambda m: m["shards"].pop(), r"manifest\.json: it says 16 images"),
    (lambda m: m.update(dataset="crowdpose"), "columns are not those of crowdpose mini"),
    (lambda m: m.update(split="val"), "columns are not those of coco val"),
    (lambda m: m.update(skeleton="mpii_16"), "columns are not those"),
    (lambda m: m["shards"][0].update(tar_sha256="0" * 64), r"mini-000000\.tar: sha256"),
    (lambda m: m["shards"][0].update(sidecar_sha256="0" * 64), r"mini-000000\.arrow: sha256"),
    (lambda m: m["shards"][1].update(tar_bytes=1), r"mini-000001\.tar: \d+ bytes, the manifest says 1"),
    (lambda m: m["shards"][1].update(sidecar_bytes=1), r"mini-000001\.arrow: \d+ bytes, the manifest says 1"),
    (lambda m: m["shards"][1].update(tar="x.tar"), r"x\.tar: missing"),
    (lambda m: m["shards"][1].update(sidecar="x.arrow"), r"x\.arrow: missing"),
    (lambda m: m["shards"][0].update(images=1), r"mini-000000\.arrow has \d+ images, the manifest says 1"),
    (lambda m: m["shards"][0].update(instances=1), r"mini-000000\.arrow: \d+ instances, the manifest says 1"),
]


@pytest.mark.parametrize(("edit", "problem"), EDITS)
def test_an_edited_manifest_is_found(split: Path, edit: Callable[[dict[str, Any]], object], problem: str) -> None:
    edit_manifest(split, edit)
    assert any(re.search(problem, line) for line in verify(open_folder(split)))


BAD_MANIFESTS: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda m: m.update(schema_version=2), "has schema version 2, this posestream reads 1"),
    (lambda m: m.update(schema_version=2, new_key=[1]), "has schema version 2, this posestream reads 1"),
    (lambda m: m.pop("schema_version"), "schema_version: Field required"),
    (lambda m: m.update(images="many"), "images: "),
    (lambda m: m.update(images=None), "images: "),
    (lambda m: m.update(shards={}), "shards: "),
    (lambda m: m["shards"][0].update(tar=5), r"shards\.0\.tar: "),
    (lambda m: m["shards"][0].pop("images"), r"shards\.0\.images: Field required"),
    (lambda m: m.update(unknown=1), "unknown: "),
    (lambda m: m.update(skeleton="dog_20"), "unknown skeleton 'dog_20'; known: coco_17"),
]


@pytest.mark.parametrize(("edit", "message"), BAD_MANIFESTS)
def test_unreadable_manifests_say_what_is_wrong(
    split: Path, edit: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit_manifest(split, edit)
    for read in (lambda: verify(open_folder(split)), lambda: open_dataset(split)):
        with pytest.raises(NotADatasetError, match=r"split/manifest\.json.*" + message):
            read()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"\xff\xfe"])
def test_manifests_that_are_no_json_objects(split: Path, content: bytes) -> None:
    (split / "manifest.json").write_bytes(content)
    with pytest.raises(NotADatasetError, match=r"manifest\.json"):
        verify(open_folder(split))


def test_folders_without_a_manifest(split: Path, tmp_path: Path) -> None:
    (split / "manifest.json").unlink()
    for folder in (split, tmp_path / "absent", split / "mini-000000.tar"):
        with pytest.raises(NotADatasetError, match=r"manifest\.json does not exist.*posestream convert"):
            verify(open_folder(folder))


def test_opening_finds_what_it_can_see_at_once(split: Path, mini_coco: ShardedDataset) -> None:
    path = split / mini_coco.manifest.shards[1].sidecar
    good = path.read_bytes()
    path.write_bytes(good[:-1])
    with pytest.raises(
        BrokenShardError, match=rf"{path.name} has {len(good) - 1} bytes, the manifest says {len(good)}"
    ):
        open_dataset(split)
    for place in (0, len(good) // 2, len(good) - 40):  # a keypoint in the middle would be wrong without a word
        flipped = bytearray(good)
        flipped[place] ^= 0xFF
        path.write_bytes(bytes(flipped))
        with pytest.raises(BrokenShardError, match=rf"{path.name} is not the manifest's by its sha256"):
            open_dataset(split)
    path.write_bytes(bytes(len(good)))
    with pytest.raises(BrokenShardError, match=rf"{path.name} is not an Arrow file"):
        open_sidecar(open_folder(split), mini_coco.manifest.shards[1], check_sha256=False)
    path.unlink()
    with pytest.raises(BrokenShardError, match=rf"{path.name} is missing"):
        open_dataset(split)


def test_a_manifest_round_trips(mini_coco: ShardedDataset) -> None:
    assert Manifest.model_validate_json(mini_coco.manifest.to_json()) == mini_coco.manifest

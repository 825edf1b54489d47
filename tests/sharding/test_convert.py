"""Conversion: what lands in the shards, what is refused, and that the bytes never depend on how it was run."""

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyarrow import fs as arrow_fs

from sharding.convert import ConversionError, ConversionSettings, convert
from sharding.dataset import open_dataset
from sharding.manifest import Manifest, read_manifest
from sharding.raw import read_raw
from sharding.storage import Folder, StorageError, open_folder
from sharding.verify import verify

Source = tuple[Path, Path]
ToShards = Callable[..., Manifest]
Contents = Callable[[Path], dict[str, bytes]]
Row = dict[str, Any]


@pytest.fixture(autouse=True)
def _one_picture_to_a_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that the small shards of these tests are made of several pieces, and progress is told after each picture."""
    monkeypatch.setattr("sharding.tar_piece.PIECE_BYTES", 1)


def rejects(folder: Path) -> list[Row]:
    return [json.loads(line) for line in (folder / "rejects.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture
def source(tmp_path: Path, jpeg: Callable[..., bytes], write_coco: Callable[..., Path]) -> Callable[..., Source]:
    """A function from {file name: bytes, or None for no file} to (annotations, images)."""

    def build(files: dict[str, bytes | None], annotations: list[Any] | None = None, **size: int) -> Source:
        images = tmp_path / "pictures"
        rows = []
        for number, (name, data) in enumerate(files.items(), start=1):
            rows.append({"id": number, "file_name": name} | size)
            (images / name).parent.mkdir(parents=True, exist_ok=True)
            if data is not None:
                (images / name).write_bytes(data)
        return write_coco(rows, annotations or []), images

    return build


def test_bytes_depend_on_nothing_but_the_source(
    twenty_four: Source, tmp_path: Path, to_shards: ToShards, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [(1, 1), (1, 1), (2, 1), (5, 1), (30, 1), (1, 5000), (2, 5000), (3, 10**6)]
    results = []
    for run, (workers, piece_bytes) in enumerate(runs):
        monkeypatch.setattr("sharding.tar_piece.PIECE_BYTES", piece_bytes)
        manifest = to_shards(twenty_four, tmp_path / f"out{run}", workers=workers)
        results.append(contents(tmp_path / f"out{run}"))
    assert len(manifest.shards) >= 4
    assert all(result == results[0] for result in results)
    names = {name for shard in manifest.shards for name in (shard.tar, shard.sidecar)}
    assert set(results[0]) == names | {"manifest.json", "rejects.jsonl"}  # and no working folder


def test_the_tar_holds_the_original_bytes_at_the_sidecars_offsets(
    twenty_four: Source, tmp_path: Path, to_shards: ToShards
) -> None:
    to_shards(twenty_four, tmp_path / "out")
    dataset, seen = open_dataset(tmp_path / "out"), []
    for shard, sidecar in enumerate(dataset.sidecars):
        data = (tmp_path / "out" / dataset.tar_name(shard)).read_bytes()
        for row in sidecar.to_pylist():
            original = (twenty_four[1] / row["file_name"]).read_bytes()
            assert data[row["offset"] : row["offset"] + row["size"]] == original
            seen.append(row["image_id"])
    assert seen == [number for number in range(1, 25) if number != 9]


@pytest.mark.parametrize("shard_bytes", [1, 10_240, 20_480, 25_088, 30_208, 30_720, 51_200, 10**9])
def test_no_tar_is_larger_than_asked(
    twenty_four: Source, tmp_path: Path, to_shards: ToShards, shard_bytes: int
) -> None:
    manifest = to_shards(twenty_four, tmp_path / "out", shard_bytes=shard_bytes, check_images=False)
    for shard in manifest.shards:
        size = (tmp_path / "out" / shard.tar).stat().st_size
        assert size == shard.tar_bytes
        assert size <= shard_bytes or shard.images == 1
    assert manifest.images == 23
    assert len(manifest.shards) == {1: 23, 10**9: 1}.get(shard_bytes, len(manifest.shards))


@pytest.mark.parametrize("sizes", [[4608, 4096, 9728], [4096, 4096], [512, 512, 512, 8192]])
@pytest.mark.parametrize("shard_bytes", [20_480, 20_992, 30_208, 10_752])
def test_padding_of_the_tar_counts_too(
    source: Callable[..., Source],
    jpeg: Callable[..., bytes],
    tmp_path: Path,
    to_shards: ToShards,
    sizes: list[int],
    shard_bytes: int,
) -> None:
    small = jpeg((2, 2), mode="L", quality=1)
    files = {f"{number}.jpg": small + bytes(size - len(small)) for number, size in enumerate(sizes)}
    manifest = to_shards(source(files), tmp_path / "out", shard_bytes=shard_bytes)
    assert all(shard.tar_bytes <= shard_bytes or shard.images == 1 for shard in manifest.shards)


def test_a_shard_is_filled_up(twenty_four: Source, tmp_path: Path, to_shards: ToShards) -> None:
    """No shard could have taken the next one's first picture."""
    manifest = to_shards(twenty_four, tmp_path / "out", shard_bytes=20_480)
    for shard, following in zip(manifest.shards, manifest.shards[1:], strict=False):
        with tarfile.open(tmp_path / "out" / following.tar) as tar:
            first = tar.getmembers()[0].size
        with tarfile.open(tmp_path / "out" / shard.tar) as tar:
            used = sum(512 + -(-member.size // 512) * 512 for member in tar.getmembers())
        # the missing picture 9 counts as nothing, so it cannot have closed a shard
        assert -(-(used + 512 + -(-first // 512) * 512 + 1024) // 10_240) * 10_240 > 20_480


def test_every_unusable_picture_is_listed_with_its_reason(
    source: Callable[..., Source], jpeg: Callable[..., bytes], tmp_path: Path, to_shards: ToShards
) -> None:
    good = jpeg((40, 60))
    files = {
        "good.jpg": good,
        "empty.jpg": b"",
        "text.jpg": b"not found",
        "truncated.jpg": jpeg((40, 60), 1)[:-400],
        "absent.jpg": None,
        "large.jpg": jpeg((41, 60)),
        "größe.jpg": b"x",
        "good.png": jpeg((40, 60), format="PNG"),
    }
    annotations, images = source(files, height=40, width=60)
    (images / "folder.jpg").mkdir()
    content = json.loads(annotations.read_text())
    content["images"] += [{"id": 99, "file_name": "folder.jpg"}, {"id": "\ud800", "file_name": "\ud800.jpg"}]
    content["annotations"] = [{"id": float("nan"), "image_id": 1, "bbox": [0, 0, 1, 1]}]
    annotations.write_text(json.dumps(content))
    manifest = to_shards((annotations, images), tmp_path / "out")
    reasons = {row["file"]: row["reason"] for row in rejects(tmp_path / "out")}
    expected = {
        "empty.jpg": "empty",
        "text.jpg": "not a JPEG",
        "truncated.jpg": "cannot be decoded",
        "absent.jpg": "No such file",
        "large.jpg": "its height is 41 px but the annotation says 40 px",
        "größe.jpg": "not a JPEG",
        "folder.jpg": "Is a directory",
        "\ud800.jpg": "image id must be a whole number",
        "annotations.json": "annotation id must be a whole number, got nan",
    }
    assert set(reasons) == set(expected)
    assert [name for name, part in expected.items() if part not in reasons[name]] == []
    assert (manifest.images, manifest.rejected) == (2, len(expected))
    assert "NaN" not in (tmp_path / "out" / "rejects.jsonl").read_text()
    assert "größe" in (tmp_path / "out" / "rejects.jsonl").read_text()
    assert verify(open_folder(tmp_path / "out")) == []


def test_without_the_image_check_truncation_stays_unseen(
    source: Callable[..., Source], jpeg: Callable[..., bytes], tmp_path: Path, to_shards: ToShards
) -> None:
    files = {"a.jpg": jpeg((40, 60)), "b.jpg": jpeg((40, 60))[:-400], "c.jpg": b""}
    manifest = to_shards(source(files), tmp_path / "out", check_images=False)
    assert (manifest.images, manifest.rejected) == (2, 1)


def test_unusual_names_go_through(
    source: Callable[..., Source], jpeg: Callable[..., bytes], tmp_path: Path, to_shards: ToShards
) -> None:
    names = ["a.b.c.jpg", "mit Leer zeichen.jpg", "größe/人.jpg", "x/1.jpg", "y/1.jpg", "no_extension", "a{0..2}.JPEG"]
    files = {name: jpeg(seed=number) for number, name in enumerate(names)}
    manifest = to_shards(source(files), tmp_path / "out", shard_bytes=10**9)
    dataset = open_dataset(tmp_path / "out")
    assert dataset.sidecars[0].column("file_name").to_pylist() == names
    with tarfile.open(tmp_path / "out" / manifest.shards[0].tar) as tar:
        assert tar.getnames() == [f"{number:012d}.jpg" for number in range(1, 8)]


def test_strict_stops_at_a_bad_picture_and_leaves_no_dataset(
    twenty_four: Source, tmp_path: Path, to_shards: ToShards, contents: Contents
) -> None:
    with pytest.raises(ConversionError, match=r"strict: image 9\.jpg \(id 9\) refused: cannot be read: No such file"):
        to_shards(twenty_four, tmp_path / "out", strict=True, workers=2)
    names = set(contents(tmp_path / "out"))
    assert "manifest.json" not in names
    assert not [name for name in names if name.endswith(".partial")]
    to_shards(twenty_four, tmp_path / "again")
    for name in names & set(contents(tmp_path / "again")):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_strict_stops_at_a_bad_annotation(
    source: Callable[..., Source], jpeg: Callable[..., bytes], tmp_path: Path, to_shards: ToShards
) -> None:
    with pytest.raises(ConversionError, match="strict: annotation"):
        to_shards(source({"a.jpg": jpeg()}, [{"id": 1}]), tmp_path / "out", strict=True)
    assert not (tmp_path / "out" / "manifest.json").exists()


class StopError(Exception):
    pass


def stop_after(count: int) -> Callable[[int], None]:
    """A progress callback that ends the conversion after `count` pictures, as Ctrl-C would."""
    done = 0

    def on_images(number: int) -> None:
        nonlocal done
        done += number
        if done > count:
            raise StopError

    return on_images


def interrupted(source: Source, out: Path, after: int, **options: Any) -> None:
    settings = ConversionSettings(source[1], "mini", **({"shard_bytes": 20_480} | options))
    with pytest.raises(StopError):
        convert(read_raw("coco", source[0], "mini"), open_folder(out), settings, stop_after(after))


def test_strict_also_sees_what_an_interrupted_run_refused(
    twenty_four: Source, tmp_path: Path, to_shards: ToShards
) -> None:
    interrupted(twenty_four, tmp_path / "out", after=20)
    with pytest.raises(ConversionError, match=r"strict: image 9\.jpg"):
        to_shards(twenty_four, tmp_path / "out", strict=True)


def test_finished_shards_are_not_written_again(twenty_four: Source, tmp_path: Path, to_shards: ToShards) -> None:
    out = tmp_path / "out"
    interrupted(twenty_four, out, after=20)
    before = {path.name: path.stat().st_ino for path in out.glob("*.tar")}
    assert len(before) >= 2
    to_shards(twenty_four, out)
    assert {name: (out / name).stat().st_ino for name in before} == before


def test_progress_counts_every_picture_once(twenty_four: Source, tmp_path: Path) -> None:
    interrupted(twenty_four, tmp_path / "out", after=15)
    counted: list[int] = []
    settings = ConversionSettings(twenty_four[1], "mini", shard_bytes=20_480)
    convert(read_raw("coco", twenty_four[0], "mini"), open_folder(tmp_path / "out"), settings, counted.append)
    assert sum(counted) == 24


def test_another_shard_size_after_an_interruption_leaves_no_stale_shards(
    twenty_four: Source, tmp_path: Path, to_shards: ToShards, contents: Contents
) -> None:
    interrupted(twenty_four, tmp_path / "out", after=22, shard_bytes=1)
    assert len(list((tmp_path / "out").glob("*.tar"))) > 15
    (tmp_path / "out" / "mini-notes.tar").write_bytes(b"mine")
    to_shards(twenty_four, tmp_path / "out", shard_bytes=51_200)
    to_shards(twenty_four, tmp_path / "fresh", shard_bytes=51_200)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh") | {"mini-notes.tar": b"mine"}


def test_a_picture_that_appeared_since_the_interruption_is_taken(
    twenty_four: Source, jpeg: Callable[..., bytes], tmp_path: Path, to_shards: ToShards, contents: Contents
) -> None:
    interrupted(twenty_four, tmp_path / "out", after=20)
    (twenty_four[1] / "9.jpg").write_bytes(jpeg((24 + 3 * 2, 30 + 5 * 4), 9))
    manifest = to_shards(twenty_four, tmp_path / "out")
    to_shards(twenty_four, tmp_path / "fresh")
    assert (manifest.images, manifest.rejected) == (24, 0)
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


def test_a_wrong_image_folder_can_be_corrected(
    twenty_four: Source, tmp_path: Path, to_shards: ToShards, contents: Contents
) -> None:
    with pytest.raises(ConversionError, match=r"none of the 24 images .* could be converted; the first: 1\.jpg"):
        to_shards((twenty_four[0], tmp_path / "wrong"), tmp_path / "out", shard_bytes=10**9)
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert to_shards(twenty_four, tmp_path / "out", shard_bytes=10**9).images == 23


def test_nothing_to_convert_is_an_error(source: Callable[..., Source], tmp_path: Path, to_shards: ToShards) -> None:
    with pytest.raises(ConversionError, match="none of the 0 images"):
        to_shards(source({}), tmp_path / "out")


def test_shards_whose_pictures_are_all_unusable_are_left_out(
    source: Callable[..., Source], jpeg: Callable[..., bytes], tmp_path: Path, to_shards: ToShards
) -> None:
    files = {"a.jpg": jpeg(), "b.jpg": b"text" * 4000, "c.jpg": jpeg(seed=1)}
    manifest = to_shards(source(files), tmp_path / "out", shard_bytes=1)
    assert [shard.tar for shard in manifest.shards] == ["mini-000000.tar", "mini-000002.tar"]
    assert len(open_dataset(tmp_path / "out").image_column("image_id").all()) == 2
    assert verify(open_folder(tmp_path / "out")) == []


def test_half_files_of_a_killed_run_go_before_new_ones_are_written(twenty_four: Source, tmp_path: Path) -> None:
    """They may be what filled the disk."""
    work = tmp_path / "out" / ".conversion"
    work.mkdir(parents=True)
    (work / "mini-000003.tar.partial").write_bytes(b"half")
    seen: list[list[str]] = []
    settings = ConversionSettings(twenty_four[1], "mini", shard_bytes=20_480)
    convert(
        read_raw("coco", twenty_four[0], "mini"),
        open_folder(tmp_path / "out"),
        settings,
        lambda count: seen.append([path.name for path in work.glob("*.partial")]),
    )
    assert "mini-000003.tar.partial" not in seen[0]


def test_a_finished_folder_is_left_alone(
    twenty_four: Source, tmp_path: Path, to_shards: ToShards, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = to_shards(twenty_four, tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    monkeypatch.setattr("sharding.tar_piece.read_image", lambda *_: pytest.fail("a picture was read"))
    assert to_shards(twenty_four, tmp_path / "out", shard_bytes=10**9, workers=3) == first
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()} == times


def test_what_a_kill_after_the_manifest_leaves_is_cleaned_up(
    twenty_four: Source, tmp_path: Path, to_shards: ToShards, contents: Contents
) -> None:
    to_shards(twenty_four, tmp_path / "out")
    before = contents(tmp_path / "out")
    (tmp_path / "out" / ".conversion").mkdir()
    (tmp_path / "out" / ".conversion" / "mini-000000.tar.partial").write_bytes(b"half")
    assert open_dataset(tmp_path / "out").num_images == 23
    to_shards(twenty_four, tmp_path / "out")
    assert contents(tmp_path / "out") == before
    assert not (tmp_path / "out" / ".conversion").exists()


def test_a_folder_of_something_else_is_refused(
    twenty_four: Source, tmp_path: Path, to_shards: ToShards, contents: Contents
) -> None:
    to_shards(twenty_four, tmp_path / "out")
    before = contents(tmp_path / "out")
    with pytest.raises(ConversionError, match="already holds coco mini"):
        to_shards(twenty_four, tmp_path / "out", split="other")
    twenty_four[0].write_text(twenty_four[0].read_text() + "\n")
    with pytest.raises(ConversionError, match=r"already holds coco mini from twenty_four\.json"):
        to_shards(twenty_four, tmp_path / "out")
    assert {name: data for name, data in contents(tmp_path / "out").items() if "conversion" not in name} == before


def test_a_second_conversion_at_once_is_refused(
    twenty_four: Source, tmp_path: Path, to_shards: ToShards, contents: Contents
) -> None:
    refusals = []

    def on_images(count: int) -> None:
        with pytest.raises(ConversionError, match="another conversion is writing to") as caught:
            to_shards(twenty_four, tmp_path / "out")
        refusals.append(caught.value)

    settings = ConversionSettings(twenty_four[1], "mini", shard_bytes=20_480, workers=2)
    convert(read_raw("coco", twenty_four[0], "mini"), open_folder(tmp_path / "out"), settings, on_images)
    to_shards(twenty_four, tmp_path / "fresh")
    assert len(refusals) > 20
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


@pytest.mark.parametrize("damage", ["{", '{"plan": 5}', "\xff"])
def test_a_damaged_state_file_means_doing_the_shard_again(
    twenty_four: Source, tmp_path: Path, to_shards: ToShards, contents: Contents, damage: str
) -> None:
    interrupted(twenty_four, tmp_path / "out", after=20)
    (tmp_path / "out" / ".conversion" / "shard-000000.json").write_text(damage, encoding="latin-1")
    (tmp_path / "out" / "mini-000001.arrow").unlink()
    to_shards(twenty_four, tmp_path / "out")
    to_shards(twenty_four, tmp_path / "fresh")
    assert contents(tmp_path / "out") == contents(tmp_path / "fresh")


@pytest.mark.parametrize("split", ["", "a/b", "../up"])
def test_a_split_that_is_no_file_name_is_refused(
    twenty_four: Source, tmp_path: Path, to_shards: ToShards, split: str
) -> None:
    with pytest.raises(ConversionError, match="split"):
        to_shards(twenty_four, tmp_path / "out", split=split)


def test_a_target_that_is_a_file_is_named(twenty_four: Source, tmp_path: Path, to_shards: ToShards) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(StorageError, match=r"cannot create .*out"):
        to_shards(twenty_four, tmp_path / "out")


def test_an_object_store_gets_the_same_files(
    twenty_four: Source, tmp_path: Path, to_shards: ToShards, contents: Contents
) -> None:
    """pyarrow's in-memory store takes the way that every remote store takes."""
    store = Folder("mock://bucket/mini", arrow_fs._MockFileSystem(), "bucket/mini")
    settings = ConversionSettings(twenty_four[1], "mini", shard_bytes=20_480)
    raw = read_raw("coco", twenty_four[0], "mini")
    with pytest.raises(StopError):
        convert(raw, store, settings, stop_after(15))
    manifest = convert(raw, store, settings)
    assert convert(raw, store, settings) == manifest == read_manifest(store)
    to_shards(twenty_four, tmp_path / "local")
    assert {name: store.read(name) for name in store.names()} == contents(tmp_path / "local")
    assert verify(store) == []


@pytest.mark.parametrize("dataset", ["coco", "mpii", "crowdpose"])
def test_manifest_counts(mini_shards: Callable[[str], Path], dataset: str) -> None:
    folder = open_folder(mini_shards(dataset))
    manifest = read_manifest(folder)
    rows = [row for sidecar in open_dataset(folder.path).sidecars for row in sidecar.to_pylist()]
    assert (manifest.dataset, manifest.split, manifest.rejected) == (dataset, "mini", 0)
    assert len(manifest.shards) > 1
    assert manifest.images == len(rows) == sum(shard.images for shard in manifest.shards)
    assert manifest.instances == sum(len(row["instances"]) for row in rows)


def test_the_digest_follows_every_change(twenty_four: Source, tmp_path: Path, to_shards: ToShards) -> None:
    first = to_shards(twenty_four, tmp_path / "a")
    assert first.digest() == to_shards(twenty_four, tmp_path / "b", workers=2).digest()
    path = twenty_four[1] / "3.jpg"
    path.write_bytes(path.read_bytes() + b"\0")
    assert to_shards(twenty_four, tmp_path / "c").digest() != first.digest()
    shutil.rmtree(tmp_path / "c")

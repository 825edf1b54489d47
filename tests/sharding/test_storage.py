"""Storage: what URIs mean, and that a file appears whole or not at all."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow import fs as arrow_fs

from pose.errors import UserError
from sharding.storage import Folder, RetryPolicy, StorageError, open_folder


def memory_store() -> Folder:
    """pyarrow's in-memory file system, which takes the way of every remote store."""
    filesystem = arrow_fs._MockFileSystem()
    filesystem.create_dir("bucket/a")
    return Folder("mock://bucket/a", filesystem, "bucket/a")


@pytest.fixture(params=["local", "remote"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    return open_folder(tmp_path / "target") if request.param == "local" else memory_store()


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    (tmp_path / "scratch").mkdir()
    return tmp_path / "scratch"


def test_local_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for text in ("x y/val", "./x y/val", "~/x y/val", str(tmp_path / "x y/val") + "/", "q/../x y/val"):
        folder = open_folder(text)
        assert folder.local == tmp_path / "x y/val"
        assert folder.name == "val"
    assert open_folder((tmp_path / "x y/val").as_uri()).local == tmp_path / "x y/val"
    assert open_folder("größe:1/val").local == tmp_path / "größe:1/val"


@pytest.mark.parametrize(
    ("uri", "path"), [("gs://bucket/a/val", "bucket/a/val"), ("gs://bucket/a/val/", "bucket/a/val"), ("mock:///a", "a")]
)
def test_object_stores_are_not_local(uri: str, path: str) -> None:
    folder = open_folder(uri)
    assert (folder.local, folder.path, folder.name) == (None, path, path.rsplit("/", 1)[-1])
    assert folder.location("b.tar") == uri.rstrip("/") + "/b.tar"


@pytest.mark.parametrize("uri", ["foo://bucket/x", "http://host/x", "://x", "file://relative/x", "gs://bucket/a b"])
def test_uris_of_no_known_kind_are_named(uri: str) -> None:
    with pytest.raises(StorageError, match=f"cannot open {uri}"):
        open_folder(uri)
    assert issubclass(StorageError, UserError)


def test_what_is_written_is_read(folder: Folder, scratch: Path) -> None:
    folder.create()
    folder.create()
    for content in (b"first", b"", b"second, longer"):
        with folder.write("x.bin", scratch) as file:
            file.write(content)
            assert folder.size("x.bin") != len(content) or not content
        assert folder.read("x.bin") == content
        assert folder.memory_map("x.bin").to_pybytes() == content
        assert folder.size("x.bin") == len(content)
    assert folder.exists("x.bin")
    assert folder.names() == ["x.bin"]
    assert list(scratch.iterdir()) == []
    folder.delete_file("x.bin")
    assert (folder.exists("x.bin"), folder.size("x.bin"), folder.names()) == (False, None, [])


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit, OSError])
def test_an_exception_while_writing_leaves_what_was_there(
    folder: Folder, scratch: Path, error: type[BaseException]
) -> None:
    folder.create()

    def write_half(name: str) -> None:
        with folder.write(name, scratch) as file:
            file.write(b"half")
            raise error

    with pytest.raises(error):
        write_half("new.bin")
    with folder.write("old.bin", scratch) as file:
        file.write(b"whole")
    with pytest.raises(error):
        write_half("old.bin")
    assert folder.names() == ["old.bin"]
    assert folder.read("old.bin") == b"whole"
    assert list(scratch.iterdir()) == []


def write_whole(folder: Folder, scratch: Path) -> None:
    with folder.write("x.bin", scratch) as file:
        file.write(b"whole")


def test_a_file_is_on_disk_before_and_after_its_renaming(
    tmp_path: Path, scratch: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a power cut can leave a name without its content."""
    calls: list[str] = []
    replace = os.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append(os.readlink(f"/proc/self/fd/{descriptor}")))
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("rename"), replace(*names)))
    write_whole(open_folder(tmp_path), scratch)
    assert calls == [str(scratch / "x.bin.partial"), "rename", str(tmp_path)]


class BrokenStream:
    """Takes what is written, fails when it is closed; like many stores, it keeps what it had got."""

    def __init__(self, filesystem: arrow_fs.FileSystem, path: str, counts: list[int]) -> None:
        self.out, self.counts = filesystem.open_output_stream(path), counts

    def __enter__(self) -> "BrokenStream":
        return self

    def write(self, data: bytes) -> None:
        self.out.write(memoryview(data)[: len(data) // 2])

    def __exit__(self, *error: object) -> None:
        self.out.close()
        self.counts.append(1)
        raise OSError("connection reset")


def test_a_failed_upload_leaves_no_half_object(scratch: Path) -> None:
    """Closing pyarrow's stream completes an upload, even when an exception closes it."""
    counts: list[int] = []

    class BrokenStore:
        def open_output_stream(self, path: str) -> BrokenStream:
            return BrokenStream(folder.filesystem, path, counts)

    folder = replace(memory_store(), uploads=BrokenStore(), retry=RetryPolicy(attempts=3, first_wait_s=0))
    with pytest.raises(StorageError, match=r"cannot write mock://bucket/a/x\.bin: 3 attempts .* connection reset"):
        write_whole(folder, scratch)
    assert len(counts) == 3
    assert folder.names() == []


def test_a_full_disk_is_named(scratch: Path, folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    folder.create()
    monkeypatch.setattr("sharding.storage.os.fsync", full)
    with pytest.raises(StorageError, match=r"cannot write .*x\.bin: .*No space left"):
        write_whole(folder, scratch)
    assert folder.names() == []


def test_absent_files_are_named(folder: Folder) -> None:
    for read in (folder.open, folder.read, folder.memory_map):
        with pytest.raises(StorageError, match=r"cannot open .*absent\.bin"):
            read("absent.bin")


def test_a_folder_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "absent")
    assert (folder.names(), folder.exists("x"), folder.size("x")) == ([], False, None)
    folder.delete_folder("x")


def test_a_file_in_place_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"cannot look into .*file"):
        open_folder(tmp_path / "file").names()
    with pytest.raises(StorageError, match=r"cannot create .*file"):
        open_folder(tmp_path / "file").create()


def test_folders_are_no_files(folder: Folder) -> None:
    folder.subfolder("sub").create()
    assert (folder.names(), folder.exists("sub"), folder.size("sub")) == ([], False, None)
    folder.delete_folder("sub")
    assert folder.subfolder("sub").names() == []


def test_ranges_are_the_same_locally_and_remotely(folder: Folder, scratch: Path) -> None:
    content = bytes(range(256)) * 1000
    folder.create()
    with folder.write("x.bin", scratch) as file:
        file.write(content)
    ranges = folder.ranges("x.bin", len(content), piece_bytes=50_000)
    for offset, count in ((0, len(content)), (0, 0), (len(content), 0), (255_999, 1), (49_999, 100_001)):
        assert ranges.read(offset, count).to_pybytes() == content[offset : offset + count]
    assert ranges.size == len(content)
    for offset, count in ((255_999, 2), (-1, 2), (3, -1)):
        with pytest.raises(StorageError, match=rf"cannot read .*x\.bin, bytes {offset} to .*has 256000"):
            ranges.read(offset, count)
    with pytest.raises(StorageError, match=r"x\.bin has 256000 bytes, not 7"):
        folder.ranges("x.bin", 7).read(0, 1)
    with pytest.raises(StorageError, match=r"cannot .*absent\.bin"):
        folder.ranges("absent.bin", 7).read(0, 1)
    assert folder.stream("x.bin").read() == folder.open("x.bin").read() == content


def test_deleting_twice_is_fine(folder: Folder, scratch: Path) -> None:
    folder.create()
    write_whole(folder, scratch)
    folder.delete_file("x.bin")
    folder.delete_file("x.bin")
    assert folder.names() == []


def test_a_mapped_file_is_not_read(tmp_path: Path, scratch: Path) -> None:
    """Replacing the content through the same file shows in the mapping: nothing was copied."""
    folder = open_folder(tmp_path)
    (tmp_path / "x.bin").write_bytes(b"before")
    mapped = folder.memory_map("x.bin")
    with (tmp_path / "x.bin").open("r+b") as file:
        file.write(b"after!")
    assert mapped.to_pybytes() == b"after!"

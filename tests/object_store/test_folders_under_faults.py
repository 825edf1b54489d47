"""Every call of a Folder: retried where that helps, an error that says all where it does not."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from object_store.faults import Fault, Request, Reset, Script, Shorter, Stall, Status, on_every, on_first, when
from object_store.store import ObjectStore

from sharding.retry import RetryPolicy, StorageError
from sharding.storage import Folder, open_folder

QUICK = RetryPolicy(attempts=4, first_wait_s=0.01, longest_wait_s=0.05, timeout_s=0.3)
BIG = bytes(range(256)) * 48_000  # 12 MB: two parts of an upload


def folder(store: ObjectStore, retry: RetryPolicy = QUICK) -> Folder:
    return open_folder(store.uri("folder"), retry)


def write(target: Folder, scratch: Path, content: bytes, name: str = "x.bin") -> None:
    with target.write(name, scratch) as file:
        file.write(content)


def on_first_requests(count: int, fault: Fault) -> Script:
    """Of any method."""
    seen: list[Request] = []

    def script(request: Request) -> Fault | None:
        seen.append(request)
        return fault if len(seen) <= count else None

    return script


CALLS: dict[str, Callable[[Folder, Path], Any]] = {
    "exists": lambda target, scratch: target.exists("x.bin"),
    "size": lambda target, scratch: target.size("x.bin"),
    "names": lambda target, scratch: target.names(),
    "read": lambda target, scratch: target.read("x.bin"),
    "memory_map": lambda target, scratch: target.memory_map("x.bin").to_pybytes(),
    "open": lambda target, scratch: target.open("x.bin").read(),
    "stream": lambda target, scratch: target.stream("x.bin").read(),
    "create": lambda target, scratch: target.create(),
    "delete_file": lambda target, scratch: target.delete_file("x.bin"),
    "delete_folder": lambda target, scratch: target.delete_folder("sub"),
    "write": lambda target, scratch: write(target, scratch, b"content", "y.bin"),
}


def fill(store: ObjectStore) -> None:
    store.put("folder/x.bin", b"content")
    store.put("folder/sub/z.bin", b"z")


@pytest.mark.parametrize("fault", [Status(503), Stall(5), pytest.param(Reset(0), marks=pytest.mark.slow)], ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_some_faults_do_not_show(object_store: ObjectStore, tmp_path: Path, name: str, fault: Fault) -> None:
    fill(object_store)
    expected = CALLS[name](folder(object_store), tmp_path)
    left = object_store.names()
    fill(object_store)
    count = 1 if isinstance(fault, Stall) else 2
    object_store.proxy.script = on_first_requests(count, fault)
    assert CALLS[name](folder(object_store), tmp_path) == expected
    assert object_store.proxy.faults.total() == count
    assert object_store.names() == left


@pytest.mark.parametrize("name", CALLS)
def test_errors_at_the_end_say_all(object_store: ObjectStore, tmp_path: Path, name: str) -> None:
    fill(object_store)
    object_store.proxy.script = lambda request: Status(503)
    started = time.monotonic()
    with pytest.raises(StorageError) as caught:
        CALLS[name](folder(object_store), tmp_path)
    assert time.monotonic() - started < QUICK.longest_s + 3
    assert f"s3://{object_store.bucket}/folder" in str(caught.value)
    assert "4 attempts in " in str(caught.value)
    assert "HTTP status 503" in str(caught.value)


@pytest.mark.parametrize("name", CALLS)
def test_forbidden_is_said_at_once(object_store: ObjectStore, tmp_path: Path, name: str) -> None:
    fill(object_store)
    target = folder(object_store)
    object_store.proxy.script = lambda request: Status(403)
    with pytest.raises(StorageError, match=r"cannot .*folder.*ACCESS_DENIED") as caught:
        CALLS[name](target, tmp_path)
    assert object_store.proxy.requests <= 2  # writing then looks whether a half is to be cleared away
    assert "attempts" not in str(caught.value)


@pytest.mark.parametrize("name", ["read", "memory_map", "open", "stream"])
def test_absent_files_cost_one_request(object_store: ObjectStore, tmp_path: Path, name: str) -> None:
    object_store.put("folder/other.bin", b"")
    with pytest.raises(StorageError, match=r"cannot open .*folder/x\.bin\?.*does not exist"):
        CALLS[name](folder(object_store), tmp_path)
    assert object_store.proxy.requests == 1


@pytest.mark.parametrize("name", ["read", "memory_map"])
def test_small_files_cost_two_requests(object_store: ObjectStore, tmp_path: Path, name: str) -> None:
    fill(object_store)
    assert CALLS[name](folder(object_store), tmp_path) == b"content"
    assert [request.method for request in object_store.proxy.log] == ["HEAD", "GET"]


def test_an_absent_bucket_is_said_at_once(object_store: ObjectStore, tmp_path: Path) -> None:
    target = open_folder(object_store.uri("folder").replace(object_store.bucket, "no-such-bucket"), QUICK)
    for call in (lambda: target.read("x.bin"), target.create, lambda: write(target, tmp_path, b"x")):
        object_store.proxy.reset_counts()
        with pytest.raises(StorageError, match="no-such-bucket"):
            call()
        assert object_store.proxy.requests <= 3


def test_wrong_lengths_of_small_files_are_noticed(object_store: ObjectStore) -> None:
    fill(object_store)
    object_store.proxy.script = on_first(2, Shorter(3))
    assert folder(object_store).read("x.bin") == b"content"


def test_a_stream_reads_ahead_in_large_pieces(object_store: ObjectStore) -> None:
    object_store.put("folder/big.bin", BIG)
    object_store.proxy.script = on_every(3, Reset(300_000))
    stream, content = folder(object_store).stream("big.bin"), bytearray()
    while chunk := stream.read(10_240):
        content += chunk
    assert content == BIG
    assert object_store.proxy.reads < 100
    file = folder(object_store).open("big.bin")
    assert file.size() == len(BIG)
    assert file.read_at(1000, 5_000_000) == BIG[5_000_000:5_001_000]
    file.seek(11_999_000)
    assert file.read() == BIG[11_999_000:]


def test_slow_calls_do_not_pile_up_for_ever(object_store: ObjectStore) -> None:
    """A server that takes a connection and says nothing."""
    fill(object_store)
    target = folder(object_store, RetryPolicy(attempts=2, first_wait_s=0, timeout_s=0.4))
    object_store.proxy.script = lambda request: Stall(30)
    started = time.monotonic()
    with pytest.raises(StorageError, match=r"2 attempts in \d\.\d s failed, the last: no result within 0\.4 s"):
        target.size("x.bin")
    assert time.monotonic() - started < 5
    object_store.proxy.script = lambda request: None
    assert folder(object_store).size("x.bin") == 7


def test_an_upload_whose_answer_is_lost_is_complete(object_store: ObjectStore, tmp_path: Path) -> None:
    object_store.proxy.script = lambda request: Stall(5) if request.method in ("PUT", "POST") else None
    with pytest.raises(StorageError, match=r"cannot write .*y\.bin.*no result within"):
        write(folder(object_store), tmp_path, b"content", "y.bin")
    assert object_store.names() in ([], ["folder/y.bin"])
    if object_store.names():
        assert object_store.get("folder/y.bin") == b"content"


def test_large_uploads_may_take_longer(object_store: ObjectStore, tmp_path: Path) -> None:
    """The time for one attempt grows with the bytes; a part's answer is later here than a small request may be."""
    target = folder(object_store, RetryPolicy(attempts=1, timeout_s=1.0))
    object_store.proxy.script = when(lambda request: "partNumber" in request.query, Stall(1.3), "PUT")
    write(target, tmp_path, BIG)
    assert object_store.get("folder/x.bin") == BIG


@pytest.mark.parametrize("fault", [Reset(100_000), Reset(0), Status(503)], ids=str)
def test_parts_of_an_upload_are_sent_again(object_store: ObjectStore, tmp_path: Path, fault: Fault) -> None:
    target = folder(object_store, RetryPolicy(first_wait_s=0.01, timeout_s=20))
    object_store.proxy.script = on_first(2, fault, "PUT")
    write(target, tmp_path, BIG)
    assert object_store.get("folder/x.bin") == BIG
    assert list(tmp_path.iterdir()) == []
    puts = [request.query.split("&")[0] for request in object_store.proxy.log if request.method == "PUT"]
    assert len(puts) <= 2 + 2  # the whole is not sent again


@pytest.mark.parametrize("part", ["partNumber=2", "uploadId"], ids=["second part", "completion"])
def test_an_upload_that_fails_half_way_leaves_nothing(object_store: ObjectStore, tmp_path: Path, part: str) -> None:
    target = folder(object_store, RetryPolicy(attempts=2, first_wait_s=0.01, timeout_s=20))
    method = "PUT" if part.startswith("part") else "POST"
    object_store.proxy.script = when(lambda request: part in request.query, Status(503), method)
    with pytest.raises(StorageError, match=r"cannot write s3://.*/folder/x\.bin\?.*2 attempts in .*503"):
        write(target, tmp_path, BIG)
    assert object_store.proxy.faults.total() >= 4
    assert object_store.names() == []
    assert list(tmp_path.iterdir()) == []


def test_a_failed_upload_keeps_the_object_that_was_there(object_store: ObjectStore, tmp_path: Path) -> None:
    object_store.put("folder/x.bin", BIG[::-1])
    object_store.proxy.script = on_every(1, Status(503), "PUT")
    with pytest.raises(StorageError, match="503"):
        write(folder(object_store, RetryPolicy(attempts=2, first_wait_s=0.01)), tmp_path, BIG)
    assert object_store.get("folder/x.bin") == BIG[::-1]


def test_small_objects_are_one_request(object_store: ObjectStore, tmp_path: Path) -> None:
    write(folder(object_store), tmp_path, b"content")
    assert [request.method for request in object_store.proxy.log] == ["PUT"]
    write(folder(object_store), tmp_path, b"", "empty.bin")
    assert object_store.get("folder/empty.bin") == b""

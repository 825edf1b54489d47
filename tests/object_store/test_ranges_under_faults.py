"""Ranges of a remote file: the right bytes through every fault, little fetched twice, an error in bounded time."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from object_store.faults import (
    CutOff,
    Fault,
    Request,
    Reset,
    Shorter,
    Stall,
    Status,
    Trickle,
    WrongBytes,
    at_rate,
    never,
    on_every,
    on_first,
    when,
)
from object_store.store import ACCESS_KEY, ObjectStore

from sharding.retry import RetryPolicy, StorageError
from sharding.storage import RangeReader, open_folder

QUICK = RetryPolicy(attempts=4, first_wait_s=0.01, longest_wait_s=0.05, timeout_s=0.3)
CONTENT = random.Random(5).randbytes(3_000_000)
PIECE = 512 << 10

FAULTS = [
    *(Reset(0), Reset(50_000), CutOff(0), CutOff(50_000), Shorter(1), Shorter(10_000)),
    *(Status(500), Status(503), Status(429), Status(408), Stall(20), Stall(20, 50_000), Trickle(10_000)),
]


def reader(store: ObjectStore, retry: RetryPolicy = QUICK, content: bytes = CONTENT) -> RangeReader:
    store.put("folder/x.bin", content)
    return open_folder(store.uri("folder"), retry).ranges("x.bin", len(content), PIECE)


def test_undisturbed_reading_costs_one_look_and_every_byte_once(object_store: ObjectStore) -> None:
    ranges = reader(object_store)
    assert object_store.proxy.requests == 0
    assert ranges.read(0, len(CONTENT)).to_pybytes() == CONTENT
    assert ranges.read(1_000_000, 77).to_pybytes() == CONTENT[1_000_000:1_000_077]
    assert ranges.read(5, 0).to_pybytes() == b""
    proxy = object_store.proxy
    assert [request.method for request in proxy.log] == ["HEAD"] + ["GET"] * 7
    assert proxy.body_bytes == ranges.bytes_fetched == len(CONTENT) + 77
    assert proxy.reads == ranges.requests == 7


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_on_some_requests_does_not_show(object_store: ObjectStore, fault: Fault) -> None:
    object_store.proxy.script = when(lambda request: request.number in (0, 3), fault)
    assert reader(object_store).read(1000, 1_000_000).to_pybytes() == CONTENT[1000:1_001_000]
    assert object_store.proxy.faults[type(fault).__name__] == 2


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_fault_on_every_request_is_an_error_in_bounded_time(object_store: ObjectStore, fault: Fault) -> None:
    ranges = reader(object_store)
    object_store.proxy.script = on_every(1, fault)
    started = time.monotonic()
    with pytest.raises(StorageError) as caught:
        ranges.read(1000, 2_000_000)
    assert time.monotonic() - started < QUICK.longest_s + 3
    message = str(caught.value)
    assert f"s3://{object_store.bucket}/folder/x.bin?" in message
    assert "bytes 1000 to " in message
    assert "4 attempts in" in message
    expected = {
        "Reset": "reset",
        "CutOff": "partial file|empty reply",
        "Shorter": "fewer than the",
        "Status": f"HTTP status {getattr(fault, 'code', 0)}",
    }
    words = expected.get(type(fault).__name__, "no result within 0.3 s|Operation too slow").lower()
    assert any(word in message.lower() for word in words.split("|")), message
    assert object_store.proxy.faults.total() >= 4


def test_retries_ask_for_quarters(object_store: ObjectStore) -> None:
    ranges = reader(object_store)
    object_store.proxy.script = when(lambda request: request.stop - request.start > 70_000, Reset(70_000))
    assert ranges.read(0, PIECE).to_pybytes() == CONTENT[:PIECE]
    sizes = [request.stop - request.start for request in object_store.proxy.log if request.reads_object]
    assert sizes == [PIECE, PIECE // 4] + [65536] * 8


def test_a_connection_that_never_lives_long_wastes_little(object_store: ObjectStore) -> None:
    """The reader remembers how much is safe to ask for, and asks for more again when the faults have ended."""
    ranges = reader(object_store)
    object_store.proxy.script = when(lambda request: request.stop - request.start > 200_000, Reset(200_000))
    assert ranges.read(0, len(CONTENT)).to_pybytes() == CONTENT
    assert object_store.proxy.body_bytes < 1.3 * len(CONTENT)
    object_store.proxy.script = never
    for _ in range(4):
        ranges.read(0, len(CONTENT))
    object_store.proxy.reset_counts()
    ranges.read(0, len(CONTENT))
    assert object_store.proxy.reads == 6


def test_many_threads_through_random_faults(object_store: ObjectStore) -> None:
    ranges = reader(object_store)
    faults = [Reset(20_000), CutOff(9_000), Shorter(1), Status(503), Stall(20), Trickle(5_000)]
    object_store.proxy.script = at_rate(0.15, faults, seed=3)
    places = [(offset, min(40_000 + offset % 7001, len(CONTENT) - offset)) for offset in range(0, len(CONTENT), 47_001)]
    with ThreadPoolExecutor(8) as pool:
        for (offset, count), content in zip(places, pool.map(lambda place: ranges.read(*place), places), strict=True):
            assert content.to_pybytes() == CONTENT[offset : offset + count]
    assert len(object_store.proxy.faults) >= 5
    assert object_store.proxy.body_bytes <= 1.1 * sum(count for _, count in places)


def test_the_same_seed_does_the_same_faults(object_store: ObjectStore) -> None:
    counts = []
    for _ in range(2):
        object_store.proxy.reset_counts()
        object_store.proxy.script = at_rate(0.3, [Reset(20_000), Status(503)], seed=1)
        ranges = reader(object_store, RetryPolicy(attempts=9, first_wait_s=0.01, longest_wait_s=0.02))
        for offset in range(0, 1_000_000, 50_000):
            ranges.read(offset, 50_000)
        counts.append(dict(object_store.proxy.faults))
    assert counts[0] == counts[1]
    assert sum(counts[0].values()) > 5


@pytest.mark.parametrize("last", range(0xA5, 0xAA))
def test_short_answers_are_noticed_whatever_the_last_byte_is(object_store: ObjectStore, last: int) -> None:
    content = CONTENT[:9_999] + bytes([last])
    ranges = reader(object_store, content=content)
    assert ranges.read(0, 10_000).to_pybytes() == content
    object_store.proxy.script = on_first(3, Shorter(1))
    assert ranges.read(0, 10_000).to_pybytes() == content
    object_store.proxy.script = on_every(1, Shorter(1))
    with pytest.raises(StorageError, match="fewer than the 10000 bytes"):
        ranges.read(0, 10_000)


def test_a_store_that_is_always_slow_is_an_error_in_bounded_time(object_store: ObjectStore) -> None:
    """No single request is late, once they are small."""
    ranges = reader(object_store, RetryPolicy(attempts=3, first_wait_s=0, timeout_s=0.5))
    object_store.proxy.script = on_every(1, Trickle(200_000))
    started = time.monotonic()
    with pytest.raises(StorageError, match=r"bytes \d+ to \d+: .* in \d\.\d s .*: the store is too slow"):
        ranges.read(0, PIECE)
    assert time.monotonic() - started < 5
    assert ranges.bytes_fetched > 0


def test_failures_of_small_ranges_say_nothing_about_large_ones(object_store: ObjectStore) -> None:
    ranges = reader(object_store)
    object_store.proxy.script = on_first(2, Reset(100))
    ranges.read(0, 1000)
    object_store.proxy.script = never
    object_store.proxy.reset_counts()
    ranges.read(0, PIECE)
    assert object_store.proxy.reads == 1


def test_flipped_bytes_pass_since_only_checksums_can_tell(object_store: ObjectStore) -> None:
    ranges = reader(object_store)
    object_store.proxy.script = on_first(1, WrongBytes(at=3, count=2))
    wrong = ranges.read(0, 10).to_pybytes()
    assert wrong == CONTENT[:3] + bytes([CONTENT[3] ^ 0xFF, CONTENT[4] ^ 0xFF]) + CONTENT[5:10]


@pytest.mark.parametrize(("offset", "count"), [(0, 3_000_001), (3_000_000, 1), (-1, 5), (5, -1), (9_000_000, 0)])
def test_ranges_beyond_the_end_are_an_error_at_once(object_store: ObjectStore, offset: int, count: int) -> None:
    with pytest.raises(StorageError, match=rf"x\.bin\?.*, bytes {offset} to {offset + count}: the file has 3000000"):
        reader(object_store).read(offset, count)
    assert object_store.proxy.requests == 0


@pytest.mark.parametrize(("status", "word"), [(403, "ACCESS_DENIED"), (404, "RESOURCE_NOT_FOUND"), (400, "400")])
def test_what_no_retry_mends_is_raised_at_once(object_store: ObjectStore, status: int, word: str) -> None:
    object_store.proxy.script = on_every(1, Status(status))
    with pytest.raises(StorageError, match=rf"x\.bin.*bytes 0 to 10: .*{word}"):
        reader(object_store).read(0, 10)
    assert object_store.proxy.reads == 1


def test_a_file_of_another_size_is_named(object_store: ObjectStore) -> None:
    object_store.put("folder/x.bin", CONTENT[:100])
    ranges = open_folder(object_store.uri("folder"), QUICK).ranges("x.bin", 99)
    with pytest.raises(StorageError, match=r"x\.bin\?.* has 100 bytes, not 99"):
        ranges.read(0, 10)
    assert object_store.proxy.requests == 1


def test_a_missing_file_is_named(object_store: ObjectStore) -> None:
    ranges = open_folder(object_store.uri("folder"), QUICK).ranges("absent.bin", 99)
    with pytest.raises(StorageError, match=r"cannot read .*/folder/absent\.bin\?.*, bytes 0 to 10: .*does not exist"):
        ranges.read(0, 10)
    assert object_store.proxy.requests == 1


def test_faults_when_opening_are_retried_too(object_store: ObjectStore) -> None:
    ranges = reader(object_store)
    object_store.proxy.script = on_first(3, Status(503), "HEAD")
    assert ranges.read(0, 10).to_pybytes() == CONTENT[:10]
    assert object_store.proxy.faults["Status"] == 3


def test_the_proxy_tells_what_was_asked(object_store: ObjectStore) -> None:
    reader(object_store).read(10, 20)
    key = f"{object_store.bucket}/folder/x.bin"
    head, get = object_store.proxy.log
    assert head == Request(0, "HEAD", key, "", access_key=ACCESS_KEY)
    assert get == Request(0, "GET", key, "", 10, 30, access_key=ACCESS_KEY)

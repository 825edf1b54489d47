"""Whole epochs from an S3 server, through a proxy that does to them what networks do."""

import hashlib
import multiprocessing
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from object_store.faults import CutOff, Reset, Shorter, Stall, Status, Trickle, WrongBytes, at_rate, when

from pipelines.augmentation import Augmentation
from pipelines.samples import annotated_samples
from pipelines.settings import ReadSettings
from pipelines.topdown import TopDownLoader, TopDownSettings
from sharding.dataset import BrokenShardError, open_dataset
from sharding.retry import RetryPolicy, StorageError
from sharding.storage import Folder

pytestmark = pytest.mark.timeout(180)

PATIENT = RetryPolicy(attempts=6, first_wait_s=0.01, longest_wait_s=0.1, timeout_s=1.0)
EVERYTHING = Augmentation(0.35, 45, 0.6, 0.5, 0.3, translation_factor=0.1)
WINDOW = 16
PIECE = 128 << 10


@pytest.fixture(scope="module")
def noisy(write_split, painted, encode):
    """Forty pictures of noise of 190 KB, two or three persons each, in four tars of two megabytes."""
    rng = np.random.default_rng(0)
    pictures = []
    for number in range(40):
        data = encode(rng.integers(0, 256, (256, 248, 3), dtype=np.uint8), "PNG")
        persons = [([20 * k, 10, 90, 180], np.tile([60.0 + 20 * k, 90.0, 2.0], (17, 1))) for k in range(2 + number % 2)]
        pictures.append(painted(data, (256, 248), persons))
    split = write_split(pictures, shard_bytes=2_000_000)
    assert len(split.manifest.shards) == 4
    return split


@pytest.fixture
def uri(noisy, object_store):
    """The same split in the object store, behind the proxy."""
    found = object_store.put_folder(Path(noisy.folder.path), "coco/noisy")
    object_store.proxy.reset_counts()
    return found


@pytest.fixture(autouse=True)
def small_pieces(monkeypatch):
    """Requests in proportion to this small split, as 4 MiB are to a real one."""
    ranges = Folder.ranges
    monkeypatch.setattr(Folder, "ranges", lambda folder, name, size=None: ranges(folder, name, size, PIECE))


def make(split, make_loader, **options):
    options = {"augmentation": EVERYTHING, "batch_size": 12, "window": WINDOW, "seed": 3} | options
    return make_loader(annotated_samples(split), **options)


def fingerprints(loader, epochs=1):
    """What each batch is, crops included."""
    found = []
    for _ in range(epochs):
        for batch in loader:
            digest = hashlib.sha256()
            for name in ("crops", "keypoints", "image_to_crop", "instance_ids", "valid"):
                digest.update(getattr(batch, name).contiguous().numpy().tobytes())
            found.append(digest.hexdigest())
    return found


@pytest.fixture
def expected(noisy, make_loader):
    """Two epochs from the local split."""
    return fingerprints(make(noisy, make_loader), epochs=2)


def picture_bytes(split):
    return int(split.image_column("size").all().sum())


@pytest.mark.parametrize("shuffle", ["image", "instance"])
@pytest.mark.parametrize("window", [0, 8, WINDOW])
def test_the_same_batches_as_from_a_local_folder(uri, noisy, make_loader, object_store, shuffle, window):
    options = {"shuffle": shuffle, "window": window}
    local = fingerprints(make(noisy, make_loader, **options), epochs=2)
    split = open_dataset(uri, PATIENT)
    object_store.proxy.reset_counts()
    assert fingerprints(make(split, make_loader, **options, epochs=2), epochs=2) == local
    assert object_store.proxy.body_bytes <= 2 * 1.02 * picture_bytes(noisy)


def test_the_window_is_chosen_by_where_the_shards_lie(uri, noisy, make_loader):
    assert make(noisy, make_loader, window=None).plan.window == 0
    assert make(open_dataset(uri, PATIENT), make_loader, window=None).plan.window == 2048


FAULTS = {
    "resets in the middle of a body": [Reset(40_000)],
    "short reads": [CutOff(50_000)],
    "answers that are too short": [Shorter(3)],
    "503": [Status(503)],
    "500": [Status(500)],
    "stalls": [Stall(30, after=1000)],
    "stalls before the answer": [Stall(30)],
    "slow trickle": [Trickle(2000)],
    "wrong bytes": [WrongBytes(at=30_000, count=3)],
}
FAULTS["all of them"] = [faults[0] for faults in FAULTS.values()]


@pytest.mark.parametrize("faults", list(FAULTS))
def test_an_epoch_completes_in_spite_of(uri, noisy, make_loader, object_store, expected, faults):
    rate = 0.04
    object_store.proxy.script = at_rate(rate, FAULTS[faults], seed=1)
    split = open_dataset(uri, PATIENT)
    object_store.proxy.reset_counts()
    assert fingerprints(make(split, make_loader, epochs=2), epochs=2) == expected
    assert sum(object_store.proxy.faults.values()) > 2
    assert object_store.proxy.body_bytes <= 1.1 * 2 * picture_bytes(noisy)


def test_a_burst_of_503_passes(uri, make_loader, object_store, expected):
    split = open_dataset(uri, PATIENT)
    split = replace(split, folder=replace(split.folder, retry=replace(PATIENT, first_wait_s=0.1, longest_wait_s=0.5)))
    begun = time.monotonic()
    object_store.proxy.script = lambda request: Status(503) if time.monotonic() - begun < 0.25 else None
    assert fingerprints(make(split, make_loader, epochs=1)) == expected[: len(expected) // 2]
    assert object_store.proxy.faults["Status"] > 0


@pytest.mark.parametrize(
    ("fault", "cause"),
    [(Status(503), "503"), (Reset(100), "."), (Stall(60), "no result within"), (Trickle(100), "no result within")],
)
def test_what_never_mends_is_an_error_in_bounded_time(uri, make_loader, object_store, fault, cause):
    """It names the URI, the attempts and the cause, after the batches that could be read."""
    policy = RetryPolicy(attempts=3, first_wait_s=0.01, longest_wait_s=0.05, timeout_s=0.5)
    split = open_dataset(uri, policy)
    object_store.proxy.script = when(lambda request: request.key.endswith("000002.tar"), fault)
    started = time.monotonic()
    with pytest.raises(StorageError, match=rf"noisy/split-000002\.tar.*3 attempts in .*{cause}"):
        fingerprints(make(split, make_loader))
    assert time.monotonic() - started < 15


def test_bytes_that_are_wrong_where_they_lie_are_named(uri, noisy, make_loader, object_store):
    tar = object_store.get("coco/noisy/split-000001.tar")
    row = int(np.flatnonzero(noisy.image_column("offset").shard_of(np.arange(40)) == 1)[2])
    offset = int(noisy.image_column("offset").all()[row])
    broken = tar[: offset + 500] + bytes([tar[offset + 500] ^ 1]) + tar[offset + 501 :]
    object_store.put("coco/noisy/split-000001.tar", broken)
    split = open_dataset(uri, PATIENT)
    with pytest.raises(BrokenShardError, match=rf"split-000001.tar.*: {100 + row:012d}: .*crc32"):
        fingerprints(make(split, make_loader))
    loader = make(split, make_loader, on_bad_sample="skip", max_bad_share=0.1)
    fingerprints(loader)
    assert loader.bad_samples.count == 2 + row % 2


def test_a_cut_off_object_is_named(uri, make_loader, object_store):
    object_store.put("coco/noisy/split-000001.tar", object_store.get("coco/noisy/split-000001.tar")[:700_000])
    split = open_dataset(uri, PATIENT)
    with pytest.raises(BrokenShardError, match=r"split-000001.tar.*: the shard has 700000 bytes, the manifest says"):
        fingerprints(make(split, make_loader))
    loader = make(split, make_loader, on_bad_sample="skip", max_bad_share=0.5)
    fingerprints(loader)
    assert 5 < loader.bad_samples.count < 25


@pytest.mark.parametrize("start", [0, 3, 7, 8, 10])
def test_resuming_reads_only_what_is_needed(uri, noisy, make_loader, object_store, expected, start):
    loader = make(open_dataset(uri, PATIENT), make_loader, epochs=2)
    loader.load_state_dict({"step": start, "window": WINDOW})
    object_store.proxy.reset_counts()
    steps = len(loader)
    rest = fingerprints(loader, epochs=2 - start // steps)
    assert rest == expected[start:]
    rows = annotated_samples(noisy).image_rows
    needed = 0
    for epoch in (0, 1):
        planned = [loader.plan.batch(step).samples for step in range(max(start, epoch * steps), (epoch + 1) * steps)]
        if planned:
            samples = np.concatenate(planned)
            needed += int(noisy.image_column("size").take(np.unique(rows[samples[samples >= 0]])).sum())
    assert object_store.proxy.body_bytes <= 1.02 * needed + 190_000  # one picture may lie in two lanes


@pytest.mark.parametrize("world_size", [2, 3, 4])
def test_ranks_read_their_own_parts(uri, noisy, make_loader, object_store, expected, world_size):
    """Together hardly more than one rank alone: lanes of the window belong to ranks."""
    split = open_dataset(uri, PATIENT)
    object_store.proxy.reset_counts()
    ranks = [make(split, make_loader, epochs=1, rank=rank, world_size=world_size) for rank in range(world_size)]
    batches = [list(rank) for rank in ranks]
    whole = list(make(noisy, make_loader, epochs=1))
    for step, batch in enumerate(whole):
        for name in ("crops", "instance_ids", "valid"):
            shares = [getattr(own[step], name) for own in batches]
            kept = torch.cat([own[step].valid for own in batches])
            assert torch.equal(torch.cat(shares)[kept], getattr(batch, name)[batch.valid])
    assert object_store.proxy.body_bytes <= 1.35 * picture_bytes(noisy)


def cached(tmp_path, max_bytes=100_000_000):
    return {"reading": ReadSettings(cache=tmp_path / "cache", cache_bytes=max_bytes, connections=3)}


def test_a_cold_and_a_warm_cache_change_nothing(uri, noisy, make_loader, object_store, expected, tmp_path):
    split = open_dataset(uri, PATIENT)
    object_store.proxy.reset_counts()
    assert fingerprints(make(split, make_loader, epochs=2, **cached(tmp_path)), epochs=2) == expected
    fetched = object_store.proxy.body_bytes
    assert fetched <= 1.02 * picture_bytes(noisy)  # once, for both epochs
    assert fingerprints(make(split, make_loader, epochs=2, **cached(tmp_path)), epochs=2) == expected
    assert object_store.proxy.body_bytes == fetched


def test_a_cache_that_is_too_small_changes_nothing_either(uri, make_loader, expected, tmp_path):
    split = open_dataset(uri, PATIENT)
    bound = 5_000_000
    loader = make(split, make_loader, epochs=2, **cached(tmp_path, bound))
    assert fingerprints(loader, epochs=2) == expected
    assert sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file()) <= bound


def test_rotten_blocks_of_the_cache_are_fetched_again(uri, make_loader, expected, tmp_path, object_store):
    split = open_dataset(uri, PATIENT)
    assert fingerprints(make(split, make_loader, epochs=2, **cached(tmp_path)), epochs=2) == expected
    for number, block in enumerate(sorted((tmp_path / "cache").rglob("*.block"))):
        data = bytearray(block.read_bytes())
        data[len(data) // 2] ^= 255
        block.write_bytes(data[: len(data) - number * 1000])
    assert fingerprints(make(split, make_loader, epochs=2, **cached(tmp_path)), epochs=2) == expected


@pytest.mark.parametrize("faults", ["all of them", "wrong bytes"])
def test_faults_while_the_cache_is_filled(uri, noisy, make_loader, object_store, expected, tmp_path, faults):
    split = open_dataset(uri, PATIENT)
    object_store.proxy.reset_counts()
    object_store.proxy.script = at_rate(0.05, FAULTS[faults], seed=1)
    assert fingerprints(make(split, make_loader, epochs=2, **cached(tmp_path)), epochs=2) == expected
    assert object_store.proxy.body_bytes <= 1.15 * picture_bytes(noisy)


def _epoch_in_a_process(uri, folder, results):
    settings = TopDownSettings(
        (32, 24), 12, seed=3, window=WINDOW, augmentation=EVERYTHING, epochs=1,
        reading=ReadSettings(cache=folder, cache_bytes=100_000_000),
    )  # fmt: skip
    loader = TopDownLoader(annotated_samples(open_dataset(uri, PATIENT)), settings)
    results.put(fingerprints(loader))
    loader.close()


@pytest.mark.slow
def test_two_jobs_share_a_cache(uri, noisy, make_loader, object_store, expected, tmp_path):
    object_store.proxy.reset_counts()
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    jobs = [context.Process(target=_epoch_in_a_process, args=(uri, tmp_path / "cache", results)) for _ in range(2)]
    for job in jobs:
        job.start()
    found = [results.get(timeout=120) for _ in jobs]
    for job in jobs:
        job.join()
    assert found == [expected[: len(expected) // 2]] * 2
    tars = [request for request in object_store.proxy.log if request.reads_object and request.key.endswith(".tar")]
    assert len(tars) <= 1.1 * picture_bytes(noisy) / PIECE + 8  # not twice

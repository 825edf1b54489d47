"""Conversion under SIGKILL and on a full disk: nothing half-written is ever visible, and the same command resumes.

One helper process imports the package once and forks a child for each conversion, so that many can be killed.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

Source = tuple[Path, Path]
Contents = Callable[[Path], dict[str, bytes]]

SERVER = """
import json, os, resource, signal, sys, time
from pathlib import Path
import pandas  # pyarrow would import it in every child
from PIL import Image
from sharding import tar_piece
from sharding.convert import ConversionSettings, convert
from sharding.raw import read_raw
from sharding.storage import open_folder


def die():
    os.kill(os.getpid(), signal.SIGKILL)


def run(job):
    renames, images, rename = 0, 0, os.replace

    def replace(source, target):
        nonlocal renames
        renames += 1
        if job.get("before_rename") == renames:
            die()
        rename(source, target)
        if job.get("after_rename") == renames:
            die()

    def on_images(count):
        nonlocal images
        images += count
        time.sleep(count * job.get("slow", 0))
        if job.get("at_image") == images:
            die()

    os.replace = replace
    tar_piece.PIECE_BYTES = job["piece_bytes"]
    if "file_limit" in job:
        resource.setrlimit(resource.RLIMIT_FSIZE, (job["file_limit"], job["file_limit"]))
    settings = ConversionSettings(Path(job["images"]), "mini", shard_bytes=20480, workers=job["workers"])
    convert(read_raw("coco", Path(job["annotations"]), "mini"), open_folder(job["out"]), settings, on_images)
    return f"finished after {renames} renames"


Image.init()  # not in every child
os.fsync = lambda descriptor: None  # protects against power cuts, not against kills, and takes most of the time
for line in sys.stdin:
    job = json.loads(line)
    receiver, sender = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            answer = run(job)
        except BaseException as error:
            answer = f"{type(error).__name__}: {error}"
        os.write(sender, answer.encode())
        os._exit(0)
    os.close(sender)
    print(child, flush=True)
    answer = os.read(receiver, 10_000).decode()
    os.close(receiver)
    os.waitpid(child, 0)
    print(json.dumps(answer or "killed"), flush=True)
"""


class Server:
    def __init__(self, process: subprocess.Popen[str], source: Source) -> None:
        self.process = process
        self.source = source

    def convert(
        self, out: Path, workers: int = 1, kill_after_s: float | None = None, piece_bytes: int = 1, **how: Any
    ) -> str:
        """ "killed", "finished …" or the error."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        annotations, images = self.source
        job = {"annotations": str(annotations), "images": str(images), "out": str(out)}
        job |= {"workers": workers, "piece_bytes": piece_bytes} | how
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        if kill_after_s is not None:
            time.sleep(kill_after_s)
            with contextlib.suppress(ProcessLookupError):  # it was quicker and is gone
                os.kill(child, signal.SIGKILL)
        return str(json.loads(self.process.stdout.readline()))


@pytest.fixture(scope="module")
def server(write_twenty_four: Callable[[Path], Source], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    process = subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    yield Server(process, write_twenty_four(tmp_path_factory.mktemp("source")))
    process.kill()
    process.communicate()


@pytest.fixture(scope="module")
def reference(server: Server, tmp_path_factory: pytest.TempPathFactory, contents: Contents) -> dict[str, bytes]:
    """Every file of a conversion that nobody disturbed."""
    out = tmp_path_factory.mktemp("reference")
    assert server.convert(out).startswith("finished")
    return contents(out)


def assert_nothing_half(out: Path, reference: dict[str, bytes]) -> None:
    """Every visible file is one of the final run's, byte for byte, and the manifest is not among them."""
    for path in out.iterdir() if out.exists() else ():
        if path.name != ".conversion":
            assert path.name != "manifest.json"
            assert path.read_bytes() == reference[path.name], path.name


def test_killed_before_and_after_every_rename(
    server: Server, tmp_path: Path, reference: dict[str, bytes], contents: Contents
) -> None:
    """A file appears by being renamed: around each of them lies every state that a kill can leave behind."""
    renames = 3 * sum(name.endswith(".tar") for name in reference) + 2  # tar, sidecar, state; rejects, manifest
    for moment in range(1, renames + 1):
        out = tmp_path / f"out{moment}"
        assert server.convert(out, 1 + moment % 3, before_rename=moment) == "killed"
        assert_nothing_half(out, reference)
        if moment < renames:
            assert server.convert(out, 2, after_rename=1) == "killed"
            assert_nothing_half(out, reference)
        assert server.convert(out, 1 + (moment + 1) % 3).startswith("finished")
        assert contents(out) == reference
        assert not (out / ".conversion").exists()


def test_killed_right_after_the_manifest(
    server: Server, tmp_path: Path, reference: dict[str, bytes], contents: Contents
) -> None:
    renames = 3 * sum(name.endswith(".tar") for name in reference) + 2
    assert server.convert(tmp_path / "out", after_rename=renames) == "killed"
    assert (tmp_path / "out" / "manifest.json").read_bytes() == reference["manifest.json"]
    assert server.convert(tmp_path / "out") == "finished after 0 renames"
    assert contents(tmp_path / "out") == reference


def test_one_conversion_killed_again_and_again(
    server: Server, tmp_path: Path, reference: dict[str, bytes], contents: Contents
) -> None:
    kills, out = 0, tmp_path / "out"
    for attempt in range(40):
        if server.convert(out, 1 + attempt % 4, at_image=2 + 2 * attempt).startswith("finished"):
            break
        kills += 1
        assert_nothing_half(out, reference)
    assert kills >= 8
    assert contents(out) == reference


def test_killed_from_outside_at_random_moments(
    server: Server, tmp_path: Path, reference: dict[str, bytes], contents: Contents
) -> None:
    rng, kills = random.Random(5), 0
    for attempt in range(8):
        out = tmp_path / f"out{attempt}"
        for _ in range(3):
            piece_bytes, moment = rng.choice([1, 9000, 10**6]), rng.uniform(0.005, 0.12)
            if server.convert(out, rng.randint(1, 5), moment, piece_bytes, slow=0.006) != "killed":
                break
            kills += 1
            assert_nothing_half(out, reference)
        assert server.convert(out, rng.randint(1, 5)).startswith("finished")
        assert contents(out) == reference
        assert not (out / ".conversion").exists()
    assert kills >= 8  # the first of each folder at least: 24 pictures take longer than the longest wait


def test_the_kills_leave_something_to_resume(server: Server, tmp_path: Path, reference: dict[str, bytes]) -> None:
    """Otherwise the tests above would prove nothing about finished shards."""
    assert server.convert(tmp_path / "out", at_image=20) == "killed"
    shards = sum(name.endswith(".tar") for name in reference)
    renames = int(server.convert(tmp_path / "out").split()[2])
    assert renames <= 3 * shards + 2 - 6


@pytest.mark.parametrize("limit", [100, 4_000, 12_000])
def test_a_full_disk_is_an_error_and_the_same_command_resumes(
    server: Server, tmp_path: Path, reference: dict[str, bytes], contents: Contents, limit: int
) -> None:
    out = tmp_path / "out"
    answer = server.convert(out, 2, file_limit=limit)
    assert answer.startswith("StorageError: cannot write")
    assert str(out) in answer
    assert_nothing_half(out, reference)
    assert not list(out.rglob("*.partial"))
    assert server.convert(out, 1).startswith("finished")
    assert contents(out) == reference


def test_a_full_disk_after_some_shards(
    server: Server, tmp_path: Path, reference: dict[str, bytes], contents: Contents
) -> None:
    assert server.convert(tmp_path / "out", at_image=20) == "killed"
    before = contents(tmp_path / "out")
    answer = server.convert(tmp_path / "out", file_limit=4096)
    assert answer.startswith("StorageError: cannot write")
    assert {name: data for name, data in contents(tmp_path / "out").items() if name.endswith((".tar", ".arrow"))} == {
        name: data for name, data in before.items() if name.endswith((".tar", ".arrow"))
    }
    assert server.convert(tmp_path / "out", 3).startswith("finished")
    assert contents(tmp_path / "out") == reference

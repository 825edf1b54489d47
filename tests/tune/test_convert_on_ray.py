"""Conversion on a cluster of two nodes: the bytes of the ordinary one, whatever dies on the way."""

import contextlib
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import ray
from object_store.faults import Status
from object_store.store import ObjectStore, credentials
from PIL import Image
from ray.cluster_utils import Cluster

from sharding.convert import ConversionError, ConversionSettings, convert
from sharding.manifest import Manifest
from sharding.raw import read_raw
from sharding.storage import open_folder
from tune.cluster import ClusterError, connect
from tune.convert import convert_on_ray

pytestmark = pytest.mark.slow

Source = tuple[Path, Path]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """Two nodes with a CPU each, and a head that takes no tasks."""
    temp = tempfile.mkdtemp(prefix="rc", dir="/tmp")
    Path(temp, "ray").mkdir()
    head = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 10**8}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_TMPDIR", temp)
        patch.setenv("OMP_NUM_THREADS", "1")
        for name, value in credentials().items():  # nodes have their own; nobody passes them on
            patch.setenv(name, value)
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(2):
                cluster.add_node(num_cpus=1, object_store_memory=10**8)
            connect(cluster.address)
            yield cluster
        finally:
            ray.shutdown()
            cluster.shutdown()
            shutil.rmtree(temp, ignore_errors=True)


def ordinary(source: Source, out: Path | str, **how: object) -> Manifest:
    annotations, images = source
    settings = ConversionSettings(images, "mini", **({"shard_bytes": 20_480} | how))  # type: ignore[arg-type]
    return convert(read_raw("coco", annotations, "mini"), open_folder(out), settings)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def on_ray(
    source: Source, out: Path | str, on_images: Callable[[int], None] = lambda count: None, **how: object
) -> Manifest:
    annotations, images = source
    settings = ConversionSettings(images, "mini", **({"shard_bytes": 20_480} | how))  # type: ignore[arg-type]
    return convert_on_ray(read_raw("coco", annotations, "mini"), open_folder(out), settings, on_images)


def write_source(folder: Path, pictures: int, size: int, missing: int | None = None) -> Source:
    """(annotations, images) of square pictures of noise, with a person in every second one."""
    images = folder / "raw"
    images.mkdir()
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (size, size, 3), dtype=np.uint8))
    rows, persons = [], []
    for number in range(pictures):
        rows.append({"id": number, "file_name": f"{number}.jpg"})
        if number % 2:
            keypoints = [4, 5, 2] * 17
            person = {"image_id": number, "category_id": 1, "iscrowd": 0, "area": 9.5, "bbox": [1, 2, 9, 8]}
            persons.append(person | {"id": number, "keypoints": keypoints, "num_keypoints": 17})
        if number != missing:
            noise.save(images / f"{number}.jpg", quality=20 + number)
    annotations = folder / "annotations.json"
    category = {"id": 1, "name": "person"}
    annotations.write_text(json.dumps({"images": rows, "annotations": persons, "categories": [category]}))
    return annotations, images


@pytest.fixture
def small(tmp_path: Path) -> Source:
    """24 pictures for a handful of shards; number 9 is missing."""
    return write_source(tmp_path, 24, 64, missing=9)


@pytest.fixture
def slow(tmp_path: Path) -> Source:
    """Six pictures of a shard each that take a good part of a second to be checked."""
    return write_source(tmp_path, 6, 5000)


def test_the_bytes_are_those_of_the_ordinary_conversion(cluster: Cluster, small: Source, tmp_path: Path) -> None:
    counted: list[int] = []
    manifest = on_ray(small, tmp_path / "ray", counted.append)
    assert manifest == ordinary(small, tmp_path / "ordinary")
    assert len(manifest.shards) >= 4
    assert manifest.rejected == 1
    assert contents(tmp_path / "ray") == contents(tmp_path / "ordinary")
    assert sum(counted) == 24
    assert max(counted) < 24


def tasks_of_this_cluster() -> list[int]:
    """Processes that build a shard: Ray says so in their titles. Other clusters on this machine are not ours."""
    parents, building = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            if (folder / "cmdline").read_bytes().startswith(b"ray::_build_task"):
                building.append(int(folder.name))

    def ours(process: int) -> bool:
        return process == os.getpid() or (process in parents and ours(parents[process]))

    return [process for process in building if ours(process)]


def kill_a_task(killed: list[int]) -> None:
    """SIGKILL to a process that builds a shard and was not killed yet."""
    for _ in range(400):
        if found := set(tasks_of_this_cluster()) - set(killed):
            killed.append(found.pop())
            os.kill(killed[-1], signal.SIGKILL)
            return
        time.sleep(0.02)
    raise AssertionError("nothing was built within 8 s")


def test_a_killed_worker_changes_nothing(cluster: Cluster, slow: Source, tmp_path: Path) -> None:
    killed: list[int] = []

    def on_images(count: int) -> None:
        if count and len(killed) < 2:
            kill_a_task(killed)

    on_ray(slow, tmp_path / "ray", on_images, shard_bytes=1)
    assert len(killed) == 2
    ordinary(slow, tmp_path / "ordinary", shard_bytes=1)
    assert contents(tmp_path / "ray") == contents(tmp_path / "ordinary")


def test_a_lost_node_changes_nothing(cluster: Cluster, slow: Source, tmp_path: Path) -> None:
    third = cluster.add_node(num_cpus=1, object_store_memory=10**8)
    cluster.wait_for_nodes()
    lost = []

    def on_images(count: int) -> None:
        if count and not lost:
            lost.append(third)
            cluster.remove_node(third, allow_graceful=False)

    on_ray(slow, tmp_path / "ray", on_images, shard_bytes=1)
    assert lost
    ordinary(slow, tmp_path / "ordinary", shard_bytes=1)
    assert contents(tmp_path / "ray") == contents(tmp_path / "ordinary")


def test_a_shard_that_always_kills_its_worker_is_named(
    cluster: Cluster, slow: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tune.convert._DEATHS", 0)

    def on_images(count: int) -> None:
        if count:
            kill_a_task([])

    with pytest.raises(ConversionError, match=r"shard \d was begun 1 times and its worker or node died"):
        on_ray(slow, tmp_path / "ray", on_images, shard_bytes=1)
    assert not (tmp_path / "ray" / "manifest.json").exists()
    assert not list((tmp_path / "ray").rglob("*.partial"))


def test_strict_stops(cluster: Cluster, small: Source, tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"^strict: image 9\.jpg \(id 9\) refused: cannot be read") as stopped:
        on_ray(small, tmp_path / "out", strict=True)
    assert "Traceback" not in str(stopped.value)
    assert not (tmp_path / "out" / "manifest.json").exists()
    assert not list((tmp_path / "out").rglob("*.partial"))
    assert not list((tmp_path / "out" / ".conversion").glob("ray-*"))


class StopError(Exception):
    pass


def test_it_goes_on_where_it_was_stopped_with_ray_or_without(cluster: Cluster, small: Source, tmp_path: Path) -> None:
    ordinary(small, tmp_path / "ordinary")
    done = []

    def stop(count: int) -> None:
        done.append(count)
        if sum(done) > 8:
            raise StopError

    for name, goes_on in (("with", on_ray), ("without", ordinary)):
        out = tmp_path / name
        done.clear()
        with pytest.raises(StopError):
            on_ray(small, out, stop)
        finished = [path.stem.removeprefix("shard-") for path in (out / ".conversion").glob("shard-*.json")]
        before = {number: (out / f"mini-{number}.tar").stat().st_ino for number in finished}
        (out / ".conversion" / "ray-killed").mkdir()
        (out / ".conversion" / "ray-killed" / "half.partial").write_bytes(b"half")
        goes_on(small, out)
        assert len(before) >= 2
        assert {number: (out / f"mini-{number}.tar").stat().st_ino for number in finished} == before
        assert contents(out) == contents(tmp_path / "ordinary")


def test_what_an_interrupted_ordinary_run_refused_is_not_forgotten(
    cluster: Cluster, small: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its shards are taken as they are, and strict sees what they lack."""
    annotations, images = small
    seen = []

    def stop(count: int) -> None:
        seen.append(count)
        if len(seen) > 16:
            raise StopError

    monkeypatch.setattr("sharding.tar_piece.PIECE_BYTES", 1)
    raw, settings = read_raw("coco", annotations, "mini"), ConversionSettings(images, "mini", shard_bytes=20_480)
    with pytest.raises(StopError):
        convert(raw, open_folder(tmp_path / "out"), settings, stop)
    with pytest.raises(ConversionError, match=r"^strict: image 9\.jpg"):
        on_ray(small, tmp_path / "out", strict=True)


def test_more_cpus_than_any_node_has_are_refused(cluster: Cluster, small: Source, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"with 3 CPUs each do not fit into this cluster"):
        on_ray(small, tmp_path / "out", workers=3)


def test_to_an_object_store_that_fails_now_and_then(
    cluster: Cluster, small: Source, tmp_path: Path, object_store: ObjectStore
) -> None:
    """The nodes have no credentials in their environment; the connection passes them on."""
    uri = object_store.uri("split")
    object_store.proxy.script = lambda request: Status(503) if request.method == "PUT" and not request.earlier else None
    on_ray(small, uri)
    assert object_store.proxy.faults["Status"] >= 10
    object_store.proxy.script = lambda request: None
    ordinary(small, tmp_path / "ordinary")
    stored = open_folder(uri)
    assert {name: stored.read(name) for name in stored.names()} == contents(tmp_path / "ordinary")

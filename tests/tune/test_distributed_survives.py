"""Trainings of several workers on a cluster of several machines, some of which die."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import ray
import torch
from object_store.store import ObjectStore, credentials
from watched_workers import rows, run, samples, small_steps

from engine.checkpoint import load_checkpoint
from engine.config import Recipe, override
from engine.diverged import DivergedError
from engine.remote_copy import scratch_of
from sharding.storage import open_folder
from tune.cluster import ClusterError, connect
from tune.distributed import Workers, train_on_workers

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def cluster(ray_folder: str) -> Iterator[Any]:
    """A head without room for workers, and two machines with a core and, by their own account, a GPU each."""
    from ray.cluster_utils import Cluster

    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    head = {"num_cpus": 0, "include_dashboard": False, "temp_dir": ray_folder}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in credentials().items():  # nodes have their own; nobody passes them on
            patch.setenv(name, value)
        made = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(2):
                made.add_node(num_cpus=1, num_gpus=1)
            yield made
        finally:
            made.shutdown()


@pytest.fixture
def joined(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "6")
    connect(cluster.address)
    try:
        yield cluster
    finally:
        ray.shutdown()


@dataclass(frozen=True)
class Outcome:
    """What a training said, what its processes saw step by step, and the weights in the end."""

    lines: list[str]
    samples: dict[int, list[int]]
    weights: dict[str, torch.Tensor]

    def require_same(self, other: "Outcome") -> None:
        assert self.samples == other.samples
        torch.testing.assert_close(self.weights, other.weights, rtol=0, atol=1e-6)  # all steps together: 1e-4


@pytest.fixture
def recipe(tiny_base: Callable[..., Recipe], mini_shards: Callable[[str], Path], tmp_path: Path) -> Recipe:
    settings = ("train.epochs=3", "train.checkpoint_every_steps=2", f"run_dir={tmp_path / 'run'}")
    return small_steps(tiny_base(f"data.val={mini_shards('coco')}", *settings))


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(checkpoint).model


_undisturbed: list[Outcome] = []


@pytest.fixture
def undisturbed(joined: Any, recipe: Recipe, tmp_path: Path) -> Outcome:
    """The same recipe, on GPUs that do not exist; trained once for all tests."""
    if not _undisturbed:
        lines: list[str] = []
        calm = override(recipe, [f"run_dir={tmp_path / 'calm'}"])
        run(calm, Workers(2, 2, gpus=1), lines.append, tmp_path / "calm-logs")
        _undisturbed.append(Outcome(lines, samples(tmp_path / "calm-logs"), weights(tmp_path / "calm" / "last.ckpt")))
    return _undisturbed[0]


def test_what_is_said_is_what_one_process_would_say(undisturbed: Outcome) -> None:
    started, *rest = undisturbed.lines
    assert started == "starting 2 workers"
    assert [line.split("  ")[0] for line in rest if line.startswith("epoch")] == ["epoch 1/3", "epoch 2/3", "epoch 3/3"]
    assert [line.startswith("  AP ") for line in rest] == [False, True] * 3


@contextmanager
def meanwhile(training: Callable[[], None]) -> Iterator[None]:
    """A training during the block, in which machines come and go: Ray wants that in the main thread."""
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(training)
        yield
        running.result()


def wait_for(happened: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < until
        time.sleep(0.1)


def wait_for_step(logs: Path, step: int) -> None:
    wait_for(lambda: any(row["step"] >= step for row in rows(logs / "steps-0.jsonl")))


def test_a_killed_worker_and_a_lost_machine(joined: Any, recipe: Recipe, undisturbed: Outcome, tmp_path: Path) -> None:
    """First a worker is killed; later a machine goes, and another one comes."""
    logs, lines = tmp_path / "logs", list[str]()
    with meanwhile(lambda: run(recipe, Workers(2, 2), lines.append, logs, kill=(1, 3), slow_s=0.2)):
        wait_for_step(logs, len(undisturbed.samples) // 3 + 3)
        joined.remove_node(next(iter(joined.worker_nodes)), allow_graceful=False)
        joined.add_node(num_cpus=1, num_gpus=1)
    assert (logs / "killed").exists()
    assert len(rows(logs / "starts-0.jsonl")) == 3
    undisturbed.require_same(Outcome(lines, samples(logs), weights(tmp_path / "run" / "last.ckpt")))
    assert [line.split(" ")[0] for line in lines if "died: it was killed" in line] == ["worker"] * 2
    assert lines.count("starting 2 workers") == 3


def test_it_goes_on_with_what_is_left(joined: Any, recipe: Recipe, undisturbed: Outcome, tmp_path: Path) -> None:
    logs, lines = tmp_path / "logs", list[str]()
    try:
        with meanwhile(lambda: run(recipe, Workers(1, 2), lines.append, logs, slow_s=0.2)):
            wait_for_step(logs, 3)
            joined.remove_node(next(iter(joined.worker_nodes)), allow_graceful=False)
    finally:
        joined.add_node(num_cpus=1, num_gpus=1)
    assert [row["of"] for row in rows(logs / "starts-0.jsonl")] == [2, 1]
    assert samples(logs) == undisturbed.samples
    assert "starting 1 worker" in lines


def test_a_killed_driver_with_its_run_in_object_storage(
    joined: Any, recipe: Recipe, undisturbed: Outcome, object_store: ObjectStore, tmp_path: Path
) -> None:
    logs, uri = tmp_path / "logs", object_store.uri("runs/one")
    remote = override(recipe, [f"run_dir={uri}"])
    (tmp_path / "recipe.json").write_text(remote.to_json())
    driver = subprocess.Popen(
        [sys.executable, ROOT / "tests/tune/watched_workers.py", joined.address, tmp_path / "recipe.json", logs],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        stdout=(tmp_path / "driver.log").open("w"), stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        wait_for_step(logs, 8)
    finally:
        driver.send_signal(signal.SIGKILL)
        driver.wait()
    lines: list[str] = []
    ray.shutdown()
    connect(joined.address)  # with the store's credentials
    run(remote, Workers(2, 2), lines.append, logs)
    assert any(line.startswith("resuming") for line in lines)
    steps = [(row["step"], row["pid"]) for row in rows(logs / "steps-0.jsonl")]
    processes = [pid for _, pid in steps]
    assert processes == sorted(processes, key=processes.index)  # the old one did nothing once the new one began
    assert len(set(processes)) == 2
    names = [name.removeprefix("runs/one/") for name in object_store.names("runs/one/")]
    assert {"last.ckpt", "best.ckpt", "recipe.json"} <= set(names)
    assert not any("partial" in name or "lock" in name for name in names)
    (tmp_path / "last.ckpt").write_bytes(object_store.get("runs/one/last.ckpt"))
    undisturbed.require_same(Outcome(lines, samples(logs), weights(tmp_path / "last.ckpt")))
    shutil.rmtree(scratch_of(uri))


def test_an_error_that_would_come_again_is_raised_once(joined: Any, recipe: Recipe, tmp_path: Path) -> None:
    lines: list[str] = []
    started = time.monotonic()
    with pytest.raises(DivergedError, match="the loss became nan"):
        run(recipe, Workers(2, 2), lines.append, tmp_path, (1, 3), DivergedError("the loss became nan"))
    assert time.monotonic() - started < 60
    assert [len(rows(tmp_path / f"starts-{rank}.jsonl")) for rank in (0, 1)] == [1, 1]
    assert lines == ["starting 2 workers"]
    wait_for(lambda: ray.available_resources().get("CPU") == 2)


def test_more_workers_than_fit(joined: Any, recipe: Recipe, tmp_path: Path) -> None:
    larger = override(recipe, ["train.batch_size=12"])
    with pytest.raises(ClusterError, match=r"3 workers with 1 CPUs each do not fit .*have: .*1 CPUs, 1 GPUs"):
        train_on_workers(larger, Workers(3, 3), lambda line: None)
    assert open_folder(recipe.run_dir).names() == []

"""Trials go on with the same data after the death of their process, of their node, and of the search itself."""

import functools
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import ray
import torch
from object_store.faults import Status, when
from object_store.store import ObjectStore
from ray.cluster_utils import Cluster
from rich.console import Console
from watched_trials import attempts, batches, known_before, read_notes, watched_trial

from engine.checkpoint import load_checkpoint
from engine.config import Recipe
from sharding.storage import open_folder
from tune.experiment import Experiment, run_experiment
from tune.search import search
from tune.space import Resources, Space
from tune.trials import read_trials

pytestmark = pytest.mark.slow

EPOCHS, BATCHES = 4, 5  # 36 instances in batches of 8
MakeBase = Callable[..., Recipe]
Seen = tuple[list[list[int]], dict[str, torch.Tensor]]


def experiment(base: Recipe, folder: Path | str, notes: Path, trials: int = 1, **options: object) -> Experiment:
    notes.mkdir(exist_ok=True)
    inside = {name: options.pop(name) for name in ("die_at", "slow_s") if name in options}
    trial = functools.partial(watched_trial, base=base, folder=str(folder), notes=str(notes), **inside)
    return Experiment(str(folder), trial, {"optim.lr": 1e-3}, "loss", "min", trials, **options)  # type: ignore[arg-type]


def only(notes: Path) -> Path:
    (file,) = notes.glob("*.jsonl")
    return file


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(max(folder.glob("*/checkpoint_*/last.ckpt"), key=lambda path: path.parent.name)).model


@pytest.fixture
def undisturbed(calm: Callable[..., Seen], tiny_base: MakeBase) -> Seen:
    seen, at_the_end = calm(tiny_base(f"train.epochs={EPOCHS}", "optim.lr=1e-3"))
    assert len(seen) == EPOCHS * BATCHES
    return seen, at_the_end


def assert_went_on(notes: Path, folder: Path, calm: Seen) -> None:
    """Every process went on after the last epoch that the search knew of, or the one whose report was under way, and
    the end is the same."""
    expected, at_the_end = calm
    runs = attempts(only(notes))
    assert len(runs) > 1
    for run, known in zip(runs, known_before(only(notes)), strict=True):
        here, further = (expected[epoch * BATCHES :] for epoch in (known, known + 1))
        assert run in (here[: len(run)], further[: len(run)])
    assert runs[-1][-1] == expected[-1]
    for name, tensor in weights(folder).items():
        assert torch.equal(tensor, at_the_end[name]), name


def test_a_killed_worker(
    undisturbed: Seen, ray_here: None, tiny_base: MakeBase, tmp_path: Path, console: Console
) -> None:
    base = tiny_base(f"train.epochs={EPOCHS}")
    finished = run_experiment(experiment(base, tmp_path / "out", tmp_path / "notes", die_at=2 * BATCHES + 2), console)
    assert finished.trials[0].status == "TERMINATED"
    assert_went_on(tmp_path / "notes", tmp_path / "out", undisturbed)


def test_an_object_store_that_is_away_for_a_while(
    undisturbed: Seen, object_store: ObjectStore, ray_here: None, tiny_base: MakeBase, tmp_path: Path, console: Console
) -> None:
    seen: list[float] = []

    def first_seconds_after_the_first_upload(request) -> bool:  # type: ignore[no-untyped-def]
        if "checkpoint_0" not in request.key:
            return False
        seen.append(time.monotonic())
        return len(seen) > 1 and time.monotonic() - seen[0] < 5

    object_store.proxy.script = when(first_seconds_after_the_first_upload, Status(503), "PUT")
    base, notes = tiny_base(f"train.epochs={EPOCHS}"), tmp_path / "notes"
    finished = run_experiment(experiment(base, object_store.uri("runs/one"), notes), console)
    assert object_store.proxy.faults["Status"] > 2
    assert finished.trials[0].num_failures == 0
    assert batches(only(notes)) == undisturbed[0]
    assert len(attempts(only(notes))) == 1
    names = object_store.names("runs/one")
    last = finished.trials[0].checkpoint.path.rsplit("/", 1)[-1]
    assert finished.trials[0].last_result["checkpoint_dir_name"] == last
    assert any(name.endswith(f"/{last}/last.ckpt") for name in names), names
    assert any("experiment_state" in name for name in names)


def test_on_object_storage(
    tiny_space: Callable[..., Space], object_store: ObjectStore, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in object_store.environment().items():
        monkeypatch.setenv(name, value)
    out = f"s3://{object_store.bucket}/searches/one"
    found = search(tiny_space(trials=2), out, console, cpus=2)  # Ray is started here, with this environment
    assert found.failed == 0
    names = object_store.names("searches/one")
    assert "searches/one/search.json" in names
    assert f"searches/one/{found.trial}/result.json" in names
    assert found.checkpoint is not None
    assert found.checkpoint.removeprefix(f"s3://{object_store.bucket}/") in names
    assert search(tiny_space(trials=2), out, console, cpus=2).trial == found.trial


@pytest.fixture
def cluster(ray_folder: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A head that can run no trial, since trials want a GPU, and one node that can."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    made = Cluster(
        initialize_head=True, connect=False,
        head_node_args={"num_cpus": 1, "num_gpus": 0, "include_dashboard": False, "temp_dir": ray_folder},
    )  # fmt: skip
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def test_a_removed_node(
    undisturbed: Seen, cluster: Cluster, tiny_base: MakeBase, tmp_path: Path, console: Console
) -> None:
    notes = tmp_path / "notes"
    nodes = [cluster.add_node(num_cpus=1, num_gpus=1) for _ in range(2)]
    ray.init(cluster.address, logging_level="error", log_to_driver=False)
    events: list[str] = []

    def remove_node() -> None:
        while not any(len(batches(file)) > BATCHES + 1 for file in notes.glob("*.jsonl")):
            time.sleep(0.05)
        (host,) = {note["node"] for note in read_notes(only(notes)) if "start" in note}
        (doomed,) = [node for node in nodes if node.node_id == host]
        cluster.remove_node(doomed, allow_graceful=False)
        events.append("removed")

    base = tiny_base(f"train.epochs={EPOCHS}")
    one = experiment(base, tmp_path / "out", notes, slow_s=0.3, resources=Resources(cpus=1, gpus=1))
    remover = threading.Thread(target=remove_node, daemon=True)
    remover.start()
    finished = run_experiment(one, console)
    assert events == ["removed"]
    assert finished.trials[0].status == "TERMINATED"
    starts = [note["node"] for note in read_notes(only(notes)) if "start" in note]
    assert len(set(starts)) == len(starts) == 2
    assert_went_on(notes, tmp_path / "out", undisturbed)


def test_a_killed_search(undisturbed: Seen, cluster: Cluster, tiny_base: MakeBase, tmp_path: Path) -> None:
    cluster.add_node(num_cpus=1, num_gpus=1)
    notes, recipe = tmp_path / "notes", tmp_path / "recipe.json"
    recipe.write_text(tiny_base(f"train.epochs={EPOCHS}").to_json())
    command = [sys.executable, "-c", _LEAD, cluster.address, str(recipe), str(tmp_path / "out"), str(notes)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    first = subprocess.Popen(command, env=environment)
    try:
        while not (files := list(notes.glob("*.jsonl"))) or len(batches(files[0])) < 2 * BATCHES + 2:
            assert first.poll() is None
            time.sleep(0.05)
    finally:
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    subprocess.run(command, env=environment, check=True, timeout=120)
    assert_went_on(notes, tmp_path / "out", undisturbed)
    (trial,) = read_trials(open_folder(tmp_path / "out"))
    assert [epoch["epoch"] for epoch in trial.epochs] == list(range(1, EPOCHS + 1))


_LEAD = """
import sys
from pathlib import Path
import ray
from rich.console import Console
from recipes import load_recipe
from test_search_survives import experiment
from tune.experiment import run_experiment
from tune.space import Resources
address, recipe, out, notes = sys.argv[1:]
ray.init(address, logging_level="error", log_to_driver=False)
one = experiment(load_recipe(recipe), out, Path(notes), slow_s=0.3, resources=Resources(cpus=1, gpus=1))
run_experiment(one, Console())
"""

"""Trials of several processes: they train together, free their places when stopped, and go on when one of them dies."""

import functools
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import ray
from ray import tune as ray_tune
from ray.cluster_utils import Cluster
from rich.console import Console
from watched_trials import attempts, batches, read_notes, watched_trial

from engine.config import Recipe
from tune.experiment import Experiment, run_experiment
from tune.schedulers import make_scheduler
from tune.space import Asha, Resources, Space

pytestmark = pytest.mark.slow

EPOCHS, BATCHES = 4, 5  # 36 instances in batches of 8
TWO = Resources(cpus=1, gpus=1, workers=2)


@pytest.fixture
def two_nodes(ray_folder: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """Two machines with a GPU each, and a head without; no dashboard."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    made = Cluster(
        initialize_head=True, connect=False,
        head_node_args={"num_cpus": 0, "num_gpus": 0, "include_dashboard": False, "temp_dir": ray_folder},
    )  # fmt: skip
    try:
        for _ in range(2):
            made.add_node(num_cpus=1, num_gpus=1)
        ray.init(made.address, logging_level="error", log_to_driver=False)
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def test_stopped_ones_free_their_places_and_dead_ones_go_on(
    calm: Callable[..., tuple], tiny_space: Callable[..., Space], tiny_base: Callable[..., Recipe],
    two_nodes: Cluster, ray_folder: str, tmp_path: Path, console: Console,
) -> None:  # fmt: skip
    notes, out, base = tmp_path / "notes", tmp_path / "out", tiny_base(f"train.epochs={EPOCHS}")
    notes.mkdir()
    killed: list[int] = []

    def kill_the_second_rank_of_the_first_trial() -> None:
        while not any(len(batches(file)) > BATCHES + 1 for file in notes.glob("*.jsonl")):
            time.sleep(0.02)
        killed.extend(second_ranks(ray_folder))
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

    threading.Thread(target=kill_the_second_rank_of_the_first_trial, daemon=True).start()
    finished = run_experiment(
        Experiment(
            str(out),
            functools.partial(
                watched_trial, base=base, folder=str(out), notes=str(notes), slow_s=0.1, resources=TWO
            ),
            {"optim.lr": ray_tune.grid_search([1e-2, 1e-7, 1e-8])}, "loss", "min",
            scheduler=make_scheduler(tiny_space(scheduler=Asha(grace_epochs=1, reduction=2)), EPOCHS), resources=TWO,
        ),
        console,
    )  # fmt: skip
    assert len(killed) == 1
    assert [trial.num_failures for trial in finished.trials] == [1, 0, 0]
    assert [trial.last_result["epoch"] for trial in finished.trials] == [EPOCHS, 1, 1]

    first, second, third = (notes / f"{trial.trial_id}.jsonl" for trial in finished.trials)
    whole, _ = calm(tiny_base(f"train.epochs={EPOCHS}", "optim.lr=1e-2"))
    before, after = attempts(first)
    assert len(before) + len(after) > len(whole)
    assert after[0] == before[BATCHES]  # from the first epoch's end, which was reported
    for mine, of_both in zip(before[:BATCHES] + after, whole, strict=True):
        assert set(mine) <= set(of_both)
        assert len(mine) <= 4  # the first rank's share

    last = json.loads((out / second.stem / "result.json").read_text().splitlines()[-1])
    started = next(note["start"] for note in read_notes(third) if "start" in note)
    assert started - last["timestamp"] < 30
    deadline = time.monotonic() + 30
    while ray.available_resources().get("GPU") != 2:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert not second_ranks(ray_folder)


def second_ranks(ray_folder: str) -> list[int]:
    """Processes of this cluster that are a trial's second rank."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if (folder / "cmdline").read_bytes().startswith(b"ray::_Other"):
                parent = re.search(r"PPid:\s+(\d+)", (folder / "status").read_text())[1]  # type: ignore[index]
                if ray_folder.encode() in Path("/proc", parent, "cmdline").read_bytes():
                    found.append(int(folder.name))
    return found

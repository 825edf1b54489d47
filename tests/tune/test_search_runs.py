"""Whole searches over tiny trainings on Ray: what they propose, stop, clone, record and store."""

import functools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from ray import tune as ray_tune
from rich.console import Console
from searching import proposals
from watched_trials import attempts, read_notes, synthetic_trial, watched_trial

from engine.checkpoint import load_checkpoint
from engine.config import ConfigError, Recipe
from sharding.storage import open_folder
from tune.cluster import ClusterError
from tune.distributions import LogUniform
from tune.experiment import Experiment, run_experiment
from tune.failure import read_failure
from tune.schedulers import make_scheduler
from tune.search import search
from tune.searchers import make_searcher, sample_space
from tune.space import Asha, Pbt, Resources, Space

pytestmark = pytest.mark.slow
MakeSpace = Callable[..., Space]
BATCHES = 5  # 36 instances in batches of 8


def test_a_search_finds_keeps_and_repeats(
    tiny_space: MakeSpace, shared_ray: None, tmp_path: Path, console: Console
) -> None:
    space, out = tiny_space(trials=3, concurrent=1, seed=5), tmp_path / "out"
    found = search(space, str(out), console)
    results = [json.loads(line) for file in out.glob("*/result.json") for line in file.read_text().splitlines()]
    assert found.value == min(result["loss"] for result in results)
    assert (found.finished, found.failed, found.interrupted) == (3, 0, False)
    assert found.checkpoint is not None
    assert load_checkpoint(Path(found.checkpoint)).recipe.optim.lr == found.settings["optim.lr"]

    losses = {result["config"]["optim.lr"]: result["loss"] for result in results}
    again = [config for config, _ in proposals(space, lambda config: losses[config["optim.lr"]])]
    assert {config["optim.lr"] for config in again} == set(losses)

    with pytest.raises(ConfigError, match=r"seed was 5, is 6"):
        search(tiny_space(trials=3, concurrent=1, seed=6), str(out), console)
    before = sorted(out.rglob("*.ckpt"))
    assert search(space, str(out), console).value == found.value  # nothing is left to do
    assert sorted(out.rglob("*.ckpt")) == before


def test_what_cannot_fit_is_refused(tiny_space: MakeSpace, shared_ray: None, tmp_path: Path, console: Console) -> None:
    with pytest.raises(ClusterError, match="2 CPUs, 0 GPUs"):
        search(tiny_space(resources=Resources(cpus=1, gpus=1)), str(tmp_path / "out"), console)
    assert not (tmp_path / "out" / "search.json").exists()  # the mended command is not another search


def test_failures_are_recorded_and_others_finish(
    tiny_base: Callable[..., Recipe], shared_ray: None, tmp_path: Path, console: Console
) -> None:
    out, notes = tmp_path / "out", tmp_path / "notes"
    notes.mkdir()
    faults = ["none", "nan", "memory", "data", "crash"]
    run_experiment(
        Experiment(
            str(out), functools.partial(watched_trial, base=tiny_base(), folder=str(out), notes=str(notes)),
            {"fault": ray_tune.grid_search(faults), "optim.lr": 1e-3}, "loss", "min", max_failures=1,
        ),
        console,
    )  # fmt: skip
    configs = {file.parent.name: json.loads(file.read_text())["fault"] for file in out.glob("*/params.json")}
    failures = {fault: read_failure(open_folder(out / trial)) for trial, fault in configs.items()}
    assert failures.pop("none") is None
    reasons = {fault: (failure["kind"], failure["reason"]) for fault, failure in failures.items() if failure}
    assert reasons["nan"][0] == "DivergedError"
    assert reasons["memory"] == ("OutOfMemoryError", "CUDA out of memory: tried to allocate 20 GiB")
    assert "/nowhere" in reasons["data"][1]
    assert reasons["crash"][0] == "Died"
    tries = {fault: len(attempts(notes / f"{trial}.jsonl")) for trial, fault in configs.items()}
    assert tries == {"none": 1, "nan": 1, "memory": 1, "data": 1, "crash": 2}


def test_asha_stops_bad_trials_at_the_rungs(
    tiny_space: MakeSpace, shared_ray: None, tmp_path: Path, console: Console
) -> None:
    space = tiny_space(scheduler=Asha(grace_epochs=2, reduction=2), metric="AP", mode="max")
    qualities = [0.5, 0.1, 0.6, 0.52, 0.7]
    finished = run_experiment(
        Experiment(
            str(tmp_path / "out"), functools.partial(synthetic_trial, epochs=8),
            {"quality": ray_tune.grid_search(qualities)}, "AP", "max", scheduler=make_scheduler(space, 8), concurrent=1,
        ),
        console,
    )  # fmt: skip
    epochs = {trial.config["quality"]: trial.last_result["epoch"] for trial in finished.trials}
    # Each is compared with the better half of those that came to its rung (2, 4, 8) before it.
    assert epochs == {0.5: 8, 0.1: 2, 0.6: 8, 0.52: 4, 0.7: 8}


def test_a_stopped_trial_makes_room_at_once(
    tiny_space: MakeSpace, tiny_base: Callable[..., Recipe], shared_ray: None, tmp_path: Path, console: Console
) -> None:
    notes, out = tmp_path / "notes", tmp_path / "out"
    notes.mkdir()
    space = tiny_space(scheduler=Asha(grace_epochs=1, reduction=2))
    run_experiment(
        Experiment(
            str(out),
            functools.partial(
                watched_trial, base=tiny_base("train.epochs=10"), folder=str(out), notes=str(notes), slow_s=0.01,
                resources=Resources(cpus=2),
            ),
            {"optim.lr": ray_tune.grid_search([1e-2, 1e-7, 1e-8])}, "loss", "min",
            scheduler=make_scheduler(space, 10), resources=Resources(cpus=2),
        ),
        console,
    )  # fmt: skip
    trials = sorted((json.loads(file.read_text())["optim.lr"], file.parent.name) for file in out.glob("*/params.json"))
    last, stopped = (trial for _, trial in trials[:2])
    reports = [json.loads(line) for line in (out / stopped / "result.json").read_text().splitlines()]
    assert len(reports) == 1
    started = next(note["start"] for note in read_notes(notes / f"{last}.jsonl"))
    assert started - reports[-1]["timestamp"] < 30
    threads = {note["threads"] for file in notes.glob("*.jsonl") for note in read_notes(file) if "threads" in note}
    assert threads == {2}


def test_pbt_goes_on_from_the_weights_and_the_place_in_the_data_of_a_better_trial(
    calm: Callable[..., tuple], tiny_space: MakeSpace, tiny_base: Callable[..., Recipe], shared_ray: None,
    tmp_path: Path, console: Console,
) -> None:  # fmt: skip
    notes, out = tmp_path / "notes", tmp_path / "out"
    notes.mkdir()
    space = tiny_space(
        search={"optim.lr": LogUniform(1e-9, 1e-2)}, searcher="random", seed=3, trials=2,
        scheduler=Pbt(interval_epochs=2, quantile=0.5, resample_probability=0.5),
    )  # fmt: skip
    base = tiny_base("train.epochs=8")
    inside = functools.partial(watched_trial, base=base, folder=str(out), notes=str(notes), slow_s=0.1)
    finished = run_experiment(
        Experiment(
            str(out), inside, sample_space(space), "loss", "min", trials=2, searcher=make_searcher(space, 2),
            scheduler=make_scheduler(space, 8), concurrent=2,
        ),
        console,
    )  # fmt: skip
    assert all(trial.status == "TERMINATED" and trial.last_result["epoch"] == 8 for trial in finished.trials)
    whole, _ = calm(base)
    files = list(notes.glob("*.jsonl"))
    reported = {file: {note["reported"]: note["epoch"] for note in read_notes(file) if "reported" in note}
                for file in files}  # fmt: skip
    clones = 0
    for file in files:
        (donors,) = (reported[other] for other in files if other != file)
        starts = [note["from"] for note in read_notes(file) if "start" in note]
        assert starts[0] is None
        assert all(start in donors or start in reported[file] for start in starts[1:])  # its own after a pause
        for start, run in zip(starts, attempts(file), strict=True):
            begin = 0 if start is None else BATCHES * (reported[file] | donors)[start]
            assert run == whole[begin : begin + len(run)]
        clones += sum(start in donors for start in starts)
    assert clones == len((out / "pbt_global.txt").read_text().splitlines()) > 0
    for line in (out / "pbt_global.txt").read_text().splitlines():
        _, _, _, _, before, after = json.loads(line)
        assert before.keys() == after.keys() == {"optim.lr"}
        assert before != after
        assert 1e-9 <= after["optim.lr"] <= 1e-2
    for trial in finished.trials:  # what no trial can need any more is gone
        assert 1 <= len(list((out / trial.trial_id).glob("checkpoint_*"))) <= 3

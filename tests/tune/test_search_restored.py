"""A search whose process was killed goes on with its trials' checkpoints, and with what its scheduler knew."""

import json
import os
import pickle
import re
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sharding.storage import open_folder
from tune.distributions import Choice, LogUniform
from tune.remembering import Remembering
from tune.schedulers import Cloning, make_scheduler
from tune.space import Asha, Pbt, Space
from tune.trials import read_trials


def scheduler(kind: Asha | Pbt, epochs: int = 8, **search: Any) -> Any:
    space = Space(
        recipe="demo_synthetic", search={"optim.lr": LogUniform(1e-4, 1e-2), **search}, searcher="random",
        metric="AP", mode="max", scheduler=kind,
    )  # fmt: skip
    return make_scheduler(space, epochs)


def prepared(kind: Asha | Pbt, epochs: int = 8, **search: Any) -> Any:
    """As Ray does it."""
    made = scheduler(kind, epochs, **search)
    made.set_search_properties("AP", "max")
    return made


def restored(old: Any, fresh: Any) -> Any:
    Remembering(fresh).set_state(pickle.loads(pickle.dumps(Remembering(old).get_state())))
    return fresh


class _Trial:
    """Ray's, as far as schedulers look at it."""

    experiment_tag, status = "0", "RUNNING"
    run_metadata = SimpleNamespace(
        checkpoint_manager=SimpleNamespace(checkpoint_config=SimpleNamespace(num_to_keep=None))
    )

    def __init__(self, trial_id: str) -> None:
        self.trial_id, self.config = trial_id, {"optim.lr": 1e-3}
        self.evaluated_params: dict[str, Any] = {}
        self.storage = SimpleNamespace(trial_fs_path=f"/out/{trial_id}", storage_filesystem=None)

    def is_finished(self) -> bool:
        return False


def test_asha_goes_on_with_its_rungs() -> None:
    first = prepared(Asha(grace_epochs=1, reduction=2))
    first.on_trial_add(None, _Trial("a"))
    assert first.on_trial_result(None, _Trial("a"), {"epoch": 1, "AP": 0.9}) == "CONTINUE"
    second = restored(first, prepared(Asha(grace_epochs=1, reduction=2)))
    for name in ("a", "b"):
        second.on_trial_add(None, _Trial(name))
    assert second.on_trial_result(None, _Trial("b"), {"epoch": 1, "AP": 0.1}) == "STOP"


def test_population_based_training_goes_on_with_what_it_knew_of_each_trial() -> None:
    first, trials = prepared(Pbt(interval_epochs=2)), [_Trial(f"1_0000{number}") for number in range(2)]
    for trial in trials:
        first.on_trial_add(SimpleNamespace(search_alg=None), trial)
    donor, other = (first._trial_state[trial] for trial in trials)
    donor.last_score, donor.last_perturbation_time, donor.last_checkpoint = 0.5, 6, object()
    donor.last_result = {"epoch": 6, "checkpoint_dir_name": "checkpoint_000005"}
    other.last_score = 0.1

    second = prepared(Pbt(interval_epochs=2))
    assert isinstance(second, Cloning)
    restored(first, second)
    again = [_Trial(trial.trial_id) for trial in trials]
    for trial in again:
        second.on_trial_add(SimpleNamespace(search_alg=None), trial)
    assert [second._trial_state[trial].last_score for trial in again] == [0.5, 0.1]
    assert second._trial_state[again[0]].last_perturbation_time == 6
    assert second._trial_state[again[0]].last_checkpoint.path == "/out/1_00000/checkpoint_000005"
    assert second._trial_state[again[1]].last_checkpoint is None
    assert second.may_be_cloned() == {("1_00000", "checkpoint_000005")}


def test_asha_lets_the_longest_trials_finish_where_epochs_are_searched() -> None:
    made = prepared(Asha(), 4, **{"train.epochs": Choice(2, "16", 8)})
    made.on_trial_add(None, _Trial("a"))
    assert [made.on_trial_result(None, _Trial("a"), {"epoch": epoch, "AP": 0.5}) for epoch in (4, 15, 16)] == [
        "CONTINUE", "CONTINUE", "STOP",
    ]  # fmt: skip


EPOCHS = 16


@pytest.mark.slow
def test_a_killed_search_goes_on_from_its_stored_state(tmp_path: Path) -> None:
    """It is killed after the checkpoint that the stored state goes on from was followed by two others."""
    out, starts = tmp_path / "out", tmp_path / "starts"
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "RAY_AUTH_MODE": "disabled",
        "TUNE_GLOBAL_CHECKPOINT_S": "3",
    }  # fmt: skip
    command = [sys.executable, "-c", _LEAD, str(out), str(starts)]
    first = subprocess.Popen(command, env=environment)
    try:
        while not 0 <= stored_number(out) <= newest_number(out) - 2:
            assert first.poll() is None
            time.sleep(0.02)
    finally:
        first.kill()
        first.wait()
    subprocess.run(command, env=environment, check=True, timeout=120)
    trials = read_trials(open_folder(out))
    # The first trial's record at the first rung stops the worse ones there, although it came before the kill.
    assert [len(trial.epochs) for trial in trials] == [EPOCHS, 1, 1]
    began = [int(line) for line in starts.read_text().splitlines()]
    assert len(began) == 4
    assert began[0] == 0 < began[1]
    assert [len(list((out / trial.id).glob("checkpoint_*"))) for trial in trials] == [1, 1, 1]


def stored_number(out: Path) -> int:
    """Of the checkpoint that the first trial would go on from; -1 without one."""
    try:
        state = json.loads(max(out.glob("experiment_state-*")).read_text())
    except ValueError:  # none, or half written
        return -1
    if not state["trial_data"]:
        return -1
    found = re.search(r'"checkpoint_dir_name": "checkpoint_(\d+)"', state["trial_data"][0][1])
    return int(found[1]) if found else -1


def newest_number(out: Path) -> int:
    return max((int(path.name[-6:]) for path in out.glob("*/checkpoint_*")), default=-1)


_LEAD = f"""
import sys, tempfile, time
from io import StringIO
from pathlib import Path
from ray import tune as ray_tune
from rich.console import Console
from test_search_restored import scheduler
from tune.cluster import connected
from tune.experiment import Experiment, run_experiment
from tune.space import Asha
from tune.trial import report_epoch, reported_checkpoint
out, starts = sys.argv[1:]
def trial(config):
    before = reported_checkpoint()
    begin = 0 if before is None else int(before.read_text())
    with open(starts, "a") as file:
        file.write(f"{{begin}}\\n")
    own = Path(tempfile.mkdtemp()) / "last.ckpt"
    for epoch in range(begin + 1, {EPOCHS} + 1):
        time.sleep(0.4)
        own.write_text(str(epoch))
        report_epoch({{"epoch": epoch, "AP": config["quality"] + epoch / 1000}}, own)
with connected(None, 1):
    run_experiment(
        Experiment(out, trial, {{"quality": ray_tune.grid_search([9.0, 8.0, 7.0])}}, "AP", "max", concurrent=1,
                   scheduler=scheduler(Asha(grace_epochs=1, reduction=2), {EPOCHS})),
        Console(file=StringIO()),
    )
"""

"""What is known of trials from Ray's files, whole and torn."""

import json
import math
from pathlib import Path

from made_experiment import CHECKPOINT, Made, line, write_search, write_trials
from object_store.faults import Status, at_rate
from object_store.store import ObjectStore

from sharding.storage import open_folder
from tune.trials import Trial, best_score, best_trial, ranked, read_trials


def read(folder: Path) -> dict[str, Trial]:
    return {trial.id: trial for trial in read_trials(open_folder(folder))}


def test_how_trials_ended(tmp_path: Path) -> None:
    write_search(tmp_path)
    write_trials(
        tmp_path,
        Made("done", (0.1, 0.2, 0.3, 0.4)),
        Made("done_at_the_last_rung", (0.1, 0.2, 0.3, 0.4), stopped=True),
        Made("stopped", (0.1, 0.05), stopped=True),
        Made("going", (0.1,), status="RUNNING"),
        Made("paused", (0.1,), status="PAUSED"),
        Made("diverged", (0.1,), failure="the loss is nan"),
    )
    trials = read(tmp_path)
    assert {name: trial.status for name, trial in trials.items()} == {
        "done": "finished",
        "done_at_the_last_rung": "finished",
        "stopped": "stopped",
        "going": "running",
        "paused": "running",
        "diverged": "failed",
    }
    assert trials["diverged"].reason == "the loss is nan"
    assert all(trial.reason is None for name, trial in trials.items() if name != "diverged")


def test_what_was_reported(tmp_path: Path) -> None:
    write_search(tmp_path)
    write_trials(tmp_path, Made("one", (None, 0.2)))
    first, second = read(tmp_path)["one"].epochs
    assert first == {
        "epoch": 1, "step": 10, "loss": 1, "samples_per_s": 50, "waiting": 0.1, "seconds": 2, "timestamp": 1795216001,
    }  # fmt: skip
    assert second["AP"] == 0.2


def test_only_searched_settings_and_the_last_ones(tmp_path: Path) -> None:
    """PBT changes them on the way."""
    write_search(tmp_path)
    write_trials(tmp_path, Made("one"))
    lines = [line(1, 0.1), line(2, 0.2, config={"optim.lr": 5e-4, "optim.name": "adamw", "internal": 1})]
    (tmp_path / "one" / "result.json").write_text("".join(lines))
    assert read(tmp_path)["one"].settings == {"optim.lr": 5e-4, "optim.name": "adamw"}


def test_begun_first_comes_first(tmp_path: Path) -> None:
    """Ids of a searcher's trials are random."""
    write_search(tmp_path)
    write_trials(tmp_path, Made("b", (0.1,), start=30), Made("c", (0.1,), start=10), Made("a", (0.1,), start=20))
    assert list(read(tmp_path)) == ["c", "a", "b"]


def test_a_torn_line_is_left_out(tmp_path: Path) -> None:
    write_search(tmp_path)
    write_trials(tmp_path, Made("one", status="RUNNING"))
    torn = line(2, 0.2)[:50]
    (tmp_path / "one" / "result.json").write_text(line(1, 0.1) + torn)
    assert [epoch["epoch"] for epoch in read(tmp_path)["one"].epochs] == [1]
    (tmp_path / "one" / "result.json").write_text(line(1, 0.1) + torn + line(2, 0.2) + line(3, 0.3))
    assert [epoch["epoch"] for epoch in read(tmp_path)["one"].epochs] == [1, 3]


def test_a_trial_that_went_back_forgets_what_came_later(tmp_path: Path) -> None:
    """After a kill it goes on from its last checkpoint, or under PBT from another's."""
    write_search(tmp_path)
    write_trials(tmp_path, Made("one", status="RUNNING", kept=0))
    (tmp_path / "one" / "result.json").write_text(line(1, 0.1) + line(2, 0.9) + line(3, 0.8) + line(2, 0.2))
    trial = read(tmp_path)["one"]
    assert [(epoch["epoch"], epoch["AP"]) for epoch in trial.epochs] == [(1, 0.1), (2, 0.2)]


def test_best_checkpoint_among_those_kept(tmp_path: Path) -> None:
    write_search(tmp_path)
    write_trials(
        tmp_path,
        Made("all", (0.1, 0.9, 0.3, 0.4), kept=4),
        Made("two", (0.1, 0.9, 0.5, 0.4), kept=2),
        Made("unscored", (None, None)),
        Made("none", (0.1,), kept=0),
    )
    found = {name: trial.checkpoint for name, trial in read(tmp_path).items()}
    assert found["all"] == str(tmp_path / "all" / "checkpoint_000001" / CHECKPOINT)
    assert found["two"] == str(tmp_path / "two" / "checkpoint_000002" / CHECKPOINT)
    assert found["unscored"] == str(tmp_path / "unscored" / "checkpoint_000001" / CHECKPOINT)
    assert found["none"] is None


def test_smaller_is_better_for_a_loss(tmp_path: Path) -> None:
    write_search(tmp_path, metric="loss", mode="min")
    write_trials(tmp_path, Made("one", (0.9, 0.1)))
    assert read(tmp_path)["one"].checkpoint == str(tmp_path / "one" / "checkpoint_000001" / CHECKPOINT)


def test_several_workers_say_themselves_where_the_checkpoint_is(tmp_path: Path) -> None:
    write_search(tmp_path)
    write_trials(tmp_path, Made("one", kept=0))
    uri = "s3://bucket/runs/one/best.ckpt"
    (tmp_path / "one" / "result.json").write_text(line(1, 0.1, checkpoint_dir_name=None, checkpoint_path=uri))
    assert read(tmp_path)["one"].checkpoint == uri


ERROR = """Failure # {number} (occurred at 2026-11-20_23-14-31)
\x1b[36mray::ImplicitFunc.train()\x1b[39m (pid=6732, ip=192.0.2.2)
  File "trial.py", line 23, in trial
    raise RuntimeError("first line")
RuntimeError: first line
second line
"""


def test_without_a_note_the_error_file_says_why(tmp_path: Path) -> None:
    write_search(tmp_path)
    write_trials(tmp_path, Made("raised", (0.1,), status="ERROR"), Made("again", (0.1,), status="RUNNING"))
    for name in ("raised", "again"):
        (tmp_path / name / "error.txt").write_text(ERROR.format(number=1))
    trials = read(tmp_path)
    assert trials["raised"].reason == "RuntimeError: first line\nsecond line"
    assert (trials["again"].status, trials["again"].reason) == ("running", None)  # Ray starts it again


def test_failed_too_often_whatever_the_late_state_says(tmp_path: Path) -> None:
    """Ray can store its last state before it notes that a trial's process died."""
    write_search(tmp_path)
    write_trials(tmp_path, Made("one", (0.1,), status="RUNNING"))
    (tmp_path / "one" / "error.txt").write_text("".join(ERROR.format(number=number) for number in (1, 2, 3, 4)))
    assert read(tmp_path)["one"].status == "failed"


def test_killed_process(tmp_path: Path) -> None:
    write_search(tmp_path)
    write_trials(tmp_path, Made("one", (0.1,), status="ERROR"))
    (tmp_path / "one" / "error.txt").write_text(
        "Failure # 1 (occurred at 2026-11-20_23-14-42)\nThe actor died unexpectedly before finishing this task.\n"
        "\tclass_name: ImplicitFunc\nThe actor is dead because its worker process has died. Worker exit type: "
        "SYSTEM_ERROR. Some common causes include: (1) the process was killed by the OOM killer\n"
    )
    assert read(tmp_path)["one"].reason == (
        "The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR."
    )


def test_missing_torn_and_foreign_files(tmp_path: Path) -> None:
    write_search(tmp_path)
    write_trials(tmp_path, Made("one", (0.1, 0.2, 0.3, 0.4)), Made("empty", status="RUNNING"))
    (tmp_path / "one" / "params.json").unlink()
    (tmp_path / "empty" / "result.json").unlink()
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "todo.txt").write_text("not a trial's")
    (tmp_path / "experiment_state-2026-11-20_13-00-00.json").write_text('{"trial_data": [["{')
    trials = read(tmp_path)
    assert list(trials) == ["one", "empty"]
    assert (trials["one"].status, trials["empty"].status) == ("finished", "running")
    assert trials["empty"].settings["optim.name"] == "adam"


def test_folders_of_nothing(tmp_path: Path) -> None:
    assert read_trials(open_folder(tmp_path / "missing")) == []
    assert read_trials(open_folder(tmp_path)) == []


def test_without_search_json_everything_is_a_setting(tmp_path: Path) -> None:
    tmp_path.joinpath("one").mkdir()
    (tmp_path / "one" / "params.json").write_text(json.dumps({"x": [1, 2]}))
    assert read(tmp_path)["one"].settings == {"x": [1, 2]}


def test_best_first_failed_last(tmp_path: Path) -> None:
    write_search(tmp_path)
    write_trials(
        tmp_path,
        Made("silent"),
        Made("failed", (0.9,), failure="out of memory"),
        Made("worse", (0.3, 0.2), stopped=True),
        Made("nan", (math.nan, 0.1)),
        Made("better", (0.1, 0.5, 0.4, 0.3)),
    )
    trials = list(read(tmp_path).values())
    assert [trial.id for trial in ranked(trials, "AP", "max")] == ["better", "worse", "nan", "failed", "silent"]
    assert [trial.id for trial in ranked(trials, "AP", "min")] == ["better", "nan", "worse", "failed", "silent"]
    best = best_trial(trials, "AP", "max")
    assert best is not None
    assert (best.id, best_score(best, "AP", "max"), best_score(best, "AP", "min")) == ("better", 0.5, 0.1)
    assert best_trial([trial for trial in trials if trial.id in ("failed", "silent")], "AP", "max") is None


def test_from_a_store_that_fails_now_and_then(tmp_path: Path, object_store: ObjectStore) -> None:
    write_search(tmp_path)
    write_trials(tmp_path, Made("one", (0.1, 0.2), stopped=True), Made("two", failure="out of memory"))
    uri = object_store.put_folder(tmp_path, "runs/lr")
    object_store.proxy.script = at_rate(0.2, [Status(503)], seed=1)
    one, two = read_trials(open_folder(uri))
    assert object_store.proxy.faults["Status"] > 0
    assert (one.status, two.status, two.reason) == ("stopped", "failed", "out of memory")
    assert one.checkpoint is not None
    assert one.checkpoint.startswith(f"s3://{object_store.bucket}/runs/lr/one/checkpoint_000001/{CHECKPOINT}?")

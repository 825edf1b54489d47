"""One training of an ablation: trained once, evaluated in every way, and gone on with where it was stopped."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from object_store.store import ObjectStore
from rich.console import Console

import tune.ablation_trial as trial
from engine.config import Recipe, override
from engine.diverged import DivergedError
from sharding.storage import open_folder
from tune.ablation_trial import is_finished, record_failure, train_and_score
from tune.table_plan import Training
from tune.table_results import read_scores

FLIP = ("evaluate.flip_test=true",)
NO_FLIP = ("evaluate.flip_test=false",)


@pytest.fixture
def training(tiny_base: Callable[..., Recipe], mini_shards: Callable[[str], Path]) -> Training:
    recipe = tiny_base(f"data.val={mini_shards('coco')}", "train.epochs=1", "train.batch_size=32")
    return Training("tiny_seed0", recipe, (FLIP, NO_FLIP))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """What was done, in order."""
    done: list[str] = []
    for name in ("train", "evaluate_weights"):
        work = getattr(trial, name)
        monkeypatch.setattr(trial, name, lambda *args, work=work, name=name: (done.append(name), work(*args))[1])
    return done


def test_a_training_is_evaluated_in_every_way_and_never_again(
    training: Training, tmp_path: Path, console: Console, counted: list[str]
) -> None:
    scores = train_and_score(training, str(tmp_path), console)
    assert counted == ["train", "evaluate_weights", "evaluate_weights"]
    assert scores.tests.keys() == {FLIP, NO_FLIP}
    assert scores.tests[FLIP].keys() >= {"AP", "AR"}
    assert train_and_score(training, str(tmp_path), console) == read_scores(open_folder(tmp_path), training.id)
    assert len(counted) == 3


def test_a_test_that_is_asked_for_later_costs_no_training(
    training: Training, tmp_path: Path, console: Console, counted: list[str]
) -> None:
    first = train_and_score(replace(training, tests=(FLIP,)), str(tmp_path), console)
    both = train_and_score(training, str(tmp_path), console)
    assert counted == ["train", "evaluate_weights", "train", "evaluate_weights"]  # the second finds it finished
    assert both.tests[FLIP] == first.tests[FLIP]


def test_stopped_between_two_tests_only_the_second_is_done(
    training: Training, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluate, calls = trial.evaluate_weights, []

    def dies_at_the_second(*args: object) -> object:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return evaluate(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(trial, "evaluate_weights", dies_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        train_and_score(training, str(tmp_path), console)
    stored = read_scores(open_folder(tmp_path), training.id)
    assert stored is not None
    assert stored.tests.keys() == {FLIP}
    assert not is_finished(training, stored)
    train_and_score(training, str(tmp_path), console)
    assert len(calls) == 3


def test_stopped_in_the_middle_of_training_it_goes_on_from_the_checkpoint(
    training: Training, tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    train = trial.train

    def dies_after_an_epoch(recipe: Recipe, console: Console) -> None:
        train(override(recipe, ["train.epochs=1"]), console)
        raise KeyboardInterrupt

    longer = replace(training, recipe=override(training.recipe, ["train.epochs=2"]))
    monkeypatch.setattr(trial, "train", dies_after_an_epoch)
    with pytest.raises(KeyboardInterrupt):
        train_and_score(longer, str(tmp_path), console)
    monkeypatch.setattr(trial, "train", train)
    interrupted = train_and_score(longer, str(tmp_path), console)
    assert "resuming" in console.file.getvalue()  # type: ignore[attr-defined]
    assert interrupted.tests == train_and_score(longer, str(tmp_path / "undisturbed"), console).tests


def test_what_is_not_kept_leaves_the_result_only(training: Training, tmp_path: Path, console: Console) -> None:
    train_and_score(training, str(tmp_path), console, keep=False)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["tiny_seed0.json"]


def test_a_failure_keeps_what_is_there_and_success_forgets_it(
    training: Training, tmp_path: Path, console: Console
) -> None:
    folder = open_folder(tmp_path)
    train_and_score(replace(training, tests=(FLIP,)), str(tmp_path), console)
    record_failure(training, folder, "out of\nmemory")
    stored = read_scores(folder, training.id)
    assert stored is not None
    assert (stored.failed, list(stored.tests)) == ("out of memory", [FLIP])
    assert train_and_score(training, str(tmp_path), console).failed is None


def test_a_divergence_comes_out_and_stores_nothing(training: Training, tmp_path: Path, console: Console) -> None:
    diverging = replace(training, recipe=override(training.recipe, ["optim.lr=1e30", "train.epochs=3"]))
    with pytest.raises(DivergedError):
        train_and_score(diverging, str(tmp_path), console)
    assert read_scores(open_folder(tmp_path), training.id) is None


@pytest.mark.slow
def test_all_of_it_can_lie_in_object_storage(
    training: Training, object_store: ObjectStore, tmp_path: Path, console: Console, counted: list[str]
) -> None:
    out = object_store.uri("ablation")
    scores = train_and_score(training, out, console)
    folder = open_folder(out)
    assert folder.subfolder("results").names() == ["tiny_seed0.json"]
    assert "last.ckpt" in folder.subfolder("runs/tiny_seed0").names()
    more = replace(training, tests=(*training.tests, ("evaluate.flip_shift=none",)))
    assert train_and_score(more, out, console, keep=False).tests.items() > scores.tests.items()
    assert not folder.subfolder("runs/tiny_seed0").names()
    assert counted.count("evaluate_weights") == 3

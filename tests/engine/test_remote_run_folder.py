"""A run folder in object storage: what arrives there, and what a run that goes on takes from there."""

import os
import tempfile
import threading
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
import torch
from object_store.faults import Fault, Request, Status
from object_store.store import ObjectStore
from rich.console import Console

from engine.checkpoint import load_checkpoint
from engine.config import Recipe
from engine.remote_copy import TakenOverError, scratch_of
from engine.run_folder import HeldError, RunFolder
from engine.train import train
from sharding.storage import StorageError

MakeRecipe = Callable[..., Recipe]
QUICK = ("storage.attempts=1", "storage.timeout_s=5")


class Machine:
    """One with an own disk, on which this test runs from now on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.monkeypatch, self.folder = monkeypatch, folder
        self.enter("a")

    def enter(self, name: str) -> None:
        (self.folder / name).mkdir(exist_ok=True)
        self.monkeypatch.setattr(tempfile, "tempdir", str(self.folder / name))


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, tmp_path)


def names(store: ObjectStore) -> list[str]:
    return [name.removeprefix("runs/one/") for name in store.names("runs/one/") if not name.endswith("/")]


def stored_step(store: ObjectStore, folder: Path, name: str = "last.ckpt") -> int:
    (folder / "stored.ckpt").write_bytes(store.get(f"runs/one/{name}"))
    return load_checkpoint(folder / "stored.ckpt").step


def unreachable(request: Request) -> Fault | None:
    return Status(503)


def test_everything_arrives_and_nothing_else(
    tiny: MakeRecipe, object_store: ObjectStore, machine: Machine, console: Console, tmp_path: Path,
    mini_shards: Callable[[str], Path],
) -> None:  # fmt: skip
    uri = object_store.uri("runs/one")
    result = train(tiny(f"run_dir={uri}", f"data.val={mini_shards('coco')}"), console)
    found = names(object_store)
    assert {"last.ckpt", "best.ckpt", "recipe.json"} <= set(found)
    assert any(name.startswith("tensorboard/events") for name in found)
    assert not any("lock" in name or name.endswith((".partial", "copied.json")) for name in found)
    assert stored_step(object_store, tmp_path) == result.steps
    for name in found:
        if name != "owner.json":
            assert object_store.get(f"runs/one/{name}") == (result.last.parent / name).read_bytes()


def test_killed_and_resumed_on_another_machine(
    tiny: MakeRecipe, object_store: ObjectStore, machine: Machine, console: Console, seen, tmp_path: Path
) -> None:
    whole = tiny("train.epochs=3", "train.checkpoint_every_steps=2", f"run_dir={tmp_path / 'whole'}")
    weights = load_checkpoint(train(whole, console).last).model
    expected, seen.batches = seen.batches, []
    recipe = tiny("train.epochs=3", "train.checkpoint_every_steps=2", f"run_dir={object_store.uri('runs/one')}")
    seen.die_at = 3
    with pytest.raises(type(seen).Killed):
        train(recipe, console)
    first, seen.batches, seen.die_at = seen.batches[:2], [], 5
    machine.enter("b")
    with pytest.raises(type(seen).Killed):
        train(recipe, console)
    second, seen.batches, seen.die_at = seen.batches[:4], [], None
    machine.enter("a")  # whose files are older than those in the store
    resumed = train(recipe, console)
    assert first + second + seen.batches == expected
    torch.testing.assert_close(load_checkpoint(resumed.last).model, weights, rtol=0, atol=0)


def test_a_store_that_is_away_for_a_while(
    tiny: MakeRecipe, object_store: ObjectStore, machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    console, saved = Console(file=StringIO(), width=1000), []
    save = RunFolder.save

    def away_at_first(folder: RunFolder, checkpoint, name: str) -> None:  # type: ignore[no-untyped-def]
        saved.append(name)
        object_store.proxy.script = unreachable if 2 <= len(saved) <= 4 else lambda request: None
        save(folder, checkpoint, name)

    monkeypatch.setattr(RunFolder, "save", away_at_first)
    result = train(tiny("train.epochs=3", f"run_dir={object_store.uri('runs/one')}", *QUICK), console)
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert said.count("could not be brought up to date; its files stay in") == 3
    assert str(result.last.parent) in said
    assert stored_step(object_store, tmp_path) == result.steps


def test_a_store_that_is_away_at_the_end_costs_nothing(
    tiny: MakeRecipe, object_store: ObjectStore, machine: Machine, console: Console, seen, tmp_path: Path
) -> None:
    """The error says where the files are; the same call there goes on with them."""
    recipe = tiny("train.epochs=2", f"run_dir={object_store.uri('runs/one')}", *QUICK)

    def away_later(request: Request) -> Fault | None:
        return Status(503) if len(seen.batches) > 2 and request.method in ("PUT", "POST") else None

    object_store.proxy.script = away_later
    scratch = scratch_of(recipe.run_dir)
    with pytest.raises(StorageError, match=f"runs/one.* lacks what was written last; it is in {scratch}"):
        train(recipe, console)
    trained = load_checkpoint(scratch / "last.ckpt").step
    assert trained == len(seen.batches)
    assert "last.ckpt" not in names(object_store)
    object_store.proxy.script = lambda request: None
    seen.batches = []
    assert train(recipe, console).steps == trained
    assert seen.batches == []
    assert stored_step(object_store, tmp_path) == trained


def test_a_torn_upload_is_no_checkpoint(
    tiny: MakeRecipe, object_store: ObjectStore, machine: Machine, console: Console, tmp_path: Path
) -> None:
    recipe = tiny("train.epochs=1", f"run_dir={object_store.uri('runs/one')}", *QUICK)
    train(recipe, console)
    before = object_store.get("runs/one/last.ckpt")

    def torn(request: Request) -> Fault | None:
        from object_store.faults import Reset

        return Reset(5000) if request.method == "PUT" and request.key.endswith("last.ckpt") else None

    object_store.proxy.script = torn
    with pytest.raises(StorageError):
        train(tiny("train.epochs=2", f"run_dir={object_store.uri('runs/one')}", *QUICK), console)
    assert object_store.proxy.faults["Reset"] > 0
    assert object_store.get("runs/one/last.ckpt") == before
    object_store.proxy.script = lambda request: None
    machine.enter("b")
    assert (
        train(tiny("train.epochs=2", f"run_dir={object_store.uri('runs/one')}"), console).steps
        > stored_step(object_store, tmp_path, "best.ckpt") - 1
    )


@pytest.mark.parametrize("deleted", ["everything", "last.ckpt"])
def test_who_deletes_the_remote_folder_starts_afresh(
    deleted: str, tiny: MakeRecipe, object_store: ObjectStore, machine: Machine, console: Console, seen
) -> None:
    recipe = tiny("train.epochs=1", f"run_dir={object_store.uri('runs/one')}")
    result = train(recipe, console)
    stale = result.last.with_name("stale.txt")
    stale.write_text("of the first run")
    once, seen.batches = seen.batches, []
    for name in object_store.names("runs/one/"):
        if deleted in ("everything", name.rsplit("/", 1)[-1]):
            object_store._ask("DELETE", name)
    train(recipe, console)
    assert seen.batches == once
    assert ("stale.txt" in names(object_store)) == (deleted == "last.ckpt")


def test_a_forgotten_process_is_stopped_before_it_writes(
    tiny: MakeRecipe, object_store: ObjectStore, machine: Machine, console: Console
) -> None:
    recipe = tiny("train.epochs=1", f"run_dir={object_store.uri('runs/one')}")
    said: list[str] = []
    forgotten = RunFolder(recipe, True, said.append)
    (forgotten.path / "notes.txt").write_text("old")
    forgotten._bring_up_to_date()
    machine.enter("b")
    train(recipe, console)
    (forgotten.path / "last.ckpt").write_text("older")
    good = object_store.get("runs/one/last.ckpt")
    with pytest.raises(TakenOverError, match=f"process {os.getpid()} on .* has taken over s3://.*runs/one"):
        forgotten._bring_up_to_date()
    assert object_store.get("runs/one/last.ckpt") == good
    with pytest.raises(TakenOverError):
        forgotten.close()


def test_runs_do_not_collide_on_one_machine(
    tiny: MakeRecipe, object_store: ObjectStore, machine: Machine, console: Console
) -> None:
    one, other = (tiny("train.epochs=1", f"run_dir={object_store.uri(f'runs/{name}')}") for name in ("one", "two"))
    folder = RunFolder(one, True, print)
    train(other, console)
    with pytest.raises(HeldError, match=r"another training runs in s3://.*runs/one"):
        RunFolder(one, True, print)
    folder.close()
    assert object_store.names("runs/two/last.ckpt")
    assert not object_store.names("runs/one/last.ckpt")


def test_a_launched_process_waits_for_its_predecessor(
    tiny: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predecessor = RunFolder(tiny(), True, print)
    with pytest.raises(HeldError):  # nobody is patient who was not launched
        RunFolder(tiny(), True, print)
    ended: list[float] = []

    def end() -> None:
        ended.append(time.monotonic())
        predecessor.close()

    monkeypatch.setenv("WORLD_SIZE", "1")
    threading.Timer(0.5, end).start()
    RunFolder(tiny(), True, print).close()
    assert len(ended) == 1  # it did not get in before
    assert time.monotonic() - ended[0] < 5

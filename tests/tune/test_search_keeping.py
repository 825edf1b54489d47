"""A checkpoint stays until the state from which a killed search would go on names it no longer."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from sharding.storage import open_folder
from tune import keeping
from tune.keeping import Keeping


class Search:
    """A trial that saves a checkpoint in every iteration, and the states that are stored of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.iteration = folder, 0
        self.keeping = Keeping(open_folder(folder), None, "AP", "max")
        self.results: list[Any] = []

    def save(self, **metrics: float) -> None:
        """Without a score the newest stays."""
        place = self.folder / "trial" / f"checkpoint_{self.iteration:06d}"
        place.mkdir(parents=True)
        self.results.append(SimpleNamespace(checkpoint=SimpleNamespace(path=str(place)), metrics=metrics))
        manager = SimpleNamespace(_checkpoint_results=self.results)
        trial: Any = SimpleNamespace(
            checkpoint=self.results[-1].checkpoint, run_metadata=SimpleNamespace(checkpoint_manager=manager)
        )
        self.keeping.on_trial_save(self.iteration, [trial], trial)
        self.results = manager._checkpoint_results
        self.iteration += 1

    def store(self, text: str | None = None) -> list[str]:
        """What it names."""
        state = text or json.dumps({"runner_data": {"_iteration": self.iteration}})
        (self.folder / "experiment_state-1.json").write_text(state)
        return [Path(one.checkpoint.path).name for one in self.results]

    def names(self) -> set[str]:
        return {path.name for path in self.folder.glob("trial/checkpoint_*")}


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Search:
    monkeypatch.setattr(keeping, "_LOOK_EVERY_S", 0.0)
    return Search(tmp_path)


def test_what_the_stored_state_names_stays(search: Search) -> None:
    search.save()
    for _ in range(3):
        named = search.store()
        for _ in range(4):
            search.save()
            assert search.names() >= set(named)
    search.store()
    search.keeping.on_experiment_end([])
    assert search.names() == {"checkpoint_000012"}


def test_nothing_is_deleted_while_no_state_can_be_read(search: Search) -> None:
    for _ in range(3):
        search.save()
    assert len(search.names()) == 3
    search.store('{"runner_data": {"_iter')
    search.save()
    assert len(search.names()) == 4


def test_what_was_given_up_is_deleted_by_a_search_that_goes_on(search: Search) -> None:
    search.save()
    search.save()
    search.store()
    noted = search.keeping.get_state()  # gives up the first, and is stored with the state
    search.save()
    later = search.keeping.get_state()  # gives up the second, which the stored state names
    for state, left in (
        (later, {"checkpoint_000001", "checkpoint_000002"}),
        (noted, {"checkpoint_000001", "checkpoint_000002"}),
    ):
        again = Keeping(open_folder(search.folder), None, "AP", "max")
        again.set_state(state)
        again.on_experiment_end([])
        assert search.names() == left


def test_the_best_stays_where_not_every_epoch_is_scored(search: Search) -> None:
    scores = [None, 0.1, None, 0.3, None, float("nan"), 0.2, None]
    for score in scores:
        search.save(**({} if score is None else {"AP": score}), loss=1.0)
    search.store()
    search.keeping.on_experiment_end([])
    assert search.names() == {"checkpoint_000003", "checkpoint_000007"}  # the best and the last

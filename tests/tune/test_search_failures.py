"""What is recorded when a trial, or a whole search, cannot run."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from ray import tune as ray_tune
from rich.console import Console

from engine.config import override
from engine.remote_copy import TakenOverError
from recipes import load_recipe
from sharding.storage import open_folder
from tune import search as search_module
from tune.cluster import ClusterError
from tune.failure import read_failure
from tune.search import search
from tune.space import Resources, Space
from tune.trial import train_trial, with_reasons
from tune.trial_recipe import trial_recipe


@pytest.fixture
def in_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_tune, "get_context", lambda: SimpleNamespace(get_trial_id=lambda: "one"))


def test_settings_that_do_not_go_together_are_the_trials_failure(in_a_trial: None, tmp_path: Path) -> None:
    base = override(
        load_recipe("simplebaseline_resnet50_coco_256x192"),
        ["augmentation.rotation_factor=0", "augmentation.rotation_range=none"],
    )
    config = {"augmentation.rotation_factor": 40.0, "augmentation.rotation_range": 30.0}
    for name, value in config.items():
        trial_recipe(base, {name: value})
    train_trial(config, base, Resources(), "AP", str(tmp_path))  # to Ray it is finished
    failure = read_failure(open_folder(tmp_path / "one"))
    assert failure is not None
    assert failure["kind"] == "ConfigError"
    assert "rotation_range" in failure["reason"]


def test_a_process_that_was_replaced_does_not_fail_the_trial(in_a_trial: None, tmp_path: Path) -> None:
    def work() -> None:
        raise TakenOverError("another process writes there")

    with pytest.raises(TakenOverError):
        with_reasons(work, str(tmp_path))
    assert read_failure(open_folder(tmp_path / "one")) is None


def test_a_search_that_cannot_run_leaves_the_folder_free(
    tiny_space: Callable[..., Space], tmp_path: Path, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*asked: object) -> None:
        raise ClusterError("no cluster")

    monkeypatch.setattr(search_module, "connected", none)
    with pytest.raises(ClusterError):
        search(tiny_space(), str(tmp_path / "out"), console)
    assert not (tmp_path / "out" / "search.json").exists()

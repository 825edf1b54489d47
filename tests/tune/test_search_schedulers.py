"""Population-based training draws from its seed alone, and changes what was searched, within its bounds."""

import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tune.distributions import Choice, IntUniform, LogUniform, Uniform
from tune.schedulers import Cloning, make_scheduler
from tune.space import Pbt, Space

SEARCH = {
    "optim.lr": LogUniform(1e-4, 1e-2),
    "augmentation.rotation_factor": Uniform(0, 60, step=5),
    "optim.warmup_steps": IntUniform(1, 50),
    "augmentation.flip_probability": Choice(0.0, 0.25, 0.5),
}
CONFIG = {
    "optim.lr": 9.9e-3, "augmentation.rotation_factor": 60, "optim.warmup_steps": 50,
    "augmentation.flip_probability": 0.5,
}  # fmt: skip


def scheduler(seed: int) -> Cloning:
    made = make_scheduler(Space(
        recipe="demo_synthetic", search=SEARCH, searcher="random", metric="loss", mode="min", seed=seed,
        scheduler=Pbt(resample_probability=0.3),
    ), 8)  # fmt: skip
    assert isinstance(made, Cloning)
    return made


def clone(seed: int, epoch: int, monkeypatch: pytest.MonkeyPatch, search: str = "1f2e") -> tuple[str, dict[str, Any]]:
    """The donor, and the settings after it, of the worst of four trials."""
    chosen: list[tuple[str, dict[str, Any]]] = []

    def exploit(self: Cloning, controller: Any, trial: Any, donor: Any) -> None:
        chosen.append((donor.trial_id[-1], self._get_new_config(trial, donor)[0]))

    monkeypatch.setattr(Cloning, "_exploit", exploit)
    pbt = scheduler(seed)
    trials = [_Trial(f"{search}_0000{number}") for number in range(4)]
    pbt._trial_state = {
        trial: SimpleNamespace(last_checkpoint=object(), last_train_time=epoch, last_result={}) for trial in trials
    }
    pbt._checkpoint_or_exploit(trials[0], None, trials[1:], trials[:1])
    return chosen[0]


class _Trial:
    config = CONFIG

    def __init__(self, trial_id: str) -> None:
        self.trial_id = trial_id


def test_clones_depend_on_the_seed_the_trial_and_its_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    first = [clone(3, epoch, monkeypatch) for epoch in range(4, 24)]
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002
    untouched = random.random()
    random.seed(1)
    assert [clone(3, epoch, monkeypatch, search="77aa") for epoch in range(4, 24)] == first
    assert random.random() == untouched
    assert [clone(4, epoch, monkeypatch) for epoch in range(4, 24)] != first
    assert len({donor for donor, _ in first}) == 3
    assert len({str(settings) for _, settings in first}) > 10


def test_changed_settings_stay_within_the_space(monkeypatch: pytest.MonkeyPatch) -> None:
    for epoch in range(60):
        _, settings = clone(0, epoch, monkeypatch)
        assert settings.keys() == SEARCH.keys()
        assert 1e-4 <= settings["optim.lr"] <= 1e-2
        assert settings["augmentation.rotation_factor"] in range(0, 65, 5)
        assert settings["optim.warmup_steps"] in range(1, 51)
        assert settings["augmentation.flip_probability"] in (0.0, 0.25, 0.5)

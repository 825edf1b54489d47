"""A recipe small enough to train in a second, on mini shards."""

from collections.abc import Callable
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from engine.config import Recipe, override, parse_recipe
from engine.topdown import TopDownTask
from pipelines.topdown import TopDownBatch

TINY = {
    "name": "tiny",
    "run_dir": "unset",
    "data": {"crop_size": [64, 32], "threads": 1},
    "model": {"name": "simplebaseline_resnet18", "options": {"width": 8, "deconv_channels": [8, 8, 8]}},
    "augmentation": {"scale_factor": 0.2, "rotation_factor": 20, "flip_probability": 0.5},
    "optim": {"lr": 2e-3, "milestones": [1]},
    "train": {"epochs": 2, "batch_size": 8, "precision": "32-true", "verdict_seconds": 0},
    "evaluate": {"batch_size": 16},
}


@pytest.fixture
def tiny(mini_shards: Callable[[str], Path], tmp_path: Path) -> Callable[..., Recipe]:
    """tiny(*overrides, layout="coco"): a recipe that trains on mini shards in this test's own run folder."""

    def make(*overrides: str, layout: str = "coco") -> Recipe:
        own = [f"run_dir={tmp_path / 'run'}", f"data.train={mini_shards(layout)}"]
        return override(parse_recipe(TINY), [*own, *overrides])

    return make


TINY_BOTTOMUP = {
    **{name: TINY[name] for name in ("name", "run_dir", "optim")},
    "data": {"crop_size": [64, 64], "threads": 1},
    "model": {
        "name": "guided_hrnet_w32",
        "options": {"width": 4, "stem": 4, "modules": [1, 1, 1], "blocks": 1, "regression_width": 8},
    },
    "heatmap": {"encoding": "exact"},
    "bottomup": {"augmentation": {"scale_min": 0.75, "scale_max": 1.5, "max_rotation": 30, "flip_probability": 0.5}},
    "train": {"epochs": 2, "batch_size": 4, "precision": "32-true", "verdict_seconds": 0},
}


@pytest.fixture
def tiny_bottomup(mini_shards: Callable[[str], Path], tmp_path: Path) -> Callable[..., Recipe]:
    """tiny_bottomup(*overrides, layout="coco"): the same for whole pictures."""

    def make(*overrides: str, layout: str = "coco") -> Recipe:
        own = [f"run_dir={tmp_path / 'run'}", f"data.train={mini_shards(layout)}"]
        return override(parse_recipe(TINY_BOTTOMUP), [*own, *overrides])

    return make


@pytest.fixture
def console() -> Console:
    return Console(file=StringIO(), width=200)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> "Seen":
    """Which instances the training loss was asked about, batch by batch; `die_at` ends the run in that call."""
    return Seen(monkeypatch)


class Seen:
    class Killed(BaseException):
        """Stands for a kill: nothing in the engine catches it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[list[int]] = []
        self.die_at: int | None = None
        loss = TopDownTask.loss

        def recorded(task: TopDownTask, maps, outputs, batch: TopDownBatch, *over_ranks):  # type: ignore[no-untyped-def]
            if self.die_at is not None and len(self.batches) >= self.die_at:
                raise Seen.Killed
            self.batches.append(batch.instance_ids[batch.valid].tolist())
            return loss(task, maps, outputs, batch, *over_ranks)

        monkeypatch.setattr(TopDownTask, "loss", recorded)

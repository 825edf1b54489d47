"""A search space over trainings of a second, and Ray clusters inside this machine."""

import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path

import pytest
import torch
from rich.console import Console

from engine.checkpoint import load_checkpoint
from engine.config import Recipe, override, parse_recipe
from engine.topdown import TopDownTask
from engine.train import train
from tune.distributions import LogUniform
from tune.space import Space

TINY = {
    "name": "tiny",
    "data": {"crop_size": [64, 32], "threads": 1},
    "model": {"name": "simplebaseline_resnet18", "options": {"width": 8, "deconv_channels": [8, 8, 8]}},
    "augmentation": {"scale_factor": 0.2, "rotation_factor": 20, "flip_probability": 0.5},
    "optim": {"lr": 2e-3, "milestones": [1]},
    "train": {"epochs": 2, "batch_size": 8, "precision": "32-true", "verdict_seconds": 0},
    "evaluate": {"batch_size": 16},
}


@pytest.fixture
def tiny_base(mini_shards: Callable[[str], Path]) -> Callable[..., Recipe]:
    """tiny_base(*settings): the recipe of tiny trainings on mini shards."""
    return lambda *settings: override(parse_recipe(TINY), [f"data.train={mini_shards('coco')}", *settings])


@pytest.fixture
def tiny_space(mini_shards: Callable[[str], Path], tmp_path: Path) -> Callable[..., Space]:
    """tiny_space(**fields): a search over tiny trainings."""
    recipe = tmp_path / "tiny.json"
    recipe.write_text(json.dumps(TINY))

    def make(**fields: object) -> Space:
        own = {
            "recipe": str(recipe),
            "settings": (f"data.train={mini_shards('coco')}",),
            "search": {"optim.lr": LogUniform(1e-5, 1e-1)},
            "metric": "loss",
            "mode": "min",
            "trials": 3,
            "scheduler": None,
        }
        return Space.model_validate(own | fields)

    return make


Seen = tuple[list[list[int]], dict[str, torch.Tensor]]


@pytest.fixture
def calm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Recipe], Seen]:
    """calm(recipe): the instances of every batch, and the weights in the end, of a training outside any search."""

    def run(recipe: Recipe) -> Seen:
        seen: list[list[int]] = []
        loss = TopDownTask.loss

        def noted(task, maps, outputs, batch, *more):  # type: ignore[no-untyped-def]
            seen.append(batch.instance_ids[batch.valid].tolist())
            return loss(task, maps, outputs, batch, *more)

        with monkeypatch.context() as patch:
            patch.setattr(TopDownTask, "loss", noted)
            trained = train(override(recipe, [f"run_dir={tmp_path / 'calm'}"]), Console(file=StringIO()))
        return seen, load_checkpoint(trained.last).model

    return run


@pytest.fixture
def console() -> Console:
    return Console(file=StringIO(), width=200)


@pytest.fixture(scope="session")
def ray_folder() -> Iterator[str]:
    """For sockets, whose paths must be short."""
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True) as folder:
        yield folder


@pytest.fixture
def ray_here(ray_folder: str) -> Iterator[None]:
    """Ray with two cores, in the environment of the test."""
    with _ray(ray_folder):
        yield


@pytest.fixture(scope="module")
def shared_ray(ray_folder: str) -> Iterator[None]:
    """The same for all tests of a file, none of which may need an environment of its own."""
    with _ray(ray_folder):
        yield


@contextmanager
def _ray(folder: str) -> Iterator[None]:
    import ray

    os.environ["RAY_AUTH_MODE"] = "disabled"
    names = ("AWS_", "NO_PROXY", "no_proxy", "OMP_")
    environment = {name: value for name, value in os.environ.items() if name.startswith(names)}
    ray.init(
        "local", num_cpus=2, num_gpus=0, include_dashboard=False, log_to_driver=False, logging_level="error",
        runtime_env={"env_vars": environment}, _temp_dir=folder,
    )  # fmt: skip
    try:
        yield
    finally:
        ray.shutdown()

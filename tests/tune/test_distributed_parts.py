"""What a training on Ray says and decides when workers fail, and which of its settings are paths."""

import os
import types
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from ray.exceptions import RayActorError
from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError
from ray.train.v2.api.exceptions import ControllerError, WorkerGroupError

from engine.config import ConfigError, Recipe, override
from engine.diverged import DivergedError
from engine.run_folder import HeldError
from sharding.storage import StorageError, open_folder
from tune.cluster import ClusterError
from tune.distributed import _reason, _require_shared
from tune.lines import Lines
from tune.overseer import failures, repeating
from tune.places import with_absolute_places

DEATH = WorkerHealthCheckFailedError(
    "Worker health check failed.",
    RayActorError(
        error_msg="The actor died unexpectedly.\n\tip: 10.0.0.7\nThe actor is dead because its node has died."
    ),
)


def test_only_what_would_come_again_ends_a_training() -> None:
    diverged, refused = DivergedError("nan"), ConfigError("no such setting")
    assert repeating({1: refused, 0: diverged, 2: RuntimeError("lost")}) is diverged
    assert repeating({0: RuntimeError("lost"), 1: refused}) is refused
    assert repeating({0: DEATH, 1: StorageError("away"), 2: HeldError("held"), 3: RuntimeError("lost")}) is None
    assert repeating({0: MemoryError()}) is not None


def test_a_death_is_named_and_its_echoes_are_not() -> None:
    lost = RuntimeError("\n  [gloo] Connection closed by peer\nmore")
    assert failures({0: lost, 1: DEATH}) == [
        "worker 1 on 10.0.0.7 died: it was killed, ran out of memory, or its machine is gone"
    ]
    assert failures({0: lost}) == ["worker 0 failed: RuntimeError: [gloo] Connection closed by peer"]


def test_lines_are_told_when_they_are_whole() -> None:
    class Told(list):  # type: ignore[type-arg]
        put = list.append

    told = Told()
    lines = Lines(told)
    for text in ("epoch ", "1\n\n  AP", " 0.5\nunfinished"):
        lines.write(text)
    assert told == ["epoch 1", "  AP 0.5"]


def test_a_run_folder_that_only_the_first_machine_has_is_refused(tmp_path: Path) -> None:
    _require_shared(str(tmp_path))
    _require_shared("s3://bucket/run")
    with pytest.raises(
        ConfigError, match=r"run_dir=.*absent was made, but not for .*: give a folder that all machines"
    ):
        _require_shared(str(tmp_path / "absent"))


def test_what_is_told_in_the_end(tmp_path: Path) -> None:
    folder, away = open_folder(tmp_path), StorageError("away")
    refused = _reason(ControllerError(ConfigError("no such setting")), folder)
    assert (type(refused), str(refused)) == (ConfigError, "no such setting")
    assert str(_reason(ControllerError(MemoryError("too large")), folder)) == "MemoryError: too large"
    assert _reason(WorkerGroupError("", {0: RuntimeError("lost"), 1: away}), folder) is away
    with pytest.raises(
        ClusterError, match=r"died too often, the last time: worker 1 on 10\.0\.0\.7 died: it was killed"
    ):
        raise _reason(WorkerGroupError("", {0: RuntimeError("lost"), 1: DEATH}), folder)


NOT_PATHS = {"name", "data.skeleton", "model.name", "model.plugin"}


def text_settings(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Settings that are free text."""
    for name, field in model.model_fields.items():
        for kind in flattened(field.annotation):
            if kind is str:
                yield prefix + name
            elif isinstance(kind, type) and issubclass(kind, BaseModel):
                yield from text_settings(kind, f"{prefix}{name}.")


def flattened(annotation: object) -> Iterator[object]:
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) in (tuple, typing.Union):
        for part in typing.get_args(annotation):
            yield from flattened(part)
    else:
        yield annotation


def test_every_setting_that_is_a_path_becomes_absolute(
    tiny_base: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from recipes import load_recipe

    monkeypatch.chdir(tmp_path)
    paths = set(text_settings(Recipe)) - NOT_PATHS
    assert len(paths) == 7
    settings = [f"{path}=some/{path}" for path in sorted(paths - {"evaluate.detections"})]
    recipe = override(load_recipe("guided_hrnet_w32_coco_512"), ["bottomup.grouping.scoring=learned", *settings])
    placed = with_absolute_places(override(recipe, ['data.train=["a", "s3://b/c", "~/d"]']))
    assert placed.run_dir == f"{tmp_path}/some/run_dir"
    assert placed.data.train == (f"{tmp_path}/a", "s3://b/c", os.path.expanduser("~/d"))
    assert placed.bottomup is not None
    found = (placed.model.weights, placed.storage.cache, placed.data.val, placed.bottomup.grouping.score_net)
    names = ("model.weights", "storage.cache", "data.val", "bottomup.grouping.score_net")
    assert found == tuple(f"{tmp_path}/some/{name}" for name in names)
    single = with_absolute_places(tiny_base("evaluate.detections=boxes.json"))
    assert single.evaluate.detections == f"{tmp_path}/boxes.json"

"""What is submitted means the same on the cluster, or is refused by its name."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.config import ConfigError
from recipes import load_recipe
from tune.job_arguments import JobArgumentError, portable_arguments

RECIPE = "simplebaseline_resnet50_coco_256x192"


def train(*settings: str, recipe: str = RECIPE) -> Any:
    words = [recipe, *settings]
    return portable_arguments("train", words, {"recipe": recipe, "settings": list(settings)})


def test_absolute_paths_and_uris_go_through_as_they_are() -> None:
    settings = ("run_dir=s3://b/run", 'data.train=["/shards/a","gs://b/c"]', "data.val=/shards/val", "optim.lr=5e-4")
    found = train(*settings, "storage.cache=none")
    assert found.words == (RECIPE, *settings, "storage.cache=none")
    assert found.files == {}


@pytest.mark.parametrize(
    "setting",
    ["data.train=shards/x", "data.val=./val", "model.weights=resnet50.pth", "run_dir=runs/y", "storage.cache=~/cache",
     'data.train=["/shards/a","shards/b"]', "evaluate.detections=boxes.json"],
)  # fmt: skip
def test_a_relative_path_is_refused_by_the_settings_name(setting: str) -> None:
    given = ["run_dir=/runs/x", setting] if not setting.startswith("run_dir") else [setting]
    with pytest.raises(JobArgumentError, match=rf"^{setting.partition('=')[0]} is .*absolute path"):
        train(*given)


def test_a_run_folder_that_nobody_named_is_refused_too() -> None:
    """It is in the recipe, and would lie in the job's own folder."""
    with pytest.raises(JobArgumentError, match=rf"^run_dir is runs/{RECIPE}, a path in the current folder"):
        train("data.train=/shards/x")


def test_settings_are_checked_before_anything_is_sent() -> None:
    with pytest.raises(ConfigError, match=r"optim\.learning_rate"):
        train("run_dir=/runs/x", "optim.learning_rate=1")


@pytest.mark.parametrize(("value", "said"), [(None, "must be given"), (Path("out"), "is out"), ("a/b", "is a/b")])
def test_an_output_folder_must_be_given_and_be_reachable(value: object, said: str) -> None:
    with pytest.raises(JobArgumentError, match=rf"^--out {said}"):
        portable_arguments("ablate", ["enhancenet-5d"], {"table": "enhancenet-5d", "out": value})


def test_other_paths_of_a_command() -> None:
    given = {"dataset": "coco", "images": Path("val2017"), "annotations": Path("/a.json"), "out": "s3://b/val"}
    with pytest.raises(JobArgumentError, match=r"^--images is val2017"):
        portable_arguments("convert", [], given)
    assert portable_arguments("ablate", ["t"], {"table": "t", "out": "/o", "data": None}).words == ("t",)


def test_a_file_of_ones_own_is_sent_along(tmp_path: Path) -> None:
    path = tmp_path / "best.json"
    tree = json.loads(load_recipe(RECIPE).to_json()) | {"run_dir": "/runs/best"}
    path.write_text(json.dumps(tree))
    found = train("optim.lr=1e-3", recipe=str(path))
    assert found.words == ("submitted/best.json", "optim.lr=1e-3")
    assert found.files == {"submitted/best.json": path}


def test_a_file_with_several_is_sent_and_asked_for_the_same_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text("")
    space = f"{path}:wide"
    found = portable_arguments("tune", ["--out", "/o", space], {"space": space, "out": "/o"})
    assert found.words == ("--out", "/o", "submitted/mine.py:wide")
    assert found.files == {"submitted/mine.py": path}


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(JobArgumentError, match=r"there is no file .*gone\.py"):
        portable_arguments("tune", [], {"space": str(tmp_path / "gone.py"), "out": "/o"})

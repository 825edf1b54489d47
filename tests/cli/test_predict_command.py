"""`posestream predict`, from its words to its exit status."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from engine.checkpoint import Checkpoint, save_checkpoint
from engine.config import Recipe, parse_recipe
from engine.predict_skeleton import skeleton_of_recipe
from engine.tasks import make_task
from pose.errors import UserError
from pose.skeletons import COCO_17
from posestream import app

Run = Callable[..., tuple[int, str]]

TINY = {
    "name": "tiny_coco",
    "data": {"crop_size": [64, 32], "threads": 1},
    "model": {"name": "simplebaseline_resnet18", "options": {"width": 8, "deconv_channels": [8, 8, 8]}},
}


@pytest.fixture
def run() -> Run:
    def invoke(*words: object) -> tuple[int, str]:
        answer = CliRunner().invoke(app, ["predict", *map(str, words)])
        if isinstance(answer.exception, UserError):
            return 1, str(answer.exception)
        return answer.exit_code, " ".join(answer.output.replace("│", " ").split())

    return invoke


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    recipe: Recipe = parse_recipe(TINY)
    weights = make_task(recipe, COCO_17).build_model().state_dict()
    state = Checkpoint(weights, {}, {}, 0, 0, None, torch.get_rng_state(), recipe, "", None, COCO_17)
    save_checkpoint(state, tmp_path / "best.ckpt")
    return tmp_path / "best.ckpt"


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    (tmp_path / "pictures").mkdir()
    Image.fromarray(np.full((60, 40, 3), 120, np.uint8)).save(tmp_path / "pictures" / "a.jpg")
    return tmp_path / "pictures" / "a.jpg"


def test_a_folder_is_answered(run: Run, checkpoint: Path, picture: Path, tmp_path: Path) -> None:
    options = ("--whole-image", "--heatmaps", "--out", tmp_path / "out", "evaluate.flip_test=no")
    status, output = run(checkpoint, picture.parent, *options)
    assert status == 0, output
    assert "1 persons in 1 pictures; 1 instances" in output
    assert len(json.loads((tmp_path / "out" / "predictions.json").read_text())) == 1
    info = json.loads((tmp_path / "out" / "images.json").read_text())["info"]
    assert info["flip test"] == "no"
    assert (tmp_path / "out" / "overlays" / "a.jpg").is_file()
    assert (tmp_path / "out" / "heatmaps" / "a.jpg").is_file()


def test_damage_and_missing_boxes_are_said(run: Run, checkpoint: Path, picture: Path, tmp_path: Path) -> None:
    (picture.parent / "b.jpg").write_text("no picture")
    (tmp_path / "boxes.json").write_text("[]")
    words = (checkpoint, picture.parent, "--boxes", tmp_path / "boxes.json", "--no-overlays", "--out", tmp_path / "out")
    status, output = run(*words)
    assert status == 3
    assert "no box in 1 pictures: a.jpg" in output
    assert "1 pictures could not be looked at: b.jpg: cannot be read" in output
    assert not (tmp_path / "out" / "overlays").exists()


def test_words_that_do_not_fit_are_refused(run: Run, checkpoint: Path, picture: Path, tmp_path: Path) -> None:
    for words, said in (
        ((checkpoint,), "what to look at"),
        ((checkpoint, picture), "--whole-image"),
        ((checkpoint, picture, "--whole-image", "evaluate.flip=no"), "evaluate.flip_test"),
        ((tmp_path / "none.ckpt", picture), "does not exist"),
        ((picture, "--weights", checkpoint), "--recipe"),
    ):
        status, output = run(*words, "--out", tmp_path / "out")
        assert status != 0
        assert said in output
    assert not (tmp_path / "out").exists()


def test_a_recipes_name_says_which_keypoints_it_finds() -> None:
    recipe = parse_recipe(TINY)
    assert skeleton_of_recipe(recipe) == COCO_17
    mpii = recipe.model_copy(update={"data": recipe.data.model_copy(update={"skeleton": "mpii_16"})})
    assert skeleton_of_recipe(mpii).name == "mpii_16"
    with pytest.raises(UserError, match=r"data\.skeleton"):
        skeleton_of_recipe(recipe.model_copy(update={"name": "mine"}))

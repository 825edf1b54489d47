"""Whole pictures at the edge of what there is: nobody, a multitude, tiny and long pictures, damaged ones."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from knowing_network import CENTERS, TAGS, KnowingNetwork, KnowingTask
from PIL import Image
from torch import Tensor

from engine.bottomup import BottomUpTask
from engine.config import Recipe
from engine.diverged import DivergedError
from engine.inference import Answers, predict_split, score_split
from evaluation.score import Score
from models import OutputMap
from sharding.coco import read_coco
from sharding.convert import ConversionSettings, convert
from sharding.dataset import BrokenShardError, ShardedDataset, open_dataset
from sharding.storage import open_folder

MakeRecipe = Callable[..., Recipe]
Outputs = tuple[OutputMap, ...]
Split = Callable[..., ShardedDataset]
SAME_PLACE = ("evaluate.flip_test=false", "heatmap.encoding=exact", "heatmap.sigma=2")
FOR_TAGS = ("bottomup.grouping.threshold=0.1",)


@pytest.fixture
def split(tmp_path: Path) -> Split:
    """split(sizes, persons): pictures of (height, width) px, and for each the keypoints (M, 17, 2) of everybody."""

    def write(sizes: list[tuple[int, int]], persons: list[np.ndarray], broken: int | None = None) -> ShardedDataset:
        images, rows = [], []
        for number, ((height, width), people) in enumerate(zip(sizes, persons, strict=True)):
            file = io.BytesIO()
            Image.fromarray(np.full((height, width, 3), 90, np.uint8)).save(file, "PNG")
            data = file.getvalue()
            (tmp_path / f"{number}.png").write_bytes(data[: len(data) // 2] if number == broken else data)
            images.append({"id": number + 1, "file_name": f"{number}.png", "width": width, "height": height})
            for points in people:
                low, high = points.min(axis=0), points.max(axis=0)
                box = [*low.tolist(), *np.maximum(high - low, 1).tolist()]
                seen = np.concatenate([points, np.full((17, 1), 2)], axis=1).flatten().tolist()
                rows.append(
                    {"id": len(rows) + 1, "image_id": number + 1, "category_id": 1, "bbox": box, "keypoints": seen}
                    | {"area": box[2] * box[3], "iscrowd": 0, "num_keypoints": 17}
                )
        (tmp_path / "annotations.json").write_text(json.dumps({"images": images, "annotations": rows}))
        settings = ConversionSettings(tmp_path, "split", check_images=False)
        convert(read_coco(tmp_path / "annotations.json"), open_folder(tmp_path / "split"), settings)
        return open_dataset(tmp_path / "split")

    return write


def ask(recipe: Recipe, dataset: ShardedDataset, outputs: Outputs) -> tuple[Answers, Score]:
    """What a network finds that knows who is there."""
    task = KnowingTask(recipe, recipe.bottomup, dataset.skeleton)  # type: ignore[arg-type]
    task.network = KnowingNetwork(outputs, dataset.skeleton.flip_indices, "exact")
    return answers_of(task, task.network, dataset)


def answers_of(task: BottomUpTask, network: torch.nn.Module, dataset: ShardedDataset) -> tuple[Answers, Score]:
    samples = task.evaluation_samples(dataset)
    answers = predict_split(task, network, network, samples, torch.device("cpu"))  # type: ignore[arg-type]
    return answers, score_split(task, dataset, answers)


class Constant(torch.nn.Module):
    """Says the same of every place, whatever it is shown: a number for each kind of map."""

    def __init__(self, outputs: Outputs, **values: float) -> None:
        super().__init__()
        self.outputs, self.values = outputs, values

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        channels = {"center": 1, "offsets": 34, "heatmaps": 17, "tags": 17}
        height, width = pixels.shape[2:]
        sizes = [(1, channels[one.kind], round(height / one.stride), round(width / one.stride)) for one in self.outputs]
        return tuple(torch.full(size, self.values[one.kind]) for size, one in zip(sizes, self.outputs, strict=True))


def person(x: float, y: float, width: float, height: float) -> np.ndarray:
    """Keypoints (17, 2) all over a box."""
    steps = np.arange(17) / 16
    return np.stack([x + steps * width, y + (7 * steps % 1) * height], axis=1)


@pytest.mark.parametrize("outputs", [CENTERS, TAGS], ids=["centers", "tags"])
@pytest.mark.parametrize("flip", ["true", "false"])
def test_empty_maps_give_nobody_and_a_score_of_nothing(
    tiny_bottomup: MakeRecipe, mini_coco: ShardedDataset, outputs: Outputs, flip: str
) -> None:
    recipe = tiny_bottomup(f"evaluate.flip_test={flip}", "bottomup.test.scales=[0.5,1]")
    task = BottomUpTask(recipe, recipe.bottomup, mini_coco.skeleton)  # type: ignore[arg-type]
    answers, score = answers_of(task, Constant(outputs, center=0, offsets=0, heatmaps=0, tags=0), mini_coco)
    assert len(answers.predictions) == answers.left_out == 0
    assert score.value == 0
    assert score.results == []


@pytest.mark.parametrize("quality", ["final", "regression", "heatmaps"])
def test_scores_may_all_be_nothing(tiny_bottomup: MakeRecipe, mini_coco: ShardedDataset, quality: str) -> None:
    """Centres without any heat: poses of score 0, which the evaluator takes."""
    recipe = tiny_bottomup("evaluate.flip_test=false", f"bottomup.grouping.quality={quality}")
    task = BottomUpTask(recipe, recipe.bottomup, mini_coco.skeleton)  # type: ignore[arg-type]
    answers, score = answers_of(task, Constant(CENTERS, center=1, offsets=3, heatmaps=0), mini_coco)
    assert np.isfinite(answers.predictions.keypoints).all()
    assert (answers.predictions.box_scores == 0).all()
    assert (len(answers.predictions) > 0) == (quality != "heatmaps")  # no peaks, nothing to group
    assert 0 <= score.value < 0.1


@pytest.mark.parametrize("outputs", [CENTERS, TAGS], ids=["centers", "tags"])
def test_maps_that_are_flat_end(tiny_bottomup: MakeRecipe, mini_coco: ShardedDataset, outputs: Outputs) -> None:
    """Every pixel is as high as its neighbours: no more candidates than asked for."""
    recipe = tiny_bottomup("evaluate.flip_test=false", "bottomup.grouping.max_persons=5")
    task = BottomUpTask(recipe, recipe.bottomup, mini_coco.skeleton)  # type: ignore[arg-type]
    answers, _ = answers_of(task, Constant(outputs, center=1, offsets=0, heatmaps=1, tags=0), mini_coco)
    counts = np.unique(answers.predictions.image_ids, return_counts=True)[1]
    assert len(counts) == mini_coco.num_images
    assert counts.max() <= 5


@pytest.mark.parametrize(
    ("outputs", "kind"),
    [(CENTERS, kind) for kind in ("center", "offsets", "heatmaps")] + [(TAGS, "tags"), (TAGS, "heatmaps")],
)
def test_answers_that_are_no_numbers_are_an_error(
    tiny_bottomup: MakeRecipe, mini_coco: ShardedDataset, outputs: Outputs, kind: str
) -> None:
    recipe = tiny_bottomup("evaluate.flip_test=false")
    task = BottomUpTask(recipe, recipe.bottomup, mini_coco.skeleton)  # type: ignore[arg-type]
    values = {"center": 1.0, "offsets": 1.0, "heatmaps": 1.0, "tags": 1.0} | {kind: float("nan")}
    with pytest.raises(DivergedError, match=r"answer for picture \d+ is no number"):
        answers_of(task, Constant(outputs, **values), mini_coco)


MULTITUDE = np.stack([person(9.3 + 32 * (n % 8), 9.1 + 48 * (n // 8), 16, 24) for n in range(40)])


@pytest.mark.parametrize(
    ("outputs", "setting"), [(CENTERS, "quality=regression"), (CENTERS, "quality=final"), (TAGS, "stop_when_full=true")]
)
@pytest.mark.parametrize("most", [30, 7])
def test_of_a_multitude_as_many_are_found_as_the_recipe_says(
    tiny_bottomup: MakeRecipe, split: Split, outputs: Outputs, setting: str, most: int
) -> None:
    dataset = split([(256, 256)], [MULTITUDE])
    settings = [f"bottomup.grouping.{setting}", f"bottomup.grouping.max_persons={most}", "data.crop_size=512,512"]
    answers, score = ask(tiny_bottomup(*SAME_PLACE, *settings, *FOR_TAGS * (outputs is TAGS)), dataset, outputs)
    found = answers.predictions.keypoints
    assert len(found) == most
    if setting != "quality=final":  # with as few candidates, some take a neighbour's keypoints
        errors = np.linalg.norm(found[:, None] - MULTITUDE, axis=-1).mean(axis=2)
        assert errors.min(axis=1).max() < 1.5
        assert len(set(errors.argmin(axis=1))) == most  # all of them different persons
    assert 0 < score.value <= 20 / 40 + 0.01  # COCO counts 20 answers


@pytest.mark.parametrize("outputs", [CENTERS, TAGS], ids=["centers", "tags"])
def test_a_multitude_is_found_where_the_recipe_allows_it(
    tiny_bottomup: MakeRecipe, split: Split, outputs: Outputs
) -> None:
    dataset = split([(256, 256)], [MULTITUDE])
    settings = ("bottomup.grouping.max_persons=60", "data.crop_size=512,512", *FOR_TAGS * (outputs is TAGS))
    answers, _ = ask(tiny_bottomup(*SAME_PLACE, *settings), dataset, outputs)
    errors = np.linalg.norm(answers.predictions.keypoints[:, None] - MULTITUDE, axis=-1).mean(axis=2)
    assert errors.shape == (40, 40)
    assert errors.min(axis=1).max() < 1
    assert len(set(errors.argmin(axis=1))) == 40


SMALL = [(1, 1), (3, 5), (5, 3), (2, 40), (300, 8), (8, 600)]  # the last one is longer than inputs may be


@pytest.mark.parametrize("outputs", [CENTERS, TAGS], ids=["centers", "tags"])
@pytest.mark.parametrize("fit", ["short", "long"])
def test_tiny_and_long_pictures_are_looked_at(
    tiny_bottomup: MakeRecipe, split: Split, outputs: Outputs, fit: str
) -> None:
    """Keypoints lie in the middle of the picture and further right, and are found to a few px of the input."""
    points = [np.resize([[w / 2, h / 2], [3 * w / 4, h / 2]], (17, 2)) for h, w in SMALL]
    dataset = split(SMALL, [one[None] for one in points])
    settings = (f"bottomup.test.fit={fit}", *FOR_TAGS * (outputs is TAGS))
    answers, _ = ask(tiny_bottomup(*SAME_PLACE, *settings), dataset, outputs)
    assert np.unique(answers.predictions.image_ids).tolist() == list(range(1, len(SMALL) + 1))
    for row, image in enumerate(answers.predictions.image_ids.tolist()):
        height, width = SMALL[image - 1]
        side = min(height, width) if fit == "short" else max(height, width)
        input_px = side / 64 if fit == "long" or max(height, width) < 64 * side else max(height, width) / 4096
        np.testing.assert_allclose(answers.predictions.keypoints[row], points[image - 1], atol=4 * input_px)


def test_damaged_pictures_are_counted_and_noted_or_an_error(tiny_bottomup: MakeRecipe, split: Split) -> None:
    people = [person(10, 10, 40, 60)[None] for _ in range(3)]
    dataset = split([(90, 120)] * 3, people, broken=1)
    with pytest.raises(BrokenShardError, match="000000000002: cannot be decoded"):
        ask(tiny_bottomup(*SAME_PLACE), dataset, CENTERS)
    skip = ("data.on_bad_sample=skip", "data.max_bad_share=0.5")
    answers, score = ask(tiny_bottomup(*SAME_PLACE, *skip), dataset, CENTERS)
    assert answers.left_out == 1
    assert set(answers.predictions.image_ids.tolist()) == {1, 3}
    assert "1 pictures could not be read or decoded: not the official score" in score.notes

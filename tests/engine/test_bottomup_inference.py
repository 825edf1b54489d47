"""From whole pictures to an official score: a network that draws perfect maps finds everybody."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from knowing_network import CENTERS, TAGS, KnowingNetwork, KnowingTask

from engine.bottomup import BottomUpTask
from engine.config import ConfigError, Recipe
from engine.inference import Answers, predict_split, score_split
from evaluation.score import Score
from pose.heatmaps import Encoding
from sharding.dataset import ShardedDataset, open_dataset

MakeRecipe = Callable[..., Recipe]
Ask = Callable[..., tuple[Answers, Score]]


@pytest.fixture
def ask(tiny_bottomup: MakeRecipe, mini_shards: Callable[[str], Path]) -> Ask:
    def run(outputs, *settings: str, layout: str = "coco", encoding: Encoding = "exact") -> tuple[Answers, Score]:  # type: ignore[no-untyped-def]
        recipe = tiny_bottomup(f"heatmap.encoding={encoding}", "data.crop_size=256,256", *settings, layout=layout)
        dataset = open_dataset(mini_shards(layout))
        assert recipe.bottomup is not None
        task = KnowingTask(recipe, recipe.bottomup, dataset.skeleton)
        task.network = KnowingNetwork(outputs, dataset.skeleton.flip_indices, encoding)
        samples = task.evaluation_samples(dataset)
        answers = predict_split(task, task.network, task.network, samples, torch.device("cpu"))  # type: ignore[arg-type]
        return answers, score_split(task, dataset, answers)

    return run


@pytest.mark.parametrize("layout", ["coco", "crowdpose"])
@pytest.mark.parametrize(
    "settings",
    [
        ["evaluate.flip_test=false"],
        ["evaluate.flip_shift=exact"],
        ["evaluate.flip_shift=public"],
        ["evaluate.flip_shift=exact", "bottomup.test.scales=0.5,1,2"],
        ["evaluate.flip_test=false", "bottomup.test.fit=long"],
        ["evaluate.flip_test=false", "bottomup.grouping.quality=regression"],
        ["evaluate.flip_test=false", "bottomup.grouping.quality=heatmaps"],
    ],
    ids=lambda settings: " ".join(setting.removeprefix("evaluate.").removeprefix("bottomup.") for setting in settings),
)
def test_perfect_centres_and_offsets_find_everybody(ask: Ask, layout: str, settings: list[str]) -> None:
    answers, score = ask(CENTERS, *settings, layout=layout)
    assert score.value > 0.95
    assert answers.left_out == 0
    assert (answers.predictions.instance_ids == -1).all()


def test_without_refinement_keypoints_stand_on_the_coarse_maps_pixels(ask: Ask) -> None:
    """Small persons of 256 px pictures suffer: 2 px are much for an eye."""
    _, score = ask(CENTERS, "evaluate.flip_test=false", "bottomup.grouping.gaussian_refinement=false")
    assert 0.7 < score.value < 0.9


@pytest.mark.parametrize("layout", ["coco", "crowdpose"])
@pytest.mark.parametrize(
    ("encoding", "settings"),
    [
        ("exact", ["evaluate.flip_shift=exact"]),
        ("exact", ["evaluate.flip_test=false", "bottomup.test.scales=0.5,1,2"]),
        ("truncated", ["evaluate.flip_shift=none", "bottomup.test.resizing=half_pixel"]),
        ("exact", ["evaluate.flip_test=false", "bottomup.test.to_input=false"]),
    ],
)
def test_perfect_tags_find_everybody(ask: Ask, layout: str, encoding: Encoding, settings: list[str]) -> None:
    _, score = ask(TAGS, *settings, "bottomup.grouping.threshold=0.1", layout=layout, encoding=encoding)
    assert score.value > 0.9


def test_the_published_habits_of_tags_are_better_together_than_apart(ask: Ask) -> None:
    """Half-pixel resizing, keypoints rounded down and mirror images that stay where they are cancel out."""
    published = ("evaluate.flip_shift=none", "bottomup.test.resizing=half_pixel", "bottomup.grouping.threshold=0.1")
    whole = ask(TAGS, *published, encoding="truncated")[1].value
    assert whole > ask(TAGS, *published, "bottomup.test.resizing=aligned", encoding="truncated")[1].value


def test_a_picture_is_looked_at_once_for_each_scale_and_image(tiny_bottomup: MakeRecipe, ask: Ask) -> None:
    """Once more for each stride where the mirrored picture itself is moved."""
    counts = {}
    for name, outputs, settings in (
        ("plain", TAGS, ["evaluate.flip_test=false"]),
        ("mirror", TAGS, ["evaluate.flip_shift=exact"]),
        ("moved", TAGS, ["evaluate.flip_shift=public"]),
        ("scales", CENTERS, ["evaluate.flip_shift=exact", "bottomup.test.scales=0.5,1,2"]),
    ):
        asked: list[int] = []

        class Counting(KnowingNetwork):
            def forward(self, pixels: torch.Tensor, asked: list[int] = asked) -> tuple[torch.Tensor, ...]:
                asked.append(1)
                return super().forward(pixels)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("test_bottomup_inference.KnowingNetwork", Counting)
            answers, _ = ask(outputs, *settings)
        pictures = len(np.unique(answers.predictions.image_ids))
        counts[name] = len(asked) / pictures
    assert counts == {"plain": 1, "mirror": 2, "moved": 3, "scales": 6}


def test_learned_scores_rank_final_poses_only(tiny_bottomup: MakeRecipe, mini_coco: ShardedDataset) -> None:
    class Scorer:
        def score(self, keypoints: torch.Tensor, heat: torch.Tensor) -> torch.Tensor:
            return torch.full((len(keypoints),), 3.0)

    found = {}
    for setting in ("scoring=naive", "scoring=learned", "scoring=learned_alone", "quality=regression"):
        recipe = tiny_bottomup(f"bottomup.grouping.{setting}", "data.crop_size=256,256", "evaluate.flip_test=false")
        scorer = None if setting == "scoring=naive" else Scorer()
        task = KnowingTask(recipe, recipe.bottomup, mini_coco.skeleton, scorer)  # type: ignore[arg-type]
        task.network = KnowingNetwork(CENTERS, mini_coco.skeleton.flip_indices, "exact")
        samples = task.evaluation_samples(mini_coco)
        answers = predict_split(task, task.network, task.network, samples, torch.device("cpu"))  # type: ignore[arg-type]
        found[setting] = task.ranking(answers.predictions)[0]
    assert set(found["scoring=learned_alone"]) == {3.0}
    assert len(set(found["scoring=naive"])) > 2
    np.testing.assert_allclose(found["scoring=learned"], 3 * found["scoring=naive"])
    assert len(set(found["quality=regression"])) > 2


@pytest.mark.parametrize(
    ("outputs", "settings", "message"),
    [
        (TAGS, ["bottomup.grouping.quality=regression"], "networks with tags only have final poses"),
        (CENTERS[:1] + CENTERS[2:], [], "needs? a network with tags, or with centres and offsets"),
        (CENTERS, ["bottomup.test.to_input=false"], r"to_input=false: distances are in px of the input"),
        (CENTERS, ["bottomup.test.scales=[0.3]"], r"bottomup\.test: .*0\.3"),
        (CENTERS, ["evaluate.detections=boxes.json"], "bottom-up recipes take no boxes"),
    ],
)
def test_what_cannot_be_done_is_said(ask: Ask, outputs, settings: list[str], message: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError, match=message):
        ask(outputs, *settings)


def test_mpii_has_no_score_of_whole_pictures(tiny_bottomup: MakeRecipe, mini_mpii: ShardedDataset) -> None:
    recipe = tiny_bottomup(layout="mpii")
    assert recipe.bottomup is not None
    with pytest.raises(ConfigError, match="it scores single persons"):
        BottomUpTask(recipe, recipe.bottomup, mini_mpii.skeleton).evaluation_samples(mini_mpii)

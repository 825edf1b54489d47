"""Each recipe of whole pictures has the numbers of its paper or its public code (specs 0.4, 1.1 and 3; base-nets)."""

from fnmatch import fnmatch
from typing import Any

import pytest

from engine.bottomup_config import BottomUpConfig
from engine.config import DataConfig, ModelConfig, Recipe, leaves
from recipes import list_recipes, load_recipe

BOTTOM_UP = [name for name in list_recipes() if load_recipe(name).bottomup is not None and name != "memorise_bottomup"]
# What such recipes may set; all else, such as how persons become crops, is as it comes.
OWN = ("name", "run_dir", "data.crop_size", "data.normalisation", "model.*", "heatmap.sigma", "heatmap.encoding",
       "bottomup.*", "optim.*", "train.epochs", "train.batch_size", "train.validate_every",
       "evaluate.flip_shift")  # fmt: skip

# What holds for all that are not named below.
COMMON: dict[str, Any] = {
    "model.plugin": None,
    "model.options.guidance": None,
    "model.options.adaptive": None,
    "bottomup.augmentation.max_rotation": 30,
    "bottomup.augmentation.translation_factor": 40 / 200,
    "bottomup.augmentation.flip_probability": 0.5,
    "bottomup.augmentation.scale_min": 0.75,
    "bottomup.test.multiple": 64,
    "bottomup.test.short_side": None,
    "bottomup.test.scales": [1],
    "bottomup.test.average_strides": True,
    "bottomup.grouping.max_persons": 30,
    "bottomup.targets.ignore_outside": True,
    "heatmap.sigma": 2,
    "optim.name": "adam",
    "optim.schedule": "multistep",
    "optim.weight_decay": 0,
    "optim.warmup_steps": 0,
    "evaluate.flip_test": True,
}
SHORT = {
    "data.normalisation": "imagenet",
    "bottomup.pictures": "annotated",
    "bottomup.fit": "short",
    "bottomup.augmentation.scale_max": 1.5,
    "bottomup.test.fit": "short",
    "bottomup.test.to_input": True,
    "bottomup.grouping.pool": 5,
    "optim.lr": 1e-3,
    "optim.gamma": 0.1,
}
GUIDED = {
    "bottomup.test.average_strides": False,
    "heatmap.encoding": "exact",
    "bottomup.targets.background": 0.1,
    "bottomup.targets.common_mask": False,
    "bottomup.targets.center_sigma": 4,
    "bottomup.targets.center_radius": 4,
    "bottomup.targets.overlap": "nearest",
    "bottomup.targets.offset_scale": "diagonal",
    "bottomup.targets.offset_weight": 0.01,
    "bottomup.test.resizing": "aligned",
    "bottomup.grouping.threshold": 0.01,
    "bottomup.grouping.center_threshold": 0.01,
    "bottomup.grouping.absorb_px": 75,
    "bottomup.grouping.gaussian_refinement": True,
    "bottomup.grouping.quality": "final",
    "bottomup.score_net.epochs": 20,
    "bottomup.score_net.batch_size": 1024,
    "bottomup.score_net.lr": 1e-3,
    "evaluate.flip_shift": "exact",
}
TAGS = {
    "heatmap.encoding": "truncated",
    "bottomup.targets.background": 1,
    "bottomup.targets.pull_weight": 1e-3,
    "bottomup.targets.push_weight": 1e-3,
    "bottomup.test.resizing": "half_pixel",
    "bottomup.grouping.threshold": 0.1,
    "bottomup.grouping.tag_threshold": 1,
    "bottomup.grouping.adjust": True,
    "bottomup.grouping.refine": True,
    "evaluate.flip_shift": "none",
}
HOURGLASS = {
    "data.normalisation": "unit",
    "bottomup.pictures": "labelled",
    "bottomup.fit": "long",
    "bottomup.augmentation.scale_max": 1.25,
    "bottomup.test.fit": "long",
    "bottomup.test.to_input": False,
    "bottomup.grouping.pool": 3,
    "bottomup.grouping.tag_distance": "rms",
    "bottomup.grouping.stop_when_full": True,
    "optim.lr": 2e-4,
}
WITHOUT_TAGS = {"bottomup.grouping.tag_distance": "euclidean", "bottomup.grouping.stop_when_full": False}
NO_GUIDANCE, NO_TRADEOFF = {"model.options.guidance": False}, {"bottomup.targets.background": 1}


def schedule(milestones: list[int], epochs: int, batch: int) -> dict[str, Any]:
    return {"optim.milestones": milestones, "train.epochs": epochs, "train.batch_size": batch}


# In this order: a later row that fits a name wins.
PAPERS: list[tuple[str, dict[str, Any]]] = [
    ("guided_*", SHORT | GUIDED),
    ("guided_*_coco_*", schedule([90, 120], 140, 4 * 12) | {"bottomup.targets.center_min_area": 32**2}),
    ("guided_*_w48_coco_*", {"train.batch_size": 8 * 12}),
    ("guided_*_crowdpose_*", schedule([200, 260], 300, 4 * 10) | {"bottomup.targets.center_min_area": 0}),
    ("guided_*_w48_crowdpose_*", {"train.batch_size": 8 * 10}),
    ("*_ablation_*", {"model.options.adaptive": False}),
    ("*_ablation_guidance_*", NO_TRADEOFF),
    ("*_ablation_baseline_*", NO_TRADEOFF | NO_GUIDANCE),
    ("higherhrnet_*", SHORT | TAGS | WITHOUT_TAGS | schedule([200, 260], 300, 4 * 12)),
    ("higherhrnet_w48_*", {"train.batch_size": 4 * 10}),
    ("ae_hourglass_4_*", TAGS | HOURGLASS),
    ("*_enhancenet_*", {"model.plugin": "enhancenet"}),
]
SIZES = [("*_w32_*", (512,)), ("*_w48_*", (640,)), ("higherhrnet_w32_coco_*", (512, 640)), ("ae_hourglass_4_*", (512,))]


@pytest.mark.parametrize("name", BOTTOM_UP)
def test_settings_of_whole_pictures_are_the_published_ones(name: str) -> None:
    settings, expected = leaves(load_recipe(name)), dict(COMMON)
    for pattern, numbers in PAPERS:
        expected |= numbers if fnmatch(name, pattern) else {}
    assert {"heatmap.encoding", "bottomup.fit", "optim.lr"} <= expected.keys()
    assert {key: settings.get(key) for key in expected} == expected


@pytest.mark.parametrize("name", BOTTOM_UP)
def test_pictures_have_the_published_size(name: str) -> None:
    sizes = [sizes for pattern, sizes in SIZES if fnmatch(name, pattern)][-1]
    assert load_recipe(name).data.crop_size in [(size, size) for size in sizes]


@pytest.mark.parametrize("name", BOTTOM_UP)
def test_nothing_is_set_that_only_single_persons_have(name: str) -> None:
    recipe = load_recipe(name)
    untouched = Recipe(name="", data=DataConfig(), model=ModelConfig(name=""), bottomup=BottomUpConfig())
    usual, settings = leaves(untouched), leaves(recipe)
    changed = [key for key in settings if settings[key] != usual.get(key)]
    assert [key for key in changed if not any(fnmatch(key, pattern) for pattern in OWN)] == []


def test_the_hourglass_lowers_its_rate_where_the_public_code_does() -> None:
    """That counts iterations of 32 of train2017's 56,599 pictures with somebody labelled."""
    for name in ("ae_hourglass_4_coco_512", "ae_hourglass_4_enhancenet_coco_512"):
        recipe = load_recipe(name)
        (milestone,) = recipe.optim.milestones
        assert milestone * 56_599 / recipe.train.batch_size == pytest.approx(200_000, rel=0.005)
        assert recipe.optim.lr * recipe.optim.gamma == pytest.approx(1e-5)

"""Each published recipe has the numbers of its paper or its public code (specs 0.3, 0.4, 1, 2, 4 and 5; base-nets).

The numbers of those that look at whole pictures are in test_bottomup_settings.
"""

from fnmatch import fnmatch
from typing import Any

import pytest

from engine.config import leaves
from recipes import list_recipes, load_recipe

UNPUBLISHED = {"demo_synthetic", "lsp_resnet18_128", "memorise", "memorise_bottomup"}
PUBLISHED = [name for name in list_recipes() if name not in UNPUBLISHED]
TOP_DOWN = [name for name in PUBLISHED if load_recipe(name).bottomup is None]

# What holds for all that are not named below.
COMMON: dict[str, Any] = {
    "data.shuffle": "instance",
    "data.convention": "hrnet",
    "data.box_padding": 1.25,
    "data.weights": None,
    "data.on_bad_sample": "raise",
    "data.normalisation": "imagenet",
    "model.plugin": None,
    "model.weights": None,
    "augmentation.flip_probability": 0.5,
    "augmentation.rotation_probability": 0.6,
    "augmentation.half_body_probability": 0,
    "augmentation.half_body_min_keypoints": 8,
    "augmentation.translation_factor": 0,
    "augmentation.scale_range": None,
    "augmentation.rotation_range": None,
    "augmentation.channel_gain": 0,
    "heatmap.sigma": 2,
    "heatmap.encoding": "rounded",
    "heatmap.decoding": "quarter",
    "optim.name": "adam",
    "optim.lr": 1e-3,
    "optim.schedule": "multistep",
    "optim.gamma": 0.1,
    "optim.weight_decay": 0,
    "optim.warmup_steps": 0,
    "train.accumulate": 1,
    "evaluate.flip_test": True,
    "evaluate.flip_shift": "public",
    "evaluate.nms_threshold": 0.9,
    "evaluate.soft_nms_sigma": None,
}


def schedule(milestones: list[int], epochs: int, batch: int) -> dict[str, Any]:
    return {"optim.milestones": milestones, "train.epochs": epochs, "train.batch_size": batch}


def varied(scale: float, rotation: float) -> dict[str, Any]:
    return {"augmentation.scale_factor": scale, "augmentation.rotation_factor": rotation}


HALF_BODY = {"augmentation.half_body_probability": 0.3, "augmentation.half_body_upper_probability": 0.6915}
RMSPROP = {"optim.name": "rmsprop", "optim.lr": 2.5e-4, "heatmap.sigma": 1, "augmentation.channel_gain": 0.2}
DARK = {"heatmap.encoding": "exact", "heatmap.decoding": "dark"}

# In this order: a later row that fits a name wins.
PAPERS: list[tuple[str, dict[str, Any]]] = [
    ("simplebaseline_*", schedule([90, 120], 140, 128) | varied(0.3, 40)),
    ("simplebaseline_*_mpii_*", varied(0.25, 30)),
    ("hrnet_*", schedule([170, 200], 210, 128)),
    ("hrnet_*_coco_*", varied(0.35, 45) | HALF_BODY),
    ("hrnet_*_mpii_*", varied(0.25, 30)),
    ("*_384x288", {"heatmap.sigma": 3}),
    ("hrnet_w48_*_384x288", {"train.batch_size": 96}),
    ("hrnet_w48_dark_*_384x288", {"train.batch_size": 72}),
    ("hrnet_w48_poserenet_*_384x288", {"train.batch_size": 72}),
    ("hourglass_*_mpii_*", RMSPROP | schedule([60, 90], 100, 6) | varied(0.25, 30) | {"evaluate.flip_test": False}),
    ("hourglass_*_coco_*", schedule([90, 120], 140, 32) | varied(0.3, 40) | {"optim.lr": 2.5e-4}),
    ("dlcm_*", RMSPROP | schedule([180, 225], 250, 16) | varied(0.25, 30)),
    ("cpn_*", schedule([6, 12, 18, 24, 30], 32, 32) | varied(0, 0)),
    ("cpn_*", {"optim.lr": 5e-4, "optim.gamma": 0.5, "optim.weight_decay": 1e-5, "heatmap.sigma": 1.4}),
    ("cpn_*", {"augmentation.scale_range": [0.7, 1.35], "augmentation.rotation_range": 45, "data.weights": [4]}),
    ("cpn_*", {"augmentation.rotation_probability": 0.5, "augmentation.flip_probability": 0.25}),
    ("cpn_*", {"augmentation.channel_gain": 0.2}),
    ("cpn_*_384x288", {"heatmap.sigma": 1.7, "model.options.kernels": [23, 17, 13, 9]}),
    ("mr*net*_coco_*", schedule([120, 150], 170, 64) | varied(0.3, 40)),
    ("mr*net*_mpii_*", schedule([90, 120], 140, 64) | varied(0.25, 30)),
    ("efafnet_*", schedule([90, 120], 150, 64) | varied(0.3, 40)),
    ("efafnet_*", {"optim.lr": 5e-4, "heatmap.sigma": 1, "evaluate.soft_nms_sigma": 0.5}),
    ("efafnet_*_crowdpose_*", {"data.box_padding": 1.3}),
    ("*_enhancenet_*", {"model.plugin": "enhancenet", "evaluate.flip_shift": "exact"}),
    ("*_dark_*", DARK | {"data.convention": "unbiased"}),
    ("*_poserenet_coco_*", DARK | varied(0.25, 30) | HALF_BODY),
    ("*_poserenet_coco_*", {"data.convention": "hrnet", "evaluate.flip_shift": "exact"}),
    ("*_poserenet_*", {"model.plugin": "poserenet", "augmentation.translation_factor": 0.1}),
    ("*_128x96", {"heatmap.sigma": 1}),
]


@pytest.mark.parametrize("name", TOP_DOWN)
def test_settings_are_the_published_ones(name: str) -> None:
    settings, expected = leaves(load_recipe(name)), dict(COMMON)
    for pattern, numbers in PAPERS:
        expected |= numbers if fnmatch(name, pattern) else {}
    assert {"optim.milestones", "train.epochs", "augmentation.scale_factor"} <= expected.keys()
    assert {key: settings[key] for key in expected} == expected


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_name_says_its_network_and_its_plugin(name: str) -> None:
    model = load_recipe(name).model
    assert name.startswith(f"{model.name}_")
    assert model.plugin is None or f"_{model.plugin}_" in name
    assert model.plugin_options == {}  # the plug-ins' defaults are their papers'


@pytest.mark.parametrize(("pattern", "count"), [
    ("simplebaseline_resnet*_coco_*", 6), ("simplebaseline_resnet*_mpii_256x256", 3), ("simplebaseline_*crowdpose*", 1),
    ("hrnet_w??_coco_*", 4), ("hrnet_w32_mpii_256x256", 1), ("hourglass_?_mpii_256x256", 3),
    ("hourglass_8_coco_256x192", 1), ("cpn_resnet*_coco_*", 3), ("dlcm_mpii_256x256", 1),
    ("*_enhancenet_mpii_256x256", 4), ("*_enhancenet_coco_256x192", 6), ("*_dark_coco_*", 6),
    ("*_poserenet_coco_*", 6), ("*_poserenet_mpii_256x256", 1), ("mr*net?_resnet*_coco_256x192", 6),
    ("mr*net?_resnet*_mpii_256x256", 12), ("efafnet_resnet*_coco_*", 7), ("efafnet_*_mpii_256x256", 2),
    ("efafnet_*_crowdpose_256x192", 1), ("guided_hrnet_w??_coco_*", 2), ("guided_higherhrnet_w48_coco_640", 1),
    ("guided_hrnet_w32_ablation_*_coco_512", 3), ("guided_*hrnet_w??_crowdpose_*", 3), ("higherhrnet_w??_coco_*", 3),
    ("higherhrnet_w??_crowdpose_*", 2), ("ae_hourglass_4_coco_512", 1), ("ae_hourglass_4_enhancenet_coco_512", 1),
])  # fmt: skip
def test_every_system_has_its_recipes(pattern: str, count: int) -> None:
    plugged = ("enhancenet", "dark", "poserenet")
    found = [name for name in PUBLISHED if fnmatch(name, pattern)]
    if not any(word in pattern for word in plugged):
        found = [name for name in found if not any(f"_{word}_" in name for word in plugged)]
    assert len(found) == count, found

"""Stacked hourglass (Newell, Yang & Deng, ECCV 2016) on COCO.

    posestream train hourglass_8_coco_256x192 data.train=DIR data.val=DIR evaluate.detections=FILE

The reported row comes without a recipe. This is that of DARK's public code: Adam, 2.5e-4, x0.1 at epochs 90 and 120 of
140, augmented as SimpleBaseline, from random weights; batch 8 on each of 4 GPUs.

Expected AP on val2017 with detector boxes of AP 55.3:

    hourglass_8_coco_256x192   66.9  MRNet I, cited there

Time: not measured.
"""

from engine.config import DataConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.augmentation import Augmentation

recipe = Recipe(
    name="hourglass_8_coco_256x192",
    data=DataConfig(crop_size=(256, 192), shuffle="instance"),
    model=ModelConfig(name="hourglass_8"),
    augmentation=Augmentation(scale_factor=0.3, rotation_factor=40, flip_probability=0.5),
    optim=OptimConfig(lr=2.5e-4, milestones=(90, 120)),
    train=TrainConfig(epochs=140, batch_size=32),
)

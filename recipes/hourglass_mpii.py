"""Stacked hourglass (Newell, Yang & Deng, ECCV 2016) on MPII, as pytorch-pose trains it.

    posestream train hourglass_8_mpii_256x256 data.train=DIR data.val=DIR

RMSprop, 2.5e-4, x0.1 at epochs 60 and 90 of 100, batch 6, from random weights. Colours are varied per channel.
The published predictions were made without a flip test.

Expected PCKh@0.5 on the 2,958 validation samples:

    hourglass_2_mpii_256x256   87.14  EnhanceNet 1
    hourglass_4_mpii_256x256   88.34  EnhanceNet 1
    hourglass_8_mpii_256x256   88.78  EnhanceNet 1; pytorch-pose's own

Time: not measured.
"""

from engine.config import DataConfig, EvaluateConfig, HeatmapConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.augmentation import Augmentation


def _recipe(stacks: int) -> Recipe:
    return Recipe(
        name=f"hourglass_{stacks}_mpii_256x256",
        data=DataConfig(crop_size=(256, 256), shuffle="instance"),
        model=ModelConfig(name=f"hourglass_{stacks}"),
        augmentation=Augmentation(scale_factor=0.25, rotation_factor=30, flip_probability=0.5, channel_gain=0.2),
        heatmap=HeatmapConfig(sigma=1.0),
        optim=OptimConfig(name="rmsprop", lr=2.5e-4, milestones=(60, 90)),
        train=TrainConfig(epochs=100, batch_size=6),
        evaluate=EvaluateConfig(flip_test=False),
    )


recipes = tuple(_recipe(stacks) for stacks in (2, 4, 8))

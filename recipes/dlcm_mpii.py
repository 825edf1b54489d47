"""DLCM (Tang, Yu & Wu, ECCV 2018) on MPII: five stages over three levels of the part hierarchy.

    posestream train dlcm_mpii_256x256 data.train=DIR data.val=DIR

RMSprop, 2.5e-4, x0.1 at epochs 180 and 225 of 250, batch 16, from random weights. Augmentation of the stacked
hourglass, whose code it builds on. The authors also average six scales from 0.8 to 1.3 at test time; this does not.

Expected PCKh@0.5 on the 2,958 validation samples:

    dlcm_mpii_256x256   90.37  EnhanceNet 1; PCKh@0.1 35.0, EnhanceNet 3

Time: not measured.
"""

from engine.config import DataConfig, HeatmapConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.augmentation import Augmentation

recipe = Recipe(
    name="dlcm_mpii_256x256",
    data=DataConfig(crop_size=(256, 256), shuffle="instance"),
    model=ModelConfig(name="dlcm"),
    augmentation=Augmentation(scale_factor=0.25, rotation_factor=30, flip_probability=0.5, channel_gain=0.2),
    heatmap=HeatmapConfig(sigma=1.0),
    optim=OptimConfig(name="rmsprop", lr=2.5e-4, milestones=(180, 225)),
    train=TrainConfig(epochs=250, batch_size=16),
)

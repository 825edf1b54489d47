"""SimpleBaseline (Xiao, Wu & Wei, ECCV 2018) on MPII.

    posestream train simplebaseline_resnet50_mpii_256x256 data.train=DIR data.val=DIR \
        model.weights=FILE

The public code's schedule: Adam, 1e-3, x0.1 at epochs 90 and 120 of 140, batch 32 on each of 4 GPUs.
Weights to start from: torchvision's ResNet for ImageNet. BGR, as the public code feeds and the released models expect.

Expected PCKh@0.5 on the 2,958 validation samples:

    simplebaseline_resnet50_mpii_256x256    88.5  MRNet III
    simplebaseline_resnet101_mpii_256x256   89.1  MRNet III
    simplebaseline_resnet152_mpii_256x256   89.6  MRNet III

Time: not measured.
"""

from engine.config import DataConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.augmentation import Augmentation


def _recipe(depth: int) -> Recipe:
    return Recipe(
        name=f"simplebaseline_resnet{depth}_mpii_256x256",
        data=DataConfig(crop_size=(256, 256), shuffle="instance", channel_order="bgr"),
        model=ModelConfig(name=f"simplebaseline_resnet{depth}"),
        augmentation=Augmentation(scale_factor=0.25, rotation_factor=30, flip_probability=0.5),
        optim=OptimConfig(lr=1e-3, milestones=(90, 120)),
        train=TrainConfig(epochs=140, batch_size=128),
    )


recipes = tuple(_recipe(depth) for depth in (50, 101, 152))

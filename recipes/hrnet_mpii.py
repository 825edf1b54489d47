"""HRNet (Sun, Xiao, Liu & Wang, CVPR 2019) on MPII.

    posestream train hrnet_w32_mpii_256x256 data.train=DIR data.val=DIR model.weights=FILE

The public code's schedule: Adam, 1e-3, x0.1 at epochs 170 and 200 of 210, batch 32 on each of 4 GPUs; no half bodies.
Weights to start from: the authors' HRNet for ImageNet.

Expected PCKh@0.5 on the 2,958 validation samples:

    hrnet_w32_mpii_256x256   90.3  PoseReNet III

Time: not measured.
"""

from engine.config import DataConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.augmentation import Augmentation

recipe = Recipe(
    name="hrnet_w32_mpii_256x256",
    data=DataConfig(crop_size=(256, 256), shuffle="instance"),
    model=ModelConfig(name="hrnet_w32"),
    augmentation=Augmentation(scale_factor=0.25, rotation_factor=30, flip_probability=0.5),
    optim=OptimConfig(lr=1e-3, milestones=(170, 200)),
    train=TrainConfig(epochs=210, batch_size=128),
)

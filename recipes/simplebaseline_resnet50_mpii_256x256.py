"""SimpleBaseline (Xiao, Wu & Wei, ECCV 2018), ResNet-50, MPII 256x256.

    posestream train simplebaseline_resnet50_mpii_256x256 data.train=DIR data.val=DIR \
        model.backbone_weights=FILE

The schedule of the public code: Adam, 1e-3, x0.1 at epochs 90 and 120 of 140, batch 32 on each of 4 GPUs.
Backbone weights: torchvision's resnet50 for ImageNet. The released model feeds BGR; data.channel_order=bgr does so.
Expected: PCKh@0.5 88.5 on the 2,958 validation samples.
Time: not measured yet.
"""

from engine.config import DataConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.augmentation import Augmentation

recipe = Recipe(
    name="simplebaseline_resnet50_mpii_256x256",
    run_dir="runs/simplebaseline_resnet50_mpii_256x256",
    data=DataConfig(crop_size=(256, 256), shuffle="instance"),
    model=ModelConfig(name="simplebaseline_resnet50"),
    augmentation=Augmentation(scale_factor=0.25, rotation_factor=30, flip_probability=0.5),
    optim=OptimConfig(lr=1e-3, milestones=(90, 120)),
    train=TrainConfig(epochs=140, batch_size=128),
)

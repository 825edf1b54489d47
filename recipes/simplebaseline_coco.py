"""SimpleBaseline (Xiao, Wu & Wei, ECCV 2018) on COCO.

    posestream train simplebaseline_resnet50_coco_256x192 data.train=DIR data.val=DIR \
        evaluate.detections=FILE model.weights=FILE

The public code's schedule: Adam, 1e-3, x0.1 at epochs 90 and 120 of 140, batch 32 on each of 4 GPUs.
Weights to start from: torchvision's ResNet for ImageNet. BGR, as the public code feeds and the released models expect.

Expected AP on val2017 with detector boxes of AP 56.4:

    simplebaseline_resnet50_coco_256x192    70.4  MRNet I; retrained 70.2, EnhanceNet 4
    simplebaseline_resnet50_coco_384x288    72.2  EFAFNet I
    simplebaseline_resnet101_coco_256x192   71.4  MRNet I
    simplebaseline_resnet101_coco_384x288   73.6  published with the model
    simplebaseline_resnet152_coco_256x192   72.0  MRNet I
    simplebaseline_resnet152_coco_384x288   74.3  published with the model

Time: not measured.
"""

from engine.config import DataConfig, HeatmapConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.augmentation import Augmentation


def _recipe(depth: int, crop_size: tuple[int, int], sigma: float) -> Recipe:
    height, width = crop_size
    return Recipe(
        name=f"simplebaseline_resnet{depth}_coco_{height}x{width}",
        data=DataConfig(crop_size=crop_size, shuffle="instance", channel_order="bgr"),
        model=ModelConfig(name=f"simplebaseline_resnet{depth}"),
        augmentation=Augmentation(scale_factor=0.3, rotation_factor=40, flip_probability=0.5),
        heatmap=HeatmapConfig(sigma=sigma),
        optim=OptimConfig(lr=1e-3, milestones=(90, 120)),
        train=TrainConfig(epochs=140, batch_size=128),
    )


recipes = tuple(
    _recipe(depth, crop_size, sigma)
    for depth in (50, 101, 152)
    for crop_size, sigma in (((256, 192), 2.0), ((384, 288), 3.0))
)

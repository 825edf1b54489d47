"""HRNet (Sun, Xiao, Liu & Wang, CVPR 2019) on COCO.

    posestream train hrnet_w32_coco_256x192 data.train=DIR data.val=DIR \
        evaluate.detections=FILE model.weights=FILE

The public code's schedule: Adam, 1e-3, x0.1 at epochs 170 and 200 of 210, batch 32 on each of 4 GPUs;
24 on each for W48 at 384x288.
Weights to start from: the authors' HRNet for ImageNet.

Expected AP on val2017 with detector boxes of AP 56.4:

    hrnet_w32_coco_256x192   74.4  published with the model; retrained 74.3, EnhanceNet 4
    hrnet_w32_coco_384x288   75.8  published with the model
    hrnet_w48_coco_256x192   75.1  published with the model; retrained 75.0, EnhanceNet 4
    hrnet_w48_coco_384x288   76.3  published with the model

Time: not measured.
"""

from engine.config import DataConfig, HeatmapConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.augmentation import Augmentation


def _recipe(channels: int, crop_size: tuple[int, int], sigma: float) -> Recipe:
    height, width = crop_size
    return Recipe(
        name=f"hrnet_w{channels}_coco_{height}x{width}",
        data=DataConfig(crop_size=crop_size, shuffle="instance"),
        model=ModelConfig(name=f"hrnet_w{channels}"),
        augmentation=Augmentation(
            scale_factor=0.35,
            rotation_factor=45,
            flip_probability=0.5,
            half_body_probability=0.3,
            half_body_upper_probability=0.6915,
        ),
        heatmap=HeatmapConfig(sigma=sigma),
        optim=OptimConfig(lr=1e-3, milestones=(170, 200)),
        train=TrainConfig(epochs=210, batch_size=96 if (channels, height) == (48, 384) else 128),
    )


recipes = tuple(
    _recipe(channels, crop_size, sigma)
    for channels in (32, 48)
    for crop_size, sigma in (((256, 192), 2.0), ((384, 288), 3.0))
)

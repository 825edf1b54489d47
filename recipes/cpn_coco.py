"""CPN (Chen et al., CVPR 2018) on COCO, as its PyTorch port trains it.

    posestream train cpn_resnet50_coco_256x192 data.train=DIR data.val=DIR \
        evaluate.detections=FILE model.weights=FILE

Adam, 5e-4, x0.5 every 6 epochs of 32, batch 32, weight decay 1e-5. An epoch shows each person four times, as the port's
does: a quarter of them mirrored, half of them turned; scales and angles are uniform, colours vary per channel. The
targets are blurred as the network's kernels say, with RefineNet's sigma in the recipe. Not as the port: boxes grow by
1.25 (there 1.2 by 1.3), mirroring and turning may meet, and what lies outside the picture is black.
Weights to start from: torchvision's ResNet for ImageNet.

Expected AP on val2017 with detector boxes of AP 56.4; the larger size with CPN's own detector of AP 57.2:

    cpn_resnet50_coco_256x192    69.1  EnhanceNet 4; published with the port 69.2
    cpn_resnet101_coco_256x192   69.7  EnhanceNet 4
    cpn_resnet50_coco_384x288    71.6  EFAFNet I, cited there

Time: not measured.
"""

from engine.config import DataConfig, HeatmapConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.augmentation import Augmentation

_AUGMENTATION = Augmentation(
    scale_range=(0.7, 1.35), rotation_range=45, rotation_probability=0.5, flip_probability=0.25, channel_gain=0.2
)


def _recipe(depth: int, crop_size: tuple[int, int], sigma: float = 1.4, **options: object) -> Recipe:
    height, width = crop_size
    return Recipe(
        name=f"cpn_resnet{depth}_coco_{height}x{width}",
        data=DataConfig(crop_size=crop_size, weights=(4,), shuffle="instance"),
        model=ModelConfig(name=f"cpn_resnet{depth}", options=options),
        augmentation=_AUGMENTATION,
        heatmap=HeatmapConfig(sigma=sigma),
        optim=OptimConfig(lr=5e-4, weight_decay=1e-5, milestones=(6, 12, 18, 24, 30), gamma=0.5),
        train=TrainConfig(epochs=32, batch_size=32),
    )


recipes = (
    _recipe(50, (256, 192)),
    _recipe(101, (256, 192)),
    _recipe(50, (384, 288), sigma=1.7, kernels=[23, 17, 13, 9]),
)

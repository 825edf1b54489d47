"""EFAFNet (Xu, Zou & Lin) on COCO.

    posestream train efafnet_resnet50_coco_256x192 data.train=DIR data.val=DIR \
        evaluate.detections=FILE model.weights=FILE

The paper's schedule: Adam, 5e-4, x0.1 at epochs 90 and 120 of 150, on 2 GPUs, here with batch 32 on each. Targets of
1 px at every size, the eight hardest keypoints of the decoded map count, Soft-NMS on the detector's boxes. The rows of
the paper's table X are this recipe with model.options.hardest=11 and so on; those of VI to VIII have no hard keypoint
mining: model.options.hardest=none with, for instance, model.options.fsm=none (specs 5.9).
Weights to start from: Res2Net-50 26w x 4s for ImageNet, whose blocks mean the same with
model.options.fam_first_sum=false only, else torchvision's ResNet for what the two have in common.

Expected AP on val2017 with detector boxes of AP 56.4:

    efafnet_resnet50_coco_256x192    72.8  EFAFNet I
    efafnet_resnet50_coco_256x256    73.1  EFAFNet I
    efafnet_resnet50_coco_384x288    73.8  EFAFNet I
    efafnet_resnet101_coco_256x192   73.5  EFAFNet II, on test-dev
    efafnet_resnet101_coco_384x288   74.5  EFAFNet XII
    efafnet_resnet152_coco_256x192   74.2  EFAFNet II, on test-dev
    efafnet_resnet152_coco_384x288   75.0  EFAFNet XII

Time: not measured; the paper's took 96 hours with ResNet-50.
"""

from engine.config import DataConfig, EvaluateConfig, HeatmapConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.augmentation import Augmentation


def _recipe(depth: int, height: int, width: int) -> Recipe:
    return Recipe(
        name=f"efafnet_resnet{depth}_coco_{height}x{width}",
        data=DataConfig(crop_size=(height, width), shuffle="instance"),
        model=ModelConfig(name=f"efafnet_resnet{depth}"),
        augmentation=Augmentation(scale_factor=0.3, rotation_factor=40, flip_probability=0.5),
        heatmap=HeatmapConfig(sigma=1.0),
        optim=OptimConfig(lr=5e-4, milestones=(90, 120)),
        train=TrainConfig(epochs=150, batch_size=64),
        evaluate=EvaluateConfig(soft_nms_sigma=0.5),
    )


recipes = (
    _recipe(50, 256, 192),
    _recipe(50, 256, 256),
    _recipe(50, 384, 288),
    _recipe(101, 256, 192),
    _recipe(101, 384, 288),
    _recipe(152, 256, 192),
    _recipe(152, 384, 288),
)

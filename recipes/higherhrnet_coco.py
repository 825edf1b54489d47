"""HigherHRNet (Cheng et al., CVPR 2020) with associative embedding on COCO.

    posestream train higherhrnet_w32_coco_512 data.train=DIR data.val=DIR model.weights=FILE
    posestream evaluate higherhrnet_w32_coco_512 --checkpoint best.ckpt data.val=DIR 'bottomup.test.scales=[0.5,1,2]'

The public code's schedule: Adam, 1e-3, x0.1 at epochs 200 and 260 of 300, batch 12 on each of 4 GPUs, 10 for W48.
Weights to start from: the authors' HRNet for ImageNet.

Expected AP on val2017, at one scale and, as above, at three:

    higherhrnet_w32_coco_512   67.1  69.9  bottom-up 2, published with the model
    higherhrnet_w32_coco_640   68.5  70.6  published with the model
    higherhrnet_w48_coco_640   69.9  72.1  bottom-up 2, published with the model

Time: not measured.
"""

from engine.bottomup_config import BottomUpConfig, GroupingConfig, PictureConfig, TargetConfig
from engine.config import DataConfig, EvaluateConfig, HeatmapConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.bottomup_augmentation import BottomUpAugmentation


def _recipe(width: int, side: int, batch_of_gpu: int) -> Recipe:
    return Recipe(
        name=f"higherhrnet_w{width}_coco_{side}",
        data=DataConfig(crop_size=(side, side)),
        model=ModelConfig(name=f"higherhrnet_w{width}"),
        heatmap=HeatmapConfig(sigma=2.0, encoding="truncated"),
        bottomup=BottomUpConfig(
            pictures="annotated",
            augmentation=BottomUpAugmentation(
                scale_min=0.75, scale_max=1.5, max_rotation=30, translation_factor=0.2, flip_probability=0.5
            ),
            targets=TargetConfig(background=1, ignore_outside=True, pull_weight=1e-3, push_weight=1e-3),
            test=PictureConfig(resizing="half_pixel"),
            grouping=GroupingConfig(threshold=0.1),
        ),
        optim=OptimConfig(lr=1e-3, milestones=(200, 260)),
        train=TrainConfig(epochs=300, batch_size=4 * batch_of_gpu, validate_every=10),
        evaluate=EvaluateConfig(flip_shift="none"),
    )


recipes = (_recipe(32, 512, 12), _recipe(32, 640, 12), _recipe(48, 640, 10))

"""MRHeatNet and MRFeaNet (Tran et al., 2020) on COCO: heatmaps or features of several resolutions, summed.

    posestream train mrfeanet2_resnet50_coco_256x192 data.train=DIR data.val=DIR \
        evaluate.detections=FILE model.weights=FILE

The paper's schedule: Adam, 1e-3, x0.1 at epochs 120 and 150 of 170, batch 64. The augmentation is SimpleBaseline's,
which the paper says that it follows; the rotation and scale that it prints are swapped against the released code.
Weights to start from: torchvision's ResNet for ImageNet. BGR, as the public code feeds and the released models expect.

Expected AP on val2017 with detector boxes of AP 56.4:

    mrheatnet1_resnet50_coco_256x192   70.2  MRNet I
    mrheatnet2_resnet50_coco_256x192   70.3  MRNet I
    mrfeanet1_resnet50_coco_256x192    70.6  MRNet I
    mrfeanet2_resnet50_coco_256x192    70.9  MRNet I
    mrfeanet2_resnet101_coco_256x192   71.8  MRNet I
    mrfeanet2_resnet152_coco_256x192   72.6  MRNet I

Time: not measured.
"""

from engine.config import DataConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.augmentation import Augmentation


def _recipe(net: str, depth: int) -> Recipe:
    return Recipe(
        name=f"{net}_resnet{depth}_coco_256x192",
        data=DataConfig(crop_size=(256, 192), shuffle="instance", channel_order="bgr"),
        model=ModelConfig(name=f"{net}_resnet{depth}"),
        augmentation=Augmentation(scale_factor=0.3, rotation_factor=40, flip_probability=0.5),
        optim=OptimConfig(lr=1e-3, milestones=(120, 150)),
        train=TrainConfig(epochs=170, batch_size=64),
    )


recipes = (
    *(_recipe(net, 50) for net in ("mrheatnet1", "mrheatnet2", "mrfeanet1", "mrfeanet2")),
    *(_recipe("mrfeanet2", depth) for depth in (101, 152)),
)

"""MRHeatNet and MRFeaNet (Tran et al., 2020) on MPII: heatmaps or features of several resolutions, summed.

    posestream train mrfeanet1_resnet50_mpii_256x256 data.train=DIR data.val=DIR model.weights=FILE

The paper's schedule: Adam, 1e-3, x0.1 at epochs 90 and 120 of 140, batch 64.
Weights to start from: torchvision's ResNet for ImageNet. BGR, as the public code feeds and the released models expect.

Expected PCKh@0.5 on the 2,958 validation samples:

    mrheatnet1_resnet50_mpii_256x256    88.4  MRNet III
    mrheatnet2_resnet50_mpii_256x256    88.5  MRNet III
    mrfeanet1_resnet50_mpii_256x256     89.1  MRNet III
    mrfeanet2_resnet50_mpii_256x256     88.9  MRNet III
    mrheatnet1_resnet101_mpii_256x256   89.3  MRNet III
    mrheatnet2_resnet101_mpii_256x256   89.3  MRNet III
    mrfeanet1_resnet101_mpii_256x256    89.4  MRNet III
    mrfeanet2_resnet101_mpii_256x256    89.3  MRNet III
    mrheatnet1_resnet152_mpii_256x256   89.5  MRNet III
    mrheatnet2_resnet152_mpii_256x256   89.5  MRNet III
    mrfeanet1_resnet152_mpii_256x256    89.8  MRNet III
    mrfeanet2_resnet152_mpii_256x256    89.5  MRNet III

Time: not measured.
"""

from engine.config import DataConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.augmentation import Augmentation


def _recipe(net: str, depth: int) -> Recipe:
    return Recipe(
        name=f"{net}_resnet{depth}_mpii_256x256",
        data=DataConfig(crop_size=(256, 256), shuffle="instance", channel_order="bgr"),
        model=ModelConfig(name=f"{net}_resnet{depth}"),
        augmentation=Augmentation(scale_factor=0.25, rotation_factor=30, flip_probability=0.5),
        optim=OptimConfig(lr=1e-3, milestones=(90, 120)),
        train=TrainConfig(epochs=140, batch_size=64),
    )


recipes = tuple(
    _recipe(net, depth) for depth in (50, 101, 152) for net in ("mrheatnet1", "mrheatnet2", "mrfeanet1", "mrfeanet2")
)

"""PoseReNet (Xiang, Chen & Zhou) on COCO, as a plug-in on networks with DARK.

    posestream train hrnet_w32_poserenet_coco_128x96 data.train=DIR data.val=DIR \
        evaluate.detections=FILE model.weights=FILE

The schedule of each network's own recipe, all with rotation 30, scale 0.25, half bodies and shifts of a tenth. Crops
are HRNet's, as the plug-in's bilinear maps assume, and mirrored maps are moved by exactly what they are off.
Weights to start from: ImageNet's, torchvision's for the ResNets and the authors' for HRNet.

Expected AP on val2017 with detector boxes of AP 56.4:

    simplebaseline_resnet50_poserenet_coco_128x96    63.1  PoseReNet I
    simplebaseline_resnet101_poserenet_coco_128x96   63.9  PoseReNet I
    hrnet_w32_poserenet_coco_128x96                  71.8  PoseReNet I
    hrnet_w48_poserenet_coco_128x96                  73.5  PoseReNet I
    hrnet_w32_poserenet_coco_256x192                 76.2  PoseReNet I
    hrnet_w48_poserenet_coco_384x288                 77.3  PoseReNet II, where test-dev and validation rows are mixed

Time: not measured.
"""

from engine.config import variant
from recipes import dark_coco

recipes = tuple(
    variant(
        base,
        base.name.replace("_dark_", "_poserenet_"),
        "model.plugin=poserenet",
        "data.convention=hrnet",
        "evaluate.flip_shift=exact",
        "augmentation.scale_factor=0.25",
        "augmentation.rotation_factor=30",
        "augmentation.translation_factor=0.1",
        "augmentation.half_body_probability=0.3",
        "augmentation.half_body_upper_probability=0.6915",
    )
    for base in dark_coco.recipes
)

"""DARK (Zhang et al., CVPR 2020) on COCO: targets between the pixels, and a Newton step to decode them.

    posestream train hrnet_w32_dark_coco_128x96 data.train=DIR data.val=DIR \
        evaluate.detections=FILE model.weights=FILE

What PoseReNet is compared with. The networks are trained as their own recipes say, with sigma 1, 2 and 3 at 128x96,
256x192 and 384x288. As in DARK's code the unbiased convention cuts the crops, so that mirrored maps need no shift.
W48 at 384x288 has the batch of DARK's public configuration, 18 on each of 4 GPUs.
Weights to start from: ImageNet's, torchvision's for the ResNets and the authors' for HRNet.

Expected AP on val2017 with detector boxes of AP 56.4:

    simplebaseline_resnet50_dark_coco_128x96    62.6  PoseReNet I
    simplebaseline_resnet101_dark_coco_128x96   63.2  PoseReNet I
    hrnet_w32_dark_coco_128x96                  70.7  PoseReNet I
    hrnet_w48_dark_coco_128x96                  71.9  PoseReNet I
    hrnet_w32_dark_coco_256x192                 75.6  PoseReNet I
    hrnet_w48_dark_coco_384x288                 76.2  PoseReNet II, on test-dev

Time: not measured.
"""

from engine.config import Recipe, variant
from recipes import hrnet_coco, simplebaseline_coco

_BASES = {recipe.model.name: recipe for recipe in (*simplebaseline_coco.recipes, *hrnet_coco.recipes)}


def _recipe(model: str, size: str, sigma: int, batch: int = 128) -> Recipe:
    return variant(
        _BASES[model],
        f"{model}_dark_coco_{size}",
        f"data.crop_size={size}",
        "data.convention=unbiased",
        f"heatmap.sigma={sigma}",
        "heatmap.encoding=exact",
        "heatmap.decoding=dark",
        f"train.batch_size={batch}",
    )


recipes = (
    *(_recipe(f"simplebaseline_resnet{depth}", "128x96", sigma=1) for depth in (50, 101)),
    _recipe("hrnet_w32", "128x96", sigma=1),
    _recipe("hrnet_w48", "128x96", sigma=1),
    _recipe("hrnet_w32", "256x192", sigma=2),
    _recipe("hrnet_w48", "384x288", sigma=3, batch=72),
)

"""EFAFNet (Xu, Zou & Lin) on MPII.

    posestream train efafnet_resnet152_mpii_256x256 data.train=DIR data.val=DIR model.weights=FILE

The COCO recipe, as the paper says nothing else of MPII.
Weights to start from: Res2Net-50 26w x 4s for ImageNet, else torchvision's ResNet for what the two have in common.

Expected PCKh@0.5; the paper's text has a score for ResNet-50 that belongs to another column:

    efafnet_resnet50_mpii_256x256    not reported
    efafnet_resnet152_mpii_256x256   92.0  EFAFNet III, on the test set

Time: not measured.
"""

from engine.config import variant
from recipes import efafnet_coco

recipes = tuple(
    variant(
        efafnet_coco.recipes[0],
        f"efafnet_resnet{depth}_mpii_256x256",
        f"model.name=efafnet_resnet{depth}",
        "data.crop_size=256x256",
    )
    for depth in (50, 152)
)

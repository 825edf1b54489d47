"""EFAFNet (Xu, Zou & Lin) on CrowdPose.

    posestream train efafnet_resnet50_crowdpose_256x192 data.train=DIR data.val=DIR \
        evaluate.detections=FILE model.weights=FILE

The COCO recipe on the CrowdPose training set; detected boxes are enlarged by 30 % instead of 25 %.
Weights to start from: Res2Net-50 26w x 4s for ImageNet, else torchvision's ResNet for what the two have in common.

Expected AP on the test set with SimpleBaseline's detector; the paper does not print the backbone:

    efafnet_resnet50_crowdpose_256x192   64.2  EFAFNet IV

Time: not measured.
"""

from engine.config import variant
from recipes import efafnet_coco

recipe = variant(efafnet_coco.recipes[0], "efafnet_resnet50_crowdpose_256x192", "data.box_padding=1.3")

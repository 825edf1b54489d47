"""EnhanceNet (Liu et al., ECAI 2020) on COCO, as a plug-in on SimpleBaseline, HRNet and CPN.

    posestream train simplebaseline_resnet50_enhancenet_coco_256x192 data.train=DIR data.val=DIR \
        evaluate.detections=FILE model.weights=FILE

Each network's own recipe; three layers of 128 channels and four times finer heatmaps. On CPN the hardest keypoints are
mined on the finer maps alone. The rows of the paper's table 5 are this recipe with other options, such as
model.plugin_options.ratio=2, .channels=64, .input=heatmaps or .upscale=bilinear.
Weights to start from: ImageNet's, torchvision's for the ResNets and the authors' for HRNet.

Expected AP on val2017 with detector boxes of AP 56.4:

    simplebaseline_resnet50_enhancenet_coco_256x192    71.3  EnhanceNet 4
    simplebaseline_resnet101_enhancenet_coco_256x192   72.1  EnhanceNet 4
    hrnet_w32_enhancenet_coco_256x192                  75.1  EnhanceNet 4
    hrnet_w48_enhancenet_coco_256x192                  75.8  EnhanceNet 4
    cpn_resnet50_enhancenet_coco_256x192               70.0  EnhanceNet 4
    cpn_resnet101_enhancenet_coco_256x192              70.5  EnhanceNet 4

Time: not measured.
"""

from engine.config import variant
from recipes import cpn_coco, hrnet_coco, simplebaseline_coco

_BASES = {base.name: base for base in (*simplebaseline_coco.recipes, *hrnet_coco.recipes, *cpn_coco.recipes)}

recipes = tuple(
    variant(
        _BASES[f"{network}_coco_256x192"],
        f"{network}_enhancenet_coco_256x192",
        "model.plugin=enhancenet",
        "evaluate.flip_shift=exact",
    )
    for network in (
        "simplebaseline_resnet50",
        "simplebaseline_resnet101",
        "hrnet_w32",
        "hrnet_w48",
        "cpn_resnet50",
        "cpn_resnet101",
    )
)

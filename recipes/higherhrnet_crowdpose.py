"""HigherHRNet (Cheng et al., CVPR 2020) with associative embedding on CrowdPose.

    posestream train higherhrnet_w48_crowdpose_640 'data.train=["TRAIN", "VAL"]' data.val=TEST model.weights=FILE
    posestream evaluate higherhrnet_w48_crowdpose_640 --checkpoint best.ckpt data.val=TEST \
        'bottomup.test.scales=[0.5,1,2]'

The COCO recipes on CrowdPose's train and val together.
Weights to start from: the authors' HRNet for ImageNet.

Expected AP on test, at one scale and, as above, at three:

    higherhrnet_w32_crowdpose_512   not reported
    higherhrnet_w48_crowdpose_640   65.9  67.6  bottom-up 5, published with the model

Time: not measured.
"""

from engine.config import variant
from recipes import higherhrnet_coco

_ON_COCO = {recipe.name: recipe for recipe in higherhrnet_coco.recipes}

recipes = tuple(
    variant(_ON_COCO[f"higherhrnet_{network}_coco_{side}"], f"higherhrnet_{network}_crowdpose_{side}")
    for network, side in (("w32", 512), ("w48", 640))
)

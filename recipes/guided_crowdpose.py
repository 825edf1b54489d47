"""Heatmap-guided bottom-up estimation with adaptive convolutions (Sun, Geng, et al.) on CrowdPose: Table 5.

    posestream train guided_hrnet_w32_crowdpose_512 'data.train=["TRAIN", "VAL"]' data.val=TEST model.weights=FILE
    posestream score-net guided_hrnet_w32_crowdpose_512 --checkpoint best.ckpt 'data.train=["TRAIN", "VAL"]'
    posestream evaluate guided_hrnet_w32_crowdpose_512 --checkpoint best.ckpt data.val=TEST \
        bottomup.grouping.scoring=learned 'bottomup.test.scales=[0.5,1,2]'

Trained on train and val together: Adam, 1e-3, x0.1 at epochs 200 and 260 of 300; batch 10 on each of 4 GPUs, 8 for
W48. Weights to start from: the authors' HRNet for ImageNet.

Expected AP on test with learned scores, at one scale and, as above, at three:

    guided_hrnet_w32_crowdpose_512         64.9  67.5  bottom-up 5
    guided_hrnet_w48_crowdpose_640         66.1  68.2  bottom-up 5
    guided_higherhrnet_w48_crowdpose_640   66.2  68.2  bottom-up 5

Everybody has a centre, drawn with sigma 4 as on COCO; the authors' code falls back to 2 here, through an index that
fits COCO only. What else their code does otherwise: see guided_coco.

Time: not measured.
"""

from engine.config import Recipe, variant
from recipes.guided_coco import systems


def _on_crowdpose(recipe: Recipe, gpus: int) -> Recipe:
    return variant(
        recipe,
        recipe.name.replace("coco", "crowdpose"),
        "bottomup.targets.center_min_area=0",
        "optim.milestones=200,260",
        "train.epochs=300",
        f"train.batch_size={10 * gpus}",
    )


recipes = tuple(_on_crowdpose(recipe, gpus) for recipe, gpus in zip(systems, (4, 8, 8), strict=True))

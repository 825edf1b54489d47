"""Heatmap-guided bottom-up estimation with adaptive convolutions (Sun, Geng, et al.) on COCO: Tables 2 and 4.

    posestream train guided_hrnet_w32_coco_512 data.train=DIR data.val=DIR model.weights=FILE
    posestream score-net guided_hrnet_w32_coco_512 --checkpoint best.ckpt data.train=DIR
    posestream evaluate guided_hrnet_w32_coco_512 --checkpoint best.ckpt data.val=DIR \
        bottomup.grouping.scoring=learned 'bottomup.test.scales=[0.5,1,2]'

Adam, 1e-3, x0.1 at epochs 90 and 120 of 140; batch 12 on each of 4 GPUs, 8 for W48.
Weights to start from: the authors' HRNet for ImageNet.

Expected AP on val2017 with learned scores, at one scale and, as above, at three:

    guided_hrnet_w32_coco_512         67.8  70.7  bottom-up 2
    guided_hrnet_w48_coco_640         70.1  72.5  bottom-up 2
    guided_higherhrnet_w48_coco_640   71.3  72.9  bottom-up 2

Expected AP of the regressed poses, of the heatmaps grouped by annotated poses, and of the final poses, at one scale;
bottomup.grouping.quality=regression, heatmaps or final says which is measured:

    guided_hrnet_w32_ablation_baseline_coco_512   59.6  71.3  64.5  bottom-up 4
    guided_hrnet_w32_ablation_guidance_coco_512   60.5  71.8  64.9  bottom-up 4; the regression sees the heatmaps
    guided_hrnet_w32_ablation_tradeoff_coco_512   61.5  73.2  66.2  bottom-up 4; and background counts a tenth
    guided_hrnet_w32_coco_512                     65.1  73.3  67.2  bottom-up 4; and convolutions adapt
    guided_hrnet_w32_coco_512                     65.1  73.3  67.8  bottom-up 4; and scores are learned

The published models come from the authors' code, which differs from the paper that these recipes follow. It trains with
bottomup.targets.common_mask=true, .overlap=smaller and .offset_scale=area; a public checkpoint is best tested with
evaluate.flip_shift=public, that of guided_higherhrnet also with bottomup.test.average_strides=true. What these recipes
take over, though the paper does not have it, is bottomup.grouping.gaussian_refinement.

Time: not measured.
"""

from engine.bottomup_config import BottomUpConfig, GroupingConfig, PictureConfig, TargetConfig
from engine.config import (
    DataConfig,
    EvaluateConfig,
    HeatmapConfig,
    ModelConfig,
    OptimConfig,
    Recipe,
    TrainConfig,
    variant,
)
from pipelines.bottomup_augmentation import BottomUpAugmentation


def _recipe(model: str, side: int, gpus: int) -> Recipe:
    return Recipe(
        name=f"{model}_coco_{side}",
        data=DataConfig(crop_size=(side, side)),
        model=ModelConfig(name=model),
        heatmap=HeatmapConfig(sigma=2.0, encoding="exact"),
        bottomup=BottomUpConfig(
            pictures="annotated",
            augmentation=BottomUpAugmentation(
                scale_min=0.75, scale_max=1.5, max_rotation=30, translation_factor=0.2, flip_probability=0.5
            ),
            targets=TargetConfig(center_min_area=32**2, ignore_outside=True),
            # Candidates come from the finest heatmaps alone (the paper's footnote 3); only one network has others.
            test=PictureConfig(average_strides=False),
            grouping=GroupingConfig(gaussian_refinement=True),
        ),
        optim=OptimConfig(lr=1e-3, milestones=(90, 120)),
        train=TrainConfig(epochs=140, batch_size=12 * gpus, validate_every=10),
        evaluate=EvaluateConfig(flip_shift="exact"),
    )


systems = (
    _recipe("guided_hrnet_w32", 512, gpus=4),
    _recipe("guided_hrnet_w48", 640, gpus=8),
    _recipe("guided_higherhrnet_w48", 640, gpus=8),
)

_GUIDANCE, _TRADEOFF, _ADAPTIVE = (
    "model.options.guidance=false",
    "bottomup.targets.background=1",
    "model.options.adaptive=false",
)
_WITHOUT = {
    "baseline": (_GUIDANCE, _TRADEOFF, _ADAPTIVE),
    "guidance": (_TRADEOFF, _ADAPTIVE),
    "tradeoff": (_ADAPTIVE,),
}

recipes = (
    *systems,
    *(
        variant(systems[0], f"guided_hrnet_w32_ablation_{row}_coco_512", *settings)
        for row, settings in _WITHOUT.items()
    ),
)

"""Associative embedding (Newell, Huang & Deng, NeurIPS 2017) on COCO, and EnhanceNet (Liu et al., ECAI 2020) on it.

    posestream train ae_hourglass_4_coco_512 data.train=DIR data.val=DIR
    posestream evaluate ae_hourglass_4_coco_512 --checkpoint best.ckpt data.val=DIR 'bottomup.test.scales=[2,1,0.5]'

The public code's recipe from random weights: Adam, 2e-4, batch 32, 1e-5 from iteration 200,000 on, which is epoch 113
of train2017's 57k pictures. The code does not say when to stop; 130 epochs are this recipe's choice. Its changes of
hue, saturation, brightness and contrast are left out. EnhanceNet makes the last stack's heatmaps four times finer; its
paper says nothing of the schedule but that the public code's was kept.

Expected AP on val2017, as EnhanceNet's authors retrained it; on test-dev 56.6 at one scale and, as above, 63.0 at three
were published, and 65.5 where a network for single persons refines these:

    ae_hourglass_4_coco_512              53.3  EnhanceNet 4
    ae_hourglass_4_enhancenet_coco_512   55.3  EnhanceNet 4

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

_plain = Recipe(
    name="ae_hourglass_4_coco_512",
    data=DataConfig(crop_size=(512, 512), normalisation="unit"),
    model=ModelConfig(name="ae_hourglass_4"),
    heatmap=HeatmapConfig(sigma=2.0, encoding="truncated"),
    bottomup=BottomUpConfig(
        fit="long",
        pictures="labelled",
        augmentation=BottomUpAugmentation(
            scale_min=0.75, scale_max=1.25, max_rotation=30, translation_factor=0.2, flip_probability=0.5
        ),
        targets=TargetConfig(background=1, ignore_outside=True, pull_weight=1e-3, push_weight=1e-3),
        test=PictureConfig(fit="long", resizing="half_pixel", to_input=False),
        grouping=GroupingConfig(threshold=0.1, pool=3, tag_distance="rms", stop_when_full=True),
    ),
    optim=OptimConfig(lr=2e-4, milestones=(113,), gamma=0.05),
    train=TrainConfig(epochs=130, batch_size=32, validate_every=10),
    evaluate=EvaluateConfig(flip_shift="none"),
)

recipes = (_plain, variant(_plain, "ae_hourglass_4_enhancenet_coco_512", "model.plugin=enhancenet"))

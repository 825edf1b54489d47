"""SimpleBaseline (Xiao, Wu & Wei, ECCV 2018), ResNet-50, COCO 256x192.

    posestream train simplebaseline_resnet50_coco_256x192 data.train=DIR data.val=DIR \
        evaluate.detections=FILE model.backbone_weights=FILE

SimpleBaseline paper schedule: Adam, 1e-3, x0.1 at epochs 90 and 120 of 140, batch 32 on each of 4 GPUs.
Backbone weights: torchvision's resnet50 for ImageNet. The released model feeds BGR; data.channel_order=bgr does so.
Expected: AP 70.4 (released model) or 70.2 (retrained, EnhanceNet paper) on val2017 with detector boxes of AP 56.4.
Time: not measured yet.
"""

from engine.config import DataConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.augmentation import Augmentation

recipe = Recipe(
    name="simplebaseline_resnet50_coco_256x192",
    run_dir="runs/simplebaseline_resnet50_coco_256x192",
    data=DataConfig(crop_size=(256, 192), shuffle="instance"),
    model=ModelConfig(name="simplebaseline_resnet50"),
    augmentation=Augmentation(scale_factor=0.3, rotation_factor=40, flip_probability=0.5),
    optim=OptimConfig(lr=1e-3, milestones=(90, 120)),
    train=TrainConfig(epochs=140, batch_size=128),
)

"""SimpleBaseline (Xiao, Wu & Wei, ECCV 2018), ResNet-50, CrowdPose 256x192.

    posestream train simplebaseline_resnet50_crowdpose_256x192 data.train=DIR data.val=DIR \
        evaluate.detections=FILE model.backbone_weights=FILE

No schedule was published for this row; it is the COCO recipe on the CrowdPose training set.
Backbone weights: torchvision's resnet50 for ImageNet. The released model feeds BGR; data.channel_order=bgr does so.
Expected: AP 60.8 on the test set with detector boxes, as the EFAFNet paper reports it.
Time: not measured yet.
"""

from engine.config import DataConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.augmentation import Augmentation

recipe = Recipe(
    name="simplebaseline_resnet50_crowdpose_256x192",
    run_dir="runs/simplebaseline_resnet50_crowdpose_256x192",
    data=DataConfig(crop_size=(256, 192), shuffle="instance"),
    model=ModelConfig(name="simplebaseline_resnet50"),
    augmentation=Augmentation(scale_factor=0.3, rotation_factor=40, flip_probability=0.5),
    optim=OptimConfig(lr=1e-3, milestones=(90, 120)),
    train=TrainConfig(epochs=140, batch_size=128),
)

"""Rotation, scale, half bodies, mirroring and translation, of SimpleBaseline on COCO.

    posestream tune augmentation data.train=DIR data.val=DIR model.weights=FILE --out DIR

None of them changes the sequence of batches, so `tune.scheduler=pbt tune.searcher=random` searches them as schedules
over one training.
"""

from tune.distributions import Uniform
from tune.space import Asha, Resources, Space

space = Space(
    recipe="simplebaseline_resnet50_coco_256x192",
    settings=("train.epochs=60", "optim.milestones=40,54"),
    search={
        "augmentation.rotation_factor": Uniform(0, 60),
        "augmentation.scale_factor": Uniform(0, 0.5),
        "augmentation.half_body_probability": Uniform(0, 0.5),
        "augmentation.flip_probability": Uniform(0, 0.5),
        "augmentation.translation_factor": Uniform(0, 0.2),
    },
    trials=32,
    scheduler=Asha(grace_epochs=10, reduction=2),  # strong augmentation learns more slowly
    resources=Resources(cpus=8, gpus=1),
)

"""The offset loss's weight λ, the background's weight in the mask, and the distance of absorption, of bottom-up poses.

    posestream tune bottomup data.train=DIR data.val=DIR model.weights=FILE --out DIR

The distance counts in tests only; it is searched along because validation uses it.
"""

from tune.distributions import Choice, LogUniform, Uniform
from tune.space import Asha, Resources, Space

space = Space(
    recipe="guided_hrnet_w32_coco_512",
    settings=("train.epochs=40", "optim.milestones=26,34", "train.validate_every=2", "train.batch_size=12"),
    search={
        "bottomup.targets.offset_weight": LogUniform(1e-3, 1e-1),
        "bottomup.targets.background": Choice(0.01, 0.03, 0.1, 0.3, 1.0),
        "bottomup.grouping.absorb_px": Uniform(25, 150, step=25),
    },
    trials=24,
    scheduler=Asha(grace_epochs=4, reduction=3),
    resources=Resources(cpus=8, gpus=1),
)

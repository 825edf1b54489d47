"""The width of the targets and the weight of the finer map's loss, of EnhanceNet on COCO.

    posestream tune heatmaps data.train=DIR data.val=DIR model.weights=FILE --out DIR

The training's loss does not compare between targets of different widths: the metric has to be the score.
"""

from tune.distributions import Choice, LogUniform, Uniform
from tune.space import Asha, Resources, Space

space = Space(
    recipe="simplebaseline_resnet50_enhancenet_coco_256x192",
    settings=("train.epochs=30", "optim.milestones=20,26"),
    search={
        "heatmap.sigma": Uniform(1.0, 3.5, step=0.25),
        "heatmap.encoding": Choice("rounded", "exact"),
        "model.plugin_options.loss_weight": LogUniform(0.1, 10),
    },
    trials=24,
    scheduler=Asha(grace_epochs=3, reduction=3),
    resources=Resources(cpus=8, gpus=1),
)

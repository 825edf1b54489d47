"""EnhanceNet's ratio r, channels C and input (tables 5a to 5d vary one at a time), on SimpleBaseline on COCO.

posestream tune enhancenet data.train=DIR data.val=DIR model.weights=FILE --out DIR
"""

from tune.distributions import Choice
from tune.space import Asha, Resources, Space

space = Space(
    recipe="simplebaseline_resnet50_enhancenet_coco_256x192",
    settings=("train.epochs=30", "optim.milestones=20,26"),
    search={
        "model.plugin_options.ratio": Choice(2, 4, 8),
        "model.plugin_options.channels": Choice(32, 64, 128, 256),
        "model.plugin_options.input": Choice("both", "features", "heatmaps"),
    },
    trials=24,
    scheduler=Asha(grace_epochs=3, reduction=3),
    resources=Resources(cpus=8, gpus=1),
)

"""Learning rate, batch size, weight decay and schedule of SimpleBaseline on COCO.

    posestream tune learning_rate data.train=DIR data.val=DIR model.weights=FILE --out DIR

32 trials of at most 30 epochs; of those that reach epoch 3 and 9, the best third goes on. With a GPU per trial, about
as much work as three full trainings. Another network: tune/spaces/learning_rate.py copied and its recipe changed.
"""

from tune.distributions import Choice, LogUniform
from tune.space import Asha, Resources, Space

space = Space(
    recipe="simplebaseline_resnet50_coco_256x192",
    settings=("train.epochs=30", "optim.milestones=20,26"),
    search={
        "optim.lr": LogUniform(1e-4, 1e-2),
        "train.batch_size": Choice(32, 64, 128),
        "optim.weight_decay": Choice(0.0, 1e-5, 1e-4, 1e-3),
        "optim.schedule": Choice("multistep", "cosine"),
    },
    trials=32,
    scheduler=Asha(grace_epochs=3, reduction=3),
    resources=Resources(cpus=8, gpus=1),
)

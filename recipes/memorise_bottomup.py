"""Learn a handful of whole pictures by heart: the check that bottom-up estimation works on a dataset, on a CPU.

    posestream train memorise_bottomup data.train=DIR data.val=DIR

A quarter of the guided network's width, no augmentation, and scored on the training pictures, without boxes. Expected:
AP above 0.9 on four pictures with a dozen persons, in five minutes on two cores.
"""

from engine.bottomup_config import BottomUpConfig, PictureConfig
from engine.config import DataConfig, EvaluateConfig, HeatmapConfig, ModelConfig, OptimConfig, Recipe, TrainConfig

recipe = Recipe(
    name="memorise_bottomup",
    data=DataConfig(crop_size=(256, 256)),
    model=ModelConfig(
        name="guided_hrnet_w32",
        options={"width": 16, "stem": 32, "modules": [1, 1, 1], "blocks": 1, "regression_width": 64},
    ),
    heatmap=HeatmapConfig(encoding="exact"),
    bottomup=BottomUpConfig(fit="long", test=PictureConfig(fit="long")),
    optim=OptimConfig(lr=2e-3, schedule="cosine", warmup_steps=20),
    train=TrainConfig(epochs=300, batch_size=4, validate_every=100, precision="32-true"),
    evaluate=EvaluateConfig(flip_test=False),
)

"""Learn a handful of pictures by heart: the check that a dataset's whole path works, in minutes on a CPU.

    posestream train memorise data.train=DIR data.val=DIR

No augmentation, and scored on the training pictures. Expected: AP above 0.9 (MPII: PCKh@0.5 above 95) on ten persons.
"""

from engine.config import DataConfig, EvaluateConfig, HeatmapConfig, ModelConfig, OptimConfig, Recipe, TrainConfig

recipe = Recipe(
    name="memorise",
    data=DataConfig(crop_size=(256, 192)),
    model=ModelConfig(name="simplebaseline_resnet18", options={"blocks": [2, 2, 2], "deconv_channels": [128, 128]}),
    heatmap=HeatmapConfig(encoding="exact", decoding="dark"),
    optim=OptimConfig(lr=1e-3, schedule="cosine", warmup_steps=10),
    train=TrainConfig(epochs=80, batch_size=8, validate_every=20),
    evaluate=EvaluateConfig(flip_test=False),
)

"""A small SimpleBaseline on synthetic people, for two CPU cores; `make demo` runs it.

posestream train demo_synthetic data.train=DIR data.val=DIR
"""

from engine.config import DataConfig, EvaluateConfig, HeatmapConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.augmentation import Augmentation

recipe = Recipe(
    name="demo_synthetic",
    run_dir="runs/demo_synthetic",
    data=DataConfig(crop_size=(128, 96)),
    model=ModelConfig(name="simplebaseline_resnet18", options={"width": 32, "deconv_channels": [64, 64, 64]}),
    augmentation=Augmentation(scale_factor=0.2, rotation_factor=15, flip_probability=0.5),
    heatmap=HeatmapConfig(sigma=1.5),
    optim=OptimConfig(lr=2e-3, schedule="cosine", warmup_steps=50),
    train=TrainConfig(epochs=10, batch_size=32, precision="32-true"),
    evaluate=EvaluateConfig(),
)

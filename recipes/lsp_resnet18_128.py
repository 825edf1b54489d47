"""A small SimpleBaseline on the Leeds Sports photographs in MPII layout, for a CPU.

    posestream train lsp_resnet18_128 data.train=DIR data.val=DIR

Three stages of ResNet-18: without ImageNet weights, stride 16 learns faster than stride 32.
Expected: benchmarks/README.md has PCKh@0.5 over time and the machine that it ran on.
"""

from engine.config import DataConfig, EvaluateConfig, HeatmapConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.augmentation import Augmentation

recipe = Recipe(
    name="lsp_resnet18_128",
    data=DataConfig(crop_size=(128, 128)),
    model=ModelConfig(name="simplebaseline_resnet18", options={"blocks": [2, 2, 2], "deconv_channels": [128, 128]}),
    augmentation=Augmentation(scale_factor=0.25, rotation_factor=30, flip_probability=0.5),
    heatmap=HeatmapConfig(encoding="exact", decoding="dark"),
    optim=OptimConfig(lr=2e-3, schedule="cosine", warmup_steps=200),
    evaluate=EvaluateConfig(flip_shift="exact"),
    train=TrainConfig(epochs=50, batch_size=32, validate_every=2),
)

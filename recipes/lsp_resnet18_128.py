"""A SimpleBaseline with ResNet-18 on the Leeds Sports photographs in MPII layout, small enough for a CPU.

    posestream train lsp_resnet18_128 data.train=DIR data.val=DIR

Expected: see benchmarks/lsp.md for PCKh@0.5 over time and the machine that it ran on.
"""

from engine.config import DataConfig, HeatmapConfig, ModelConfig, OptimConfig, Recipe, TrainConfig
from pipelines.augmentation import Augmentation

recipe = Recipe(
    name="lsp_resnet18_128",
    run_dir="runs/lsp_resnet18_128",
    data=DataConfig(crop_size=(128, 128)),
    model=ModelConfig(name="simplebaseline_resnet18", options={"deconv_channels": [128, 128, 128]}),
    augmentation=Augmentation(scale_factor=0.25, rotation_factor=30, flip_probability=0.5),
    heatmap=HeatmapConfig(sigma=1.5, encoding="exact", decoding="dark"),
    optim=OptimConfig(lr=2e-3, schedule="cosine", warmup_steps=100),
    train=TrainConfig(epochs=60, batch_size=64, precision="auto", validate_every=2),
)

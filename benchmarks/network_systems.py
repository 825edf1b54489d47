"""The networks whose cost is measured, each as its paper trains it, and what they are fed."""

from dataclasses import dataclass, field

import torch

from benchmarks.random_batches import random_persons, random_pictures
from engine.bottomup_config import BottomUpConfig
from engine.config import DataConfig, HeatmapConfig, ModelConfig, Recipe
from pipelines.bottomup import BottomUpBatch
from pipelines.topdown import TopDownBatch

_DARK = HeatmapConfig(encoding="exact", decoding="dark")


@dataclass(frozen=True)
class System:
    """A network; `side` is that of the square crops, px, if it looks at whole pictures."""

    model: ModelConfig
    heatmap: HeatmapConfig = field(default_factory=HeatmapConfig)
    side: int | None = None

    def recipe(self, crop_size: tuple[int, int]) -> Recipe:
        bottomup = None if self.side is None else BottomUpConfig()
        data = DataConfig(crop_size=crop_size)
        return Recipe(name="benchmark", data=data, model=self.model, heatmap=self.heatmap, bottomup=bottomup)

    def batch(self, persons: int, crop_size: tuple[int, int], device: torch.device) -> TopDownBatch | BottomUpBatch:
        """That many persons' crops of (height, width) px, or pictures with as many px."""
        if self.side is None:
            return random_persons(persons, crop_size, device)
        pictures = round(persons * crop_size[0] * crop_size[1] / self.side**2)
        return random_pictures(max(1, pictures), self.side, device)


def _bottom_up(name: str, side: int, plugin: str | None = None) -> System:
    return System(ModelConfig(name=name, plugin=plugin), side=side)


SYSTEMS = {
    "SimpleBaseline-50": System(ModelConfig(name="simplebaseline_resnet50")),
    "HRNet-W32": System(ModelConfig(name="hrnet_w32")),
    "Hourglass-2": System(ModelConfig(name="hourglass_2"), HeatmapConfig(sigma=1)),
    "CPN-50": System(ModelConfig(name="cpn_resnet50")),
    "MRFeaNet1-50": System(ModelConfig(name="mrfeanet1_resnet50")),
    "EFAFNet-50": System(ModelConfig(name="efafnet_resnet50"), HeatmapConfig(sigma=1)),
    "SimpleBaseline-50 + EnhanceNet": System(ModelConfig(name="simplebaseline_resnet50", plugin="enhancenet")),
    "SimpleBaseline-50 + PoseReNet": System(ModelConfig(name="simplebaseline_resnet50", plugin="poserenet"), _DARK),
    "HigherHRNet-W32": _bottom_up("higherhrnet_w32", 512),
    "HigherHRNet-W48": _bottom_up("higherhrnet_w48", 640),
    "Guided HRNet-W32": _bottom_up("guided_hrnet_w32", 512),
    "Guided HRNet-W48": _bottom_up("guided_hrnet_w48", 640),
    "Guided HigherHRNet-W48": _bottom_up("guided_higherhrnet_w48", 640),
    "AE Hourglass-4": _bottom_up("ae_hourglass_4", 512),
    "AE Hourglass-4 + EnhanceNet": _bottom_up("ae_hourglass_4", 512, "enhancenet"),
}

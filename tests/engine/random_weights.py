"""Weights that make every layer of a network show in its answer, and networks that are exported in seconds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from engine.config import Recipe, parse_recipe
from models import HeatmapNetwork
from pose.skeletons import Skeleton

_BLOCKS = [1, 1, 1, 1]
_HRNET = {"width": 4, "stem": 8, "modules": [1, 1, 1], "blocks": 1}
_SMALL: dict[str, dict[str, Any]] = {
    "simplebaseline": {"width": 8, "blocks": _BLOCKS, "deconv_channels": [8, 8, 8]},
    "hrnet": _HRNET,
    "hourglass": {"channels": 8, "depth": 1},
    "cpn": {"width": 4, "blocks": _BLOCKS, "channels": 8},
    "dlcm": {"channels": 32, "depth": 1},
    "mrheatnet": {"width": 4, "blocks": _BLOCKS, "deconv_channels": [8, 8, 8]},
    "mrfeanet": {"width": 4, "blocks": _BLOCKS},
    "efafnet": {"width": 16, "base_width": 8, "blocks": _BLOCKS},
    "higherhrnet": {**_HRNET, "deconv_blocks": 1},
    "guided": {**_HRNET, "head_width": 8, "regression_width": 8},
    "ae_hourglass": {"channels": 8, "increase": 4, "depth": 1},
}
_WHOLE_PICTURES = ("higherhrnet", "guided", "ae_hourglass")


@dataclass(frozen=True)
class RandomWeights:
    """Stands for a checkpoint; see `engine.trained`."""

    path: Path = Path("random")

    def load_into(self, network: HeatmapNetwork, recipe: Recipe, skeleton: Skeleton) -> None:
        generator = torch.Generator().manual_seed(0)
        for name, tensor in network.state_dict().items():
            if tensor.ndim == 4:
                tensor.normal_(std=(2 / tensor[0].numel()) ** 0.5, generator=generator)
            elif name.endswith("running_var"):
                tensor.uniform_(0.5, 2, generator=generator)
            elif tensor.is_floating_point() and "regular_matrix" not in name:
                tensor.normal_(generator=generator)
                tensor.mul_(0.3).add_(0.0 if name.endswith(("bias", "mean")) else 1.0)


def small_recipe(name: str = "simplebaseline_resnet18", **parts: Any) -> Recipe:
    """A recipe of a small network of this name, bottom-up if it is for whole pictures; `parts` go into its tree."""
    options = next(options for family, options in _SMALL.items() if name.startswith(family))
    tree: dict[str, Any] = {"name": "small_coco", "data": {"crop_size": [64, 64]}, "evaluate": {"flip_test": False}}
    if name.startswith(_WHOLE_PICTURES):
        tree["bottomup"] = {}
    return parse_recipe({**tree, **parts, "model": {"name": name, "options": options, **parts.get("model", {})}})

"""Parameters and multiply-accumulates of a network, counted without running it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from models.adaptive_convolution import AdaptiveConvolution
from models.create import create_model


@dataclass(frozen=True)
class Cost:
    """Trainable parameters, and multiply-accumulates for one crop.

    `macs` counts a transposed convolution on its input side, which is the work done; `macs_dense` on its output side,
    as papers do (stride² times as much). Convolutions and linear layers count; biases, norms, activations and what
    adaptive convolutions sample do not.
    """

    params: int
    macs: int
    macs_dense: int

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.params + other.params, self.macs + other.macs, self.macs_dense + other.macs_dense)


def model_cost(name: str, num_keypoints: int, crop_size: tuple[int, int], **options: Any) -> Cost:
    """Cost of a model of `models.create_model` for crops of (height, width) px. Nothing is allocated or computed."""
    with torch.device("meta"):
        model = create_model(name, num_keypoints, **options).eval()
        return network_cost(model, torch.empty(1, 3, *crop_size))


def plugin_cost(
    name: str,
    num_keypoints: int,
    crop_size: tuple[int, int],
    plugin: str,
    plugin_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Cost:
    """Cost of a plug-in alone, on a model of `models.create_model`."""
    with torch.device("meta"):
        model = create_model(name, num_keypoints, plugin=plugin, plugin_options=plugin_options, **options).eval()
        size = [round(side / model.base.outputs[-1].stride) for side in crop_size]
        maps = [torch.empty(1, channels, *size) for channels in (model.base.feature_channels, num_keypoints)]
        return network_cost(model.get_submodule("plugin"), *maps)


def network_cost(model: nn.Module, *inputs: Tensor) -> Cost:
    """Cost of any network for the given inputs, whose batch size is 1."""
    counts = {"macs": 0, "macs_dense": 0}

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.Linear):
            counts["macs"] += inputs[0].numel() * module.out_features
            counts["macs_dense"] += inputs[0].numel() * module.out_features
        elif isinstance(module, nn.ConvTranspose2d):
            counts["macs"] += inputs[0][0, 0].numel() * module.weight.numel()
            counts["macs_dense"] += output[0, 0].numel() * module.weight.numel()
        elif isinstance(module, nn.Conv2d | AdaptiveConvolution):
            counts["macs"] += output[0, 0].numel() * module.weight.numel()
            counts["macs_dense"] += output[0, 0].numel() * module.weight.numel()

    hooks = [module.register_forward_hook(count) for module in model.modules()]
    try:
        with torch.no_grad(), _WithoutNorms():
            model(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return Cost(sum(parameter.numel() for parameter in model.parameters()), counts["macs"], counts["macs_dense"])


class _WithoutNorms(TorchFunctionMode):
    """Batch norms do nothing: they are not counted, and would take most of the time on the meta device."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return args[0] if function is F.batch_norm else function(*args, **(kwargs or {}))

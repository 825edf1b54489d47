"""What an ONNX file holds: a network, perhaps with normalisation in front of it and decoding behind it."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from engine.export_error import ExportError
from engine.network_input import network_input
from engine.task import Task
from engine.topdown import TopDownTask
from models import OutputMap
from pose.heatmaps import HeatmapCodec


@dataclass(frozen=True)
class ExportSettings:
    """What the file holds.

    Attributes:
        decode: answer with keypoints (B, K, 2), crop px, and scores (B, K) instead of heatmaps; for single persons.
        uint8: take uint8 RGB crops, and normalise them inside; else float32 ones, normalised, in the recipe's order.
        opset: version of ONNX's operators, 18 or newer; older runtimes read older ones.
    """

    decode: bool = False
    uint8: bool = False
    opset: int = 18


class ExportedNetwork(nn.Module):
    """Crops (B, 3, H, W) → a tensor for each of `names`: the maps that poses are read from, or keypoints and scores.

    Attributes:
        outputs: what the maps are. codec: what decodes the last of them; None without decoding.
    Raises:
        ExportError: decoding inside is not for this recipe.
    """

    def __init__(self, task: Task, settings: ExportSettings) -> None:
        super().__init__()
        self.network = task.build_model(pretrained=False)
        self.data = task.recipe.data
        self.uint8 = settings.uint8
        self.kept = needed_outputs(self.network.outputs)
        self.outputs = tuple(self.network.outputs[number] for number in self.kept)
        self.codec = _codec(task, self.outputs[-1]) if settings.decode else None
        self.names = ("keypoints", "scores") if settings.decode else tuple(output.name for output in self.outputs)

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        maps = self.maps(crops)
        return maps if self.codec is None else self.codec.decode(maps[-1])

    def maps(self, crops: Tensor) -> tuple[Tensor, ...]:
        """(B, C, H/stride, W/stride) for each of `outputs`."""
        maps = self.network(network_input(self.data, crops) if self.uint8 else crops)
        return tuple(maps[number] for number in self.kept)

    def input_of(self, pictures: Tensor) -> Tensor:
        """What it is fed for uint8 RGB pictures (B, 3, H, W)."""
        return pictures if self.uint8 else network_input(self.data, pictures)


def needed_outputs(outputs: Sequence[OutputMap]) -> list[int]:
    """Which outputs of a network poses are read from: the last of each kind, and what is averaged with it."""
    last_of_kind = {output.kind: number for number, output in enumerate(outputs)}
    averaged = [number for number, output in enumerate(outputs) if output.averaged and outputs[-1].averaged]
    return sorted({*last_of_kind.values(), *averaged})


def _codec(task: Task, output: OutputMap) -> HeatmapCodec:
    if not isinstance(task, TopDownTask):
        raise ExportError(
            f"recipe {task.recipe.name} finds all persons of whole pictures, and what groups keypoints into persons "
            "cannot be in the file; leave --decode out, and the file answers with the maps"
        )
    return task.codec(output)


def require_fitting_maps(network: ExportedNetwork, crops: Tensor) -> None:
    """Raise ExportError if heatmaps have not the size that the decoding is for. CropSizeError from the network itself.

    This call is needed before tracing, too: what is computed once and kept shall be kept from real tensors.
    """
    with torch.no_grad():
        maps = network.maps(crops)
        network(crops)
    if network.codec is not None and tuple(maps[-1].shape[2:]) != network.codec.heatmap_size:
        raise ExportError(
            f"data.crop_size={network.data.crop_size}: heatmaps have {tuple(maps[-1].shape[2:])} px instead of "
            f"{network.codec.heatmap_size}; choose sides that the network's strides divide, such as multiples of 32"
        )

"""What an ONNX file says of itself, so that whoever runs it needs nothing else."""

import json
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from engine.config import DataConfig, Recipe
from engine.export_input import InputSizes
from engine.export_network import ExportedNetwork
from engine.network_input import network_input
from engine.trained import network_name
from pose.skeleton_file import skeleton_to_dict
from pose.skeletons import Skeleton


def export_facts(recipe: Recipe, skeleton: Skeleton, network: ExportedNetwork, sizes: InputSizes) -> dict[str, str]:
    """Text by key; what is more than a word is JSON."""
    facts: dict[str, Any] = {
        "posestream": _own_version(),
        "recipe": recipe.name,
        "network": network_name(recipe, skeleton.num_keypoints),
        "skeleton": skeleton_to_dict(skeleton),
        "input": _input(recipe.data, network.uint8, sizes),
        "crop": _crop(recipe),
        "outputs": _outputs(recipe, network),
        "flip_test": "not inside",
    }
    return {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}


def _input(data: DataConfig, uint8: bool, sizes: InputSizes) -> dict[str, Any]:
    """Feed (pixels − mean) / std, pixels from 0 to 255 in this order of channels."""
    mean, std = ([0.0] * 3, [1.0] * 3) if uint8 else _statistics(data)
    return {
        "name": "crops",
        "dtype": "uint8" if uint8 else "float32",
        "layout": "NCHW",
        "channel_order": "rgb" if uint8 else data.channel_order,
        "mean": mean,
        "std": std,
        "size": list(sizes.tried[0]) if sizes.multiple is None else None,
        "multiple": sizes.multiple,
    }


def _statistics(data: DataConfig) -> tuple[list[float], list[float]]:
    """Means and standard deviations of the channels, from what black and white become."""
    black, white = (
        network_input(data, torch.full((1, 3, 1, 1), value, dtype=torch.uint8)).double().flatten() for value in (0, 255)
    )
    std = 255 / (white - black)
    return [round(value, 3) for value in (-black * std).tolist()], [round(value, 3) for value in std.tolist()]


def _crop(recipe: Recipe) -> dict[str, Any]:
    """How a picture becomes the input."""
    if recipe.bottomup is None:
        names = ("box_padding", "convention")
        return {"of": "one person's box", **{name: getattr(recipe.data, name) for name in names}}
    test = recipe.bottomup.test
    return {
        "of": "the whole picture",
        "fit": test.fit,
        "short_side": test.short_side or recipe.data.crop_size[0],
        "multiple": test.multiple,
    }


def _outputs(recipe: Recipe, network: ExportedNetwork) -> list[dict[str, Any]]:
    if network.codec is not None:
        return [
            {"name": "keypoints", "unit": "crop px", "decoding": recipe.heatmap.decoding},
            {"name": "scores"},
        ]
    return [
        {"name": output.name, "kind": output.kind, "stride": output.stride, "peak": output.peak}
        for output in network.outputs
    ]


def _own_version() -> str:
    try:
        return version("posestream")
    except PackageNotFoundError:  # a checkout that a job was started from
        return "not installed"

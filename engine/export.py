"""A trained network as one ONNX file that needs neither posestream nor PyTorch, checked before it gets its name."""

import importlib.util
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.checkpoint import load_checkpoint
from engine.config import Recipe, override
from engine.export_check import Difference, answer_differences
from engine.export_error import ExportError
from engine.export_facts import export_facts
from engine.export_input import input_sizes
from engine.export_network import ExportedNetwork, ExportSettings
from engine.export_trace import traced
from engine.tasks import make_task
from engine.trained import OwnWeights, Weights
from pose.skeletons import Skeleton

_PLAIN = ExportSettings()
_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
_MOST_BYTES = 2_000_000_000  # protobuf ends at 2 GiB; the graph itself needs some of it


@dataclass(frozen=True)
class Exported:
    """A file that answers as PyTorch does.

    Attributes:
        inputs, outputs: shapes by name, "batch" and the like where a side is free.
        differences: between the file in onnxruntime and PyTorch, for each output.
    """

    path: Path
    megabytes: float
    inputs: dict[str, list[int | str]]
    outputs: dict[str, list[int | str]]
    differences: tuple[Difference, ...]


def export_checkpoint(
    checkpoint: Path | str,
    file: Path | str,
    settings: ExportSettings = _PLAIN,
    overrides: Sequence[str] = (),
) -> Exported:
    """The network of a training run's checkpoint, with its recipe changed by `overrides` such as
    "heatmap.decoding=dark". Raises what `export_network` does, and CheckpointError."""
    path = Path(checkpoint)
    saved = load_checkpoint(path)
    return export_network(override(saved.recipe, overrides), saved.skeleton, OwnWeights(path), file, settings)


def export_network(
    recipe: Recipe,
    skeleton: Skeleton,
    weights: Weights | None,
    file: Path | str,
    settings: ExportSettings = _PLAIN,
) -> Exported:
    """Write a recipe's network with these weights, None for untrained ones. The flip test is not in the file.

    Single persons: `crops` (batch, 3, H, W) of the recipe's size → the decoded heatmaps, or keypoints and scores.
    Whole pictures: `crops` of any sides that `bottomup.test.multiple` divides → the maps that persons are found by.

    Raises:
        ExportError: a package is missing, the network cannot be exported, the file would answer otherwise than PyTorch,
            or it cannot be written. What was under that name before is then still there.
        ConfigError, CheckpointError, WeightsError: recipe and weights do not fit.
    """
    path = Path(file)
    _require_packages()
    _require_place(str(file), path)
    network = ExportedNetwork(make_task(recipe, skeleton), settings)
    if weights is not None:
        weights.load_into(network.network, recipe, skeleton)
    network.eval()
    _require_one_file(network)
    sizes = input_sizes(recipe)
    program = traced(network, sizes, settings.opset)
    program.model.metadata_props.update(export_facts(recipe, skeleton, network, sizes))
    part = path.with_name(f"{path.name}.partial")
    try:
        _write(program.model_proto.SerializeToString(), part, path)
        differences = answer_differences(part, network, sizes)
        os.replace(part, path)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    graph = program.model.graph
    return Exported(path, path.stat().st_size / 1e6, _shapes(graph.inputs), _shapes(graph.outputs), differences)


def _shapes(values: Iterable[Any]) -> dict[str, list[int | str]]:
    return {value.name: [side if isinstance(side, int) else str(side) for side in value.shape] for value in values}


def _require_packages() -> None:
    missing = [name for name in _PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ExportError(
            f"export needs {', '.join(missing)}, which are not installed: pip install -c constraints.txt -e '.[export]'"
        )


def _require_place(given: str, path: Path) -> None:
    """Now, not when all the work is done."""
    if "://" in given:
        raise ExportError(f"{given}: ONNX files are written to a disk; give a path, and copy the file afterwards")
    if path.is_dir():
        raise ExportError(f"{path} is a folder; name the file in it, such as {path / 'network.onnx'}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportError(f"{path} cannot be written: {error.strerror or error} ({path.parent})") from error


def _require_one_file(network: ExportedNetwork) -> None:
    size = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    if size > _MOST_BYTES:
        raise ExportError(
            f"the network's weights have {size / 1e9:.1f} GB, and an ONNX file holds at most 2 GB; take a narrower one"
        )


def _write(content: bytes, part: Path, path: Path) -> None:
    """To disk, not only to the system's memory: a name shall never stand for half a file."""
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ExportError(
            f"{path} cannot be written ({error.strerror or error}); {len(content) / 1e6:.0f} MB are needed there"
        ) from error

"""Does an ONNX file answer as the network that it was made from?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from engine.export_error import ExportError
from engine.export_input import InputSizes, example_pictures
from engine.export_network import ExportedNetwork

_BATCHES = (1, 3)
_TOLERANCE = 1e-3  # of an output's largest value
_TOLERANCE_PX = 0.1
_NOISE = 1e-5  # of a heatmap's largest value: what sums in another order come to
_DISTURBED = 8  # as many times
_STEADY_PX = 0.02


@dataclass(frozen=True)
class Difference:
    """How far one output of the file is from PyTorch's.

    Attributes:
        largest: over all tried crops, in px for keypoints. size: the largest value of the output.
        compared, of: how many numbers counted, of how many; keypoints that the smallest noise moves do not.
    """

    name: str
    largest: float
    size: float
    compared: int
    of: int


def answer_differences(file: Path, network: ExportedNetwork, sizes: InputSizes) -> tuple[Difference, ...]:
    """Try the file in onnxruntime on batches of 1 and 3. Raises ExportError if it answers otherwise than PyTorch."""
    run = _session(file)
    found: dict[str, list[Difference]] = {name: [] for name in network.names}
    for crops in _tried(network, sizes):
        given = run(crops)
        with torch.no_grad():
            maps = network.maps(crops)
            wanted = maps if network.codec is None else network.codec.decode(maps[-1])
        for name, ours, theirs in zip(network.names, wanted, given, strict=True):
            steady = (
                _steady(network, maps[-1], ours) if name == "keypoints" else torch.ones_like(ours, dtype=torch.bool)
            )
            found[name].append(_difference(name, ours, theirs, steady))
    return tuple(_judged(name, parts) for name, parts in found.items())


def _tried(network: ExportedNetwork, sizes: InputSizes) -> Iterator[Tensor]:
    for number, batch in enumerate(_BATCHES):
        yield network.input_of(example_pictures(batch, sizes.tried[number % len(sizes.tried)]))


def _session(file: Path) -> Any:
    """Crops → the outputs, by onnxruntime."""
    import onnxruntime
    from onnxruntime.capi.onnxruntime_pybind11_state import (
        Fail,
        InvalidArgument,
        InvalidGraph,
        InvalidProtobuf,
        NotImplemented,  # its name there
        RuntimeException,
    )

    failures = (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NotImplemented, RuntimeException)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    except failures as error:
        raise ExportError(f"onnxruntime cannot read what was exported, so nothing is kept: {error}") from error

    def run(crops: Tensor) -> list[Tensor]:
        try:
            return [torch.from_numpy(one) for one in session.run(None, {"crops": crops.numpy()})]
        except failures as error:
            raise ExportError(
                f"onnxruntime cannot compute {tuple(crops.shape)} crops, so nothing is kept: {error}"
            ) from error

    return run


def _steady(network: ExportedNetwork, heatmaps: Tensor, keypoints: Tensor) -> Tensor:
    """(B, K, 2) bool: keypoints that do not jump when heatmaps change by what float arithmetic may change them."""
    assert network.codec is not None
    generator = torch.Generator().manual_seed(0)
    furthest = torch.zeros_like(keypoints)
    for _ in range(_DISTURBED):
        noise = (torch.rand(heatmaps.shape, generator=generator) * 2 - 1) * _NOISE * heatmaps.abs().max()
        furthest = torch.maximum(furthest, (network.codec.decode(heatmaps + noise)[0] - keypoints).abs())
    return (furthest < _STEADY_PX).all(dim=2, keepdim=True).expand_as(keypoints)


def _difference(name: str, wanted: Tensor, given: Tensor, counts: Tensor) -> Difference:
    if wanted.shape != given.shape:
        raise ExportError(
            f"the file's {name} are {tuple(given.shape)}, PyTorch's {tuple(wanted.shape)}: nothing is kept"
        )
    if not wanted.isfinite().all():
        raise ExportError(f"the network's {name} are no numbers: its weights are damaged, or its training diverged")
    # No number of the file is as far off as can be.
    off = torch.where(counts, (wanted - given).abs().nan_to_num(torch.inf), 0.0)
    return Difference(name, float(off.max()), float(wanted.abs().max()), int(counts.sum()), counts.numel())


def _judged(name: str, parts: Sequence[Difference]) -> Difference:
    """All batches' together. Raises ExportError if it is too large."""
    size = max(part.size for part in parts)
    whole = Difference(
        name, max(part.largest for part in parts), size, sum(part.compared for part in parts), sum(p.of for p in parts)
    )
    allowed = _TOLERANCE_PX if name == "keypoints" else _TOLERANCE * size
    if whole.largest > allowed:
        raise ExportError(
            f"the file's {name} are up to {whole.largest:.3g} off PyTorch's, more than {allowed:.3g}: nothing is kept; "
            "try another --opset, and please report it with the recipe"
        )
    return whole

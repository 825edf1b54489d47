"""A PyTorch module → an ONNX program, by the exporter that PyTorch keeps up."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.export import Dim
from torch.onnx import OnnxExporterError, ONNXProgram

from engine.export_error import ExportError
from engine.export_input import InputSizes, example_pictures
from engine.export_network import ExportedNetwork, require_fitting_maps

OPSETS = (18, 23)  # the oldest that PyTorch writes, and the newest that was tried
_CHATTY = ("torch.onnx", "onnxscript", "onnx_ir", "torch.export")


def traced(network: ExportedNetwork, sizes: InputSizes, opset: int) -> ONNXProgram:
    """The module with a free batch and, for whole pictures, free sides. Raises ExportError."""
    oldest, newest = OPSETS
    if not oldest <= opset <= newest:
        raise ExportError(f"opset {opset} is not known; take {oldest}, which most runtimes read, to {newest}")
    crops = network.input_of(example_pictures(2, sizes.tried[0]))
    require_fitting_maps(network, crops)
    try:
        with torch.no_grad(), _quiet():
            program = torch.onnx.export(
                network,
                (crops,),
                dynamo=True,
                dynamic_shapes={"crops": _free_sides(sizes)},
                input_names=["crops"],
                output_names=list(network.names),
                opset_version=opset,
                verbose=False,
            )
    except OnnxExporterError as error:
        reason = " ".join(str(error.__cause__ or error).split())[:500]
        raise ExportError(f"this network cannot be written as ONNX of opset {opset}: {reason}") from error
    assert program is not None
    return program


def _free_sides(sizes: InputSizes) -> dict[int, Any]:
    free: dict[int, Any] = {0: Dim("batch")}
    if sizes.multiple is not None:
        free |= {2: sizes.multiple * Dim("rows", min=1, max=512), 3: sizes.multiple * Dim("columns", min=1, max=512)}
    return free


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what the exporter tells its own developers."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

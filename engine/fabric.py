"""The device and the precision that a network runs with, and the processes that train it together."""

import os
from typing import Literal

import lightning_fabric
import torch
from lightning_fabric.strategies import DDPStrategy, Strategy

from engine.config import Precision
from engine.ranks import LaunchedRanks, launched_world_size


def make_fabric(precision: Precision) -> lightning_fabric.Fabric:
    """One device: a GPU where there is one, else the CPU."""
    return lightning_fabric.Fabric(accelerator=_accelerator(), devices=1, precision=resolved_precision(precision))


def make_training_fabric(precision: Precision) -> lightning_fabric.Fabric:
    """The same, for each of the processes that torchrun or Ray Train has started."""
    if launched_world_size() == 1:
        return make_fabric(precision)
    strategy: Strategy = DDPStrategy(
        cluster_environment=LaunchedRanks(),
        forward_sync_buffers=False,  # the writing rank's are handed out before they are used
    )
    fabric = lightning_fabric.Fabric(
        accelerator=_accelerator(),
        devices=int(os.environ.get("LOCAL_WORLD_SIZE", "1")),
        strategy=strategy,
        precision=resolved_precision(precision),
    )
    fabric.launch()
    return fabric


def resolved_precision(precision: Precision) -> Literal["32-true", "bf16-mixed"]:
    """What "auto" is on this machine's hardware."""
    if precision != "auto":
        return precision
    return "bf16-mixed" if _computes_in_bf16() else "32-true"


def _accelerator() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def _computes_in_bf16() -> bool:
    """Whether the GPU, or the CPU where there is none, multiplies bf16 natively; emulation is slower than 32 bit."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))

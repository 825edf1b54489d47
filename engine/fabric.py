"""The device and the precision that a network runs with."""

from typing import Literal

import lightning_fabric
import torch

from engine.config import Precision


def make_fabric(precision: Precision) -> lightning_fabric.Fabric:
    """One device: a GPU where there is one, else the CPU."""
    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    return lightning_fabric.Fabric(accelerator=accelerator, devices=1, precision=resolved_precision(precision))


def resolved_precision(precision: Precision) -> Literal["32-true", "bf16-mixed"]:
    """What "auto" is on this machine's hardware."""
    if precision != "auto":
        return precision
    return "bf16-mixed" if _computes_in_bf16() else "32-true"


def _computes_in_bf16() -> bool:
    """Whether the GPU, or the CPU where there is none, multiplies bf16 natively; emulation is slower than 32 bit."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))

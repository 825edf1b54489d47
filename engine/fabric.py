"""The device and the precision that a recipe runs with."""

from typing import Literal

import lightning_fabric
import torch

from engine.config import Recipe


def make_fabric(recipe: Recipe) -> lightning_fabric.Fabric:
    """One device: a GPU where there is one, else the CPU."""
    accelerator = "cuda" if torch.cuda.is_available() else "cpu"
    return lightning_fabric.Fabric(accelerator=accelerator, devices=1, precision=resolved_precision(recipe))


def resolved_precision(recipe: Recipe) -> Literal["32-true", "bf16-mixed"]:
    """The recipe's precision on this machine's hardware."""
    if recipe.train.precision != "auto":
        return recipe.train.precision
    return "bf16-mixed" if _computes_in_bf16() else "32-true"


def _computes_in_bf16() -> bool:
    """Whether the GPU, or the CPU where there is none, multiplies bf16 natively; emulation is slower than 32 bit."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))

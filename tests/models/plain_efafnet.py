"""EFAFNet's parts from their tensors alone, and EFAFNets small enough for tests."""

from collections.abc import Mapping
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from public_networks import plain_conv, plain_norm
from torch import Tensor, nn

from models.backbones.fasm import Fasm
from models.networks.efafnet import EFAFNet

Module = TypeVar("Module", bound=nn.Module)

OFF: dict[str, Any] = {"fam": False, "fsm": None, "ffm": False, "duc": False, "hardest": None}
BLOCKS = (2, 1, 1, 1)
DECONV_CHANNELS = (4, 5, 6)


def tiny(num_keypoints: int = 3, **options: Any) -> EFAFNet:
    torch.manual_seed(0)
    tiny: dict[str, Any] = {"width": 4, "blocks": BLOCKS, "deconv_channels": DECONV_CHANNELS}
    return EFAFNet(num_keypoints, "resnet50", **{**tiny, **options})


def plain_linear(x: Tensor, state: Mapping[str, Tensor], name: str) -> Tensor:
    return torch.einsum("oi,bi->bo", state[f"{name}.weight"], x) + state[f"{name}.bias"]


def plain_selection(x: Tensor, state: Mapping[str, Tensor], name: str, arrangement: str, outer_relu: bool) -> Tensor:
    def alpha(x: Tensor) -> Tensor:
        z = F.adaptive_avg_pool2d(x, 1).flatten(1) + F.adaptive_max_pool2d(x, 1).flatten(1)
        hidden = plain_linear(z, state, f"{name}cs.w1").clamp(min=0)
        return 1 / (1 + torch.exp(-plain_linear(hidden, state, f"{name}cs.w2")))[:, :, None, None]

    def beta(x: Tensor) -> Tensor:
        place = plain_conv(plain_conv(x, state, f"{name}lss.w1").clamp(min=0), state, f"{name}lss.w2")
        return 1 / (1 + torch.exp(-(place.clamp(min=0) if outer_relu else place)))

    if arrangement == "parallel":
        return (x + alpha(x) * x) + (x + beta(x) * x)
    for gate in (alpha, beta) if arrangement == "cs_lss" else (beta, alpha):
        x = x + gate(x) * x
    return x


def plain_aggregation(x: Tensor, state: Mapping[str, Tensor], name: str, stride: int, fasm: Fasm) -> Tensor:
    """Eq. 1 with x1 as the last group, where Res2Net's weights expect it; without sums in a stage's first block."""
    first = f"{name}downsample.0.weight" in state
    *others, x1 = x.split(x.shape[1] // fasm.scales, dim=1)
    y = [F.avg_pool2d(x1, 3, stride, padding=1) if first else x1]
    for i, group in enumerate(others):
        linked = not first and (i > 0 or fasm.first_sum)
        summed = group + y[-1] if linked else group
        convolved = plain_conv(summed, state, f"{name}convs.{i}", stride)
        y.append(plain_norm(convolved, state, f"{name}bns.{i}").clamp(min=0))
    return torch.cat([*y[1:], y[0]], dim=1)


def plain_bottleneck(x: Tensor, state: Mapping[str, Tensor], name: str, stride: int, fasm: Fasm) -> Tensor:
    y = plain_norm(plain_conv(x, state, f"{name}conv1"), state, f"{name}bn1").clamp(min=0)
    if fasm.fam:
        y = plain_aggregation(y, state, name, stride, fasm)
    else:
        y = plain_norm(plain_conv(y, state, f"{name}conv2", stride), state, f"{name}bn2").clamp(min=0)
    y = plain_norm(plain_conv(y, state, f"{name}conv3"), state, f"{name}bn3")
    if f"{name}downsample.0.weight" in state:
        x = plain_norm(plain_conv(x, state, f"{name}downsample.0", stride), state, f"{name}downsample.1")
    if fasm.fsm is None:
        return (x + y).clamp(min=0)
    if fasm.place == "bottleneck":
        return (x + plain_selection(y, state, f"{name}fsm.", fasm.fsm, fasm.lss_relu)).clamp(min=0)
    return plain_selection((x + y).clamp(min=0), state, f"{name}fsm.", fasm.fsm, fasm.lss_relu)


def without_saturation(module: Module) -> Module:
    """Weights of feature selection so small that its sigmoids are far from 0 and 1."""
    for name, tensor in module.state_dict().items():
        if "cs.w" in name or "lss.w1" in name:
            tensor.normal_(std=0.1)
        elif "lss.w2" in name:
            tensor.fill_(0.7 if name.endswith("weight") else -0.05)
    return module


def plain_raised(x: Tensor, ratio: int) -> Tensor:
    """Bilinear, pixel (x, y) at (ratio·x, ratio·y), the last one repeated: one pixel of the output after the other."""
    height, width = x.shape[2:]
    rows = []
    for row in range(height * ratio):
        y, down = divmod(row, ratio)
        line = []
        for column in range(width * ratio):
            left, right = divmod(column, ratio)
            corners = [
                x[:, :, min(y + i, height - 1), min(left + j, width - 1)]
                * ((down if i else ratio - down) * (right if j else ratio - right) / ratio**2)
                for i in (0, 1)
                for j in (0, 1)
            ]
            line.append(sum(corners))
        rows.append(torch.stack(line, dim=-1))
    return torch.stack(rows, dim=2)

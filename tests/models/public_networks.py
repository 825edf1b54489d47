"""What the tests of published networks share: lists of tensors as in public files, and layers from tensors alone."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import create_model, list_models

Network = TypeVar("Network", bound=nn.Module)
State = list[tuple[str, tuple[int, ...]]]


def family(name: str) -> str:
    """A network's name without its depth or width."""
    return name.rsplit("_", 1)[0]


@cache
def bottom_up_families() -> frozenset[str]:
    """Of networks that tell persons apart, and so answer with more than heatmaps."""
    smallest = {family(name): name for name in reversed(list_models())}
    with torch.device("meta"):
        outputs = {name: create_model(one, 17).outputs for name, one in smallest.items()}
    return frozenset(name for name, of in outputs.items() if {output.kind for output in of} != {"heatmaps"})


def fixture(name: str) -> dict[str, Any]:
    """What was read off a public implementation: source, input, params, macs, output_shapes and state."""
    return json.loads((Path(__file__).parent / "published" / f"{name}.json").read_text())


def state_of(fixture: Mapping[str, Any]) -> State:
    return [(name, tuple(shape)) for name, shape in fixture["state"]]


def public_state(network: Any) -> State:
    """Names and shapes of a network's tensors, in order, under the names of public files."""
    return [(_public(name, network.published_names), tuple(t.shape)) for name, t in network.state_dict().items()]


def _public(name: str, prefixes: Iterable[tuple[str, str]]) -> str:
    for own, public in prefixes:
        if name.startswith(own):
            return public + name.removeprefix(own)
    return name


def digest(state: State) -> str:
    """sha256 over a line "name (sizes)" per tensor."""
    return hashlib.sha256("".join(f"{name} {shape}\n" for name, shape in state).encode()).hexdigest()


def randomised(network: Network) -> Network:
    """Every tensor drawn, norms' statistics too, so that each of them shows in the output; double precision, eval."""
    torch.manual_seed(0)
    for name, tensor in network.state_dict().items():
        if tensor.ndim == 4:
            tensor.normal_(std=(2 / tensor[0].numel()) ** 0.5)
        elif name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point():
            tensor.normal_().mul_(0.3).add_(0.0 if name.endswith(("bias", "mean")) else 1.0)
    return network.double().eval()


def plain_conv(x: Tensor, state: Mapping[str, Tensor], name: str, stride: int = 1) -> Tensor:
    """The convolution `name`, padded to keep a size that the stride divides."""
    weight = state[f"{name}.weight"]
    return F.conv2d(x, weight, state.get(f"{name}.bias"), stride=stride, padding=weight.shape[-1] // 2)


def plain_norm(x: Tensor, state: Mapping[str, Tensor], name: str) -> Tensor:
    mean, var, weight, bias = (state[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
    return (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + 1e-5) * weight[:, None, None] + bias[
        :, None, None
    ]


def plain_upsampling(x: Tensor, ratio: int) -> Tensor:
    """Every pixel becomes ratio x ratio equal ones."""
    return x.repeat_interleave(ratio, dim=2).repeat_interleave(ratio, dim=3)


def require_one_graph(network: nn.Module, crops: Tensor, training: bool) -> None:
    """The network compiles without a break, and answers as it does without being compiled."""
    torch._dynamo.reset()
    network.train(training)
    with torch.set_grad_enabled(training):
        expected, _ = network(crops)
        maps, _ = torch.compile(network, fullgraph=True, backend="aot_eager")(crops)
    torch.testing.assert_close(maps, expected)


def require_kept_layout(network: nn.Module, crops: Tensor) -> None:
    """Channels-last crops give channels-last features, and the same maps."""
    expected, _ = network.eval()(crops)
    maps, features = network.to(memory_format=torch.channels_last)(  # type: ignore[call-overload]
        crops.to(memory_format=torch.channels_last)
    )
    torch.testing.assert_close(maps, expected)
    assert features.is_contiguous(memory_format=torch.channels_last)

"""Weights files: torchvision's layout loads, everything else is refused with the names that do not fit."""

import os
import random
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from models.backbones.resnet import RESNETS, ResNet
from models.pretrained import WeightsError, load_backbone_weights
from pose.errors import UserError


@pytest.fixture
def backbone() -> ResNet:
    return RESNETS["resnet18"](4)


def torchvision_state(seed: int = 5) -> "OrderedDict[str, torch.Tensor]":
    """What torchvision would save for a ResNet-18 of this width."""
    torch.manual_seed(seed)
    other = RESNETS["resnet18"](4)
    state = OrderedDict(
        (name, torch.rand_like(t) if t.is_floating_point() else t) for name, t in other.state_dict().items()
    )
    state["fc.weight"], state["fc.bias"] = torch.rand(1000, 32), torch.rand(1000)
    return state


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def test_every_tensor_of_a_torchvision_file_arrives(backbone: ResNet, tmp_path: Path) -> None:
    state = torchvision_state()
    load_backbone_weights(backbone, saved(tmp_path / "r.pth", state))
    for name, tensor in backbone.state_dict().items():
        assert torch.equal(tensor, state[name]), name


def test_files_from_before_the_batch_counters_load(backbone: ResNet, tmp_path: Path) -> None:
    state = {name: t for name, t in torchvision_state().items() if not name.endswith("num_batches_tracked")}
    load_backbone_weights(backbone, saved(tmp_path / "r.pth", state))
    assert torch.equal(backbone.conv1.weight, state["conv1.weight"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.pop("layer3.1.conv2.weight"), r"missing \['layer3.1.conv2.weight'\], left over \[\]"),
        (lambda s: s.update({"layer5.0.conv1.weight": torch.zeros(1)}), r"left over \['layer5.0.conv1.weight'\]"),
        (lambda s: s.update({"conv1.weight": torch.zeros(4, 3, 3, 3)}), r"of another shape \['conv1.weight'\]"),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(
    backbone: ResNet, tmp_path: Path, spoil: Any, message: str
) -> None:
    state = torchvision_state()
    spoil(state)
    before = backbone.bn1.weight.clone()
    with pytest.raises(WeightsError, match=message) as error:
        load_backbone_weights(backbone, saved(tmp_path / "r.pth", state))
    assert str(tmp_path / "r.pth") in str(error.value)
    assert isinstance(error.value, UserError)
    assert torch.equal(backbone.bn1.weight, before)


def test_a_checkpoint_that_wraps_its_weights_is_refused_by_its_keys(backbone: ResNet, tmp_path: Path) -> None:
    path = saved(tmp_path / "r.pth", {"epoch": 3, "state_dict": torchvision_state()})
    with pytest.raises(WeightsError, match=r"left over \['epoch', 'state_dict'\]"):
        load_backbone_weights(backbone, path)


def test_a_file_that_holds_no_dictionary_is_refused(backbone: ResNet, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds a list, expected a dictionary"):
        load_backbone_weights(backbone, saved(tmp_path / "r.pth", [torch.zeros(3)]))


def test_missing_and_truncated_files_are_named(backbone: ResNet, tmp_path: Path) -> None:
    path = tmp_path / "resnet18.pth"
    with pytest.raises(WeightsError, match=r"resnet18\.pth"):
        load_backbone_weights(backbone, path)
    whole = saved(path, torchvision_state()).read_bytes()
    for size in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(WeightsError, match=r"resnet18\.pth"):
            load_backbone_weights(backbone, path)


def test_random_bytes_never_surface_as_another_error(backbone: ResNet, tmp_path: Path) -> None:
    path, generator = tmp_path / "r.pth", random.Random(0)
    for _ in range(200):
        path.write_bytes(generator.randbytes(generator.randrange(1, 200)))
        with pytest.raises(WeightsError):
            load_backbone_weights(backbone, path)


class _Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_code_in_a_file_is_not_run(backbone: ResNet, tmp_path: Path) -> None:
    path = saved(tmp_path / "r.pth", torchvision_state() | {"conv1.weight": _Payload(tmp_path / "pwned")})
    with pytest.raises(WeightsError, match=r"r\.pth"):
        load_backbone_weights(backbone, path)
    assert not (tmp_path / "pwned").exists()
    torch.load(path, weights_only=False)  # the payload is live
    assert (tmp_path / "pwned").exists()

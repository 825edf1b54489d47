"""EFAFNet's backbone and ImageNet weights: what fits is loaded, the rest is named."""

from pathlib import Path
from typing import Any

import pytest
import torch
from plain_efafnet import BLOCKS, tiny
from torch import Tensor, nn

from models import HeatmapNetwork, load_published
from models.backbones.fasm import Fasm
from models.backbones.resnet import Bottleneck, ResNet
from models.networks.efafnet import EFAFNet
from models.weights_file import WeightsError


def imagenet_file(backbone: nn.Module, path: Path) -> dict[str, Tensor]:
    """What an ImageNet classifier with this backbone would be saved as."""
    torch.manual_seed(1)
    state = {
        name: torch.rand_like(tensor) if tensor.is_floating_point() else tensor
        for name, tensor in backbone.state_dict().items()
    }
    torch.save({**state, "fc.weight": torch.rand(10, 4), "fc.bias": torch.rand(10)}, path)
    return state


def res2net(**options: Any) -> ResNet:
    return ResNet(Fasm(fsm=None, **options), BLOCKS, 8)


def loaded(network: EFAFNet, state: dict[str, Tensor]) -> set[str]:
    """The backbone's tensors that have the file's values."""
    own = network.backbone.state_dict()
    return {name for name in own if name in state and torch.equal(own[name], state[name])}


@pytest.mark.parametrize("fsm", [None, "parallel"])
def test_res2net_weights_fit_all_but_feature_selection(fsm: Any, tmp_path: Path) -> None:
    network = tiny(width=8, fsm=fsm)
    state = imagenet_file(res2net(), tmp_path / "res2net.pth")
    load_published(HeatmapNetwork(network), tmp_path / "res2net.pth")
    assert loaded(network, state) == {name for name in network.backbone.state_dict() if ".fsm." not in name}


def test_resnet_weights_fit_all_1x1_convolutions_of_the_literal_width(tmp_path: Path) -> None:
    network = tiny(width=8, base_width=16)
    state = imagenet_file(ResNet(Bottleneck, BLOCKS, 8), tmp_path / "resnet.pth")
    load_published(HeatmapNetwork(network), tmp_path / "resnet.pth")
    own = {name for name in network.backbone.state_dict() if not {"fsm", "convs", "bns"} & set(name.split("."))}
    assert loaded(network, state) == own
    assert any(name.endswith("conv3.weight") for name in own)


def test_resnet_weights_fit_stem_and_shortcuts_of_other_widths(tmp_path: Path) -> None:
    network = tiny(width=8)
    state = imagenet_file(ResNet(Bottleneck, BLOCKS, 8), tmp_path / "resnet.pth")
    load_published(HeatmapNetwork(network), tmp_path / "resnet.pth")
    fitting = {name for name in loaded(network, state) if not name.endswith("num_batches_tracked")}
    parts = ("downsample", "bn3")
    assert fitting == {
        name
        for name in state
        if (not name.startswith("layer") or name.split(".")[2] in parts) and not name.endswith("num_batches_tracked")
    }


def test_without_aggregation_resnet_weights_must_fit_whole(tmp_path: Path) -> None:
    network = tiny(width=8, fam=False)
    state = imagenet_file(ResNet(Bottleneck, BLOCKS, 8), tmp_path / "resnet.pth")
    load_published(HeatmapNetwork(network), tmp_path / "resnet.pth")
    assert loaded(network, state) == set(state)
    imagenet_file(res2net(), tmp_path / "res2net.pth")
    with pytest.raises(WeightsError, match=r"convs"):
        load_published(HeatmapNetwork(network), tmp_path / "res2net.pth")


@pytest.mark.parametrize("other", [res2net(scales=6), res2net(base_width=40), ResNet(Bottleneck, (3, 1, 1, 1), 8)])
def test_weights_of_another_network_are_refused(other: ResNet, tmp_path: Path) -> None:
    network = tiny(width=8)
    imagenet_file(other, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"layer1\.\d"):
        load_published(HeatmapNetwork(network), tmp_path / "other.pth")

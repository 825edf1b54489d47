"""Plug-ins on networks that answer with tags too: they refine the last heatmaps and touch nothing else."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from public_networks import randomised
from torch import Tensor, nn

from models.cost import network_cost
from models.heatmap_network import BaseNetwork, HeatmapNetwork
from models.networks.ae_hourglass import AEHourglass
from models.networks.higherhrnet import HigherHRNet
from models.plugins.enhancenet import EnhanceNet
from models.plugins.poserenet import PoseReNet

NETWORKS: dict[str, tuple[Callable[[], Any], int]] = {
    # The network, shrunk, and how many times finer EnhanceNet has to be for heatmaps as large as the image.
    "higherhrnet": (lambda: HigherHRNet(3, width=4, stem=4, modules=(1, 1, 1), blocks=1, deconv_blocks=1), 2),
    "ae_hourglass": (lambda: AEHourglass(3, stacks=2, channels=8, increase=4, depth=2), 4),
}
PLUGINS: dict[str, tuple[type[EnhanceNet | PoseReNet], list[str]]] = {
    "enhancenet": (EnhanceNet, ["enhanced"]),
    "poserenet": (PoseReNet, ["attention", "lifting", "identity", "aggregate"]),
}

every_network = pytest.mark.parametrize("network", NETWORKS)
every_plugin = pytest.mark.parametrize("plugin", PLUGINS)


def base_of(network: str) -> Any:
    return randomised(NETWORKS[network][0]())


def system_of(network: str, plugin: str, base: Any) -> HeatmapNetwork:
    options = {"channels": 8, "ratio": NETWORKS[network][1]} if plugin == "enhancenet" else {}
    return HeatmapNetwork(base, plugin_on(base, PLUGINS[plugin][0], **options).double())


def plugin_on(base: BaseNetwork, plugin: Callable[..., Any], **options: Any) -> Any:
    return plugin(base.feature_channels, 3, base.outputs[-1], **options)


def images() -> Tensor:
    return torch.randn(2, 3, 64, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@every_plugin
@every_network
def test_all_that_the_network_answered_is_still_there(network: str, plugin: str) -> None:
    base = base_of(network)
    model = system_of(network, plugin, base).eval()
    with torch.no_grad():
        maps, (expected, _) = model(images()), base(images())
    assert len(maps) == len(model.outputs)
    for found, plain in zip(maps, expected, strict=False):
        assert torch.equal(found, plain)
    added = PLUGINS[plugin][1]
    assert [output.name for output in model.outputs] == [*(output.name for output in base.outputs), *added]
    assert model.outputs[: len(base.outputs) - 1] == base.outputs[:-1]


@every_plugin
@every_network
def test_the_finer_maps_are_heatmaps_at_their_true_stride(network: str, plugin: str) -> None:
    base = base_of(network)
    model = system_of(network, plugin, base)
    added = list(zip(model.outputs, model(images()), strict=True))[len(base.outputs) :]
    for output, maps in added:
        assert (output.kind, output.averaged) == ("heatmaps", False)
        assert tuple(maps.shape) == (2, 3, 64 / output.stride, 32 / output.stride)
        # As large on the image as those that they refine.
        assert output.stride * output.sigma_scale == base.outputs[-1].stride
    assert added[-1][0].stride == (base.outputs[-1].stride / 2 if plugin == "poserenet" else 1)


@every_network
def test_enhancenet_teaches_the_detection_branch_and_no_tag(network: str) -> None:
    base = base_of(network)
    model = system_of(network, "enhancenet", base)
    nn.init.normal_(model.get_parameter("plugin.upscale.0.weight"))
    model(images())[-1].square().sum().backward()
    last = base.outs[-1].conv if network == "ae_hourglass" else base.final_layers[1]
    assert last.weight.grad[:3].any()
    assert not last.weight.grad[3:].any()
    assert next(base.parameters()).grad.any()


@every_plugin
@every_network
def test_tags_teach_the_plugin_nothing(network: str, plugin: str) -> None:
    model = system_of(network, plugin, base_of(network))
    maps = model(images())
    sum(m.sum() for m, o in zip(maps, model.outputs, strict=True) if o.kind == "tags").backward()
    assert all(p.grad is None for p in model.get_submodule("plugin").parameters())


def test_enhancenet_costs_what_the_specs_say_on_the_hourglass() -> None:
    with torch.device("meta"):
        base = AEHourglass(17)
        plugin = EnhanceNet(base.feature_channels, 17, base.outputs[-1])
        cost = network_cost(plugin, torch.empty(1, 256, 128, 128), torch.empty(1, 17, 128, 128))
        maps = plugin(torch.empty(1, 256, 128, 128), torch.empty(1, 17, 128, 128))
    assert maps[0].shape == (1, 17, 512, 512)
    assert cost.params == 496_272
    assert cost.macs == cost.macs_dense == 495_744 * 128**2
    assert cost.macs / 1e9 == pytest.approx(8.122, abs=5e-4)


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
@every_plugin
@every_network
def test_every_system_compiles_without_a_graph_break(network: str, plugin: str, training: bool) -> None:
    model = system_of(network, plugin, base_of(network)).train(training)
    torch.compiler.reset()
    with torch.set_grad_enabled(training):
        maps = torch.compile(model, fullgraph=True, backend="aot_eager")(images())
        torch.testing.assert_close(maps, model(images()))

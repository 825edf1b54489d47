"""PoseReNet: its three branches (specs 2.1), what is supervised, and that the aggregate keeps keypoints in place."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models import OutputMap
from models.cost import Cost, network_cost
from models.plugins.poserenet import PoseReNet
from pose.heatmaps import HeatmapCodec

OUTPUT = OutputMap("heatmaps", stride=4)
KEYPOINTS = torch.tensor([[[20.0, 30.0], [21.0, 29.0], [22.0, 28.0], [23.3, 33.7]]])


def plugin_of(num_keypoints: int = 4, output: OutputMap = OUTPUT, **options: object) -> PoseReNet:
    return PoseReNet(8, num_keypoints, output, **options)


def run(plugin: PoseReNet, heatmaps: Tensor) -> dict[str, Tensor]:
    maps = plugin(torch.zeros(len(heatmaps), 8, *heatmaps.shape[2:]), heatmaps)
    return {output.name: one for output, one in zip(plugin.outputs, maps, strict=True)}


@pytest.mark.parametrize(("num_keypoints", "params"), [(17, 13_413), (16, 11_888)])
def test_parameters_are_those_of_the_specs(num_keypoints: int, params: int) -> None:
    assert sum(p.numel() for p in plugin_of(num_keypoints).parameters()) == params


@pytest.mark.parametrize("aggregation", ["mean", "sum", "max", "mean_low"])
def test_multiply_accumulates_are_those_of_the_specs(aggregation: str) -> None:
    with torch.device("meta"):
        features, heatmaps = torch.empty(1, 8, 64, 48), torch.empty(1, 17, 64, 48)
        cost = network_cost(plugin_of(17, aggregation=aggregation), features, heatmaps)
    low, high, k2 = 64 * 48, 128 * 96, 17 * 17
    on_both = 2 * k2 + k2 * (1 + 9) * high + 2 * 9 * k2 * low
    assert cost == Cost(13_413, on_both + 16 * k2 * low, on_both + 16 * k2 * high)
    assert cost.macs_dense / 1e9 == pytest.approx(0.108, abs=5e-4)
    assert cost.macs / 1e9 == pytest.approx(0.066, abs=5e-4)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("peak", [1.0, 255.0])
def test_branches_are_the_papers_equations(relu: bool, peak: float) -> None:
    """Equations 4 to 6, in units of the network's peak; the aggregate is the mean at twice the resolution."""
    torch.manual_seed(0)
    plugin = plugin_of(output=OutputMap("heatmaps", 4, peak=peak), relu=relu).double()
    for parameter in plugin.parameters():
        nn.init.normal_(parameter, std=0.3)
    t = dict(plugin.named_parameters())
    heatmaps = torch.randn(2, 4, 6, 5).double() * peak
    maps = run(plugin, heatmaps)

    def between(x: Tensor) -> Tensor:
        return x.clamp(min=0) if relu else x

    attention, lifting, identity = (
        [(t[f"{branch}.{i}.weight"], t[f"{branch}.{i}.bias"]) for i in range(9) if f"{branch}.{i}.weight" in t]
        for branch in ("attention", "lifting", "identity")
    )
    x = heatmaps.mean(dim=(2, 3), keepdim=True) / peak
    gate = torch.sigmoid(F.conv2d(between(F.conv2d(x, *attention[0])), *attention[1]))
    torch.testing.assert_close(maps["attention"], gate * heatmaps)
    x = between(F.conv_transpose2d(heatmaps / peak, *lifting[0], stride=2, padding=1))
    x = F.conv2d(between(F.conv2d(x, *lifting[1])), *lifting[2], padding=1)
    torch.testing.assert_close(maps["lifting"], torch.sigmoid(x) * peak)
    x = F.conv2d(between(F.conv2d(heatmaps, *identity[0], padding=1)), *identity[1], padding=1)
    torch.testing.assert_close(maps["identity"], x)
    up = plugin.upsample
    aggregate = (up(maps["attention"]) + maps["lifting"] + up(maps["identity"])) / 3
    torch.testing.assert_close(maps["aggregate"], aggregate)


def test_learning_starts_from_the_networks_own_maps_and_an_empty_lifted_map() -> None:
    torch.manual_seed(0)
    heatmaps, _ = HeatmapCodec((64, 48), (16, 12), 1.5).encode(KEYPOINTS, torch.ones(1, 4))
    plugin = plugin_of(4)
    maps = run(plugin, heatmaps)
    torch.testing.assert_close(maps["identity"], heatmaps, atol=0.05, rtol=0)
    assert 0.005 < maps["lifting"].mean().item() < 0.02
    assert not torch.equal(plugin.identity[0].weight, plugin.identity[1].weight)


class Answering(nn.Module):
    """Stands for layers that have learnt to answer with these maps."""

    def __init__(self, maps: Tensor) -> None:
        super().__init__()
        self.maps = maps

    def forward(self, x: Tensor) -> Tensor:
        return self.maps


@pytest.mark.parametrize("aggregation", ["mean", "sum", "max", "mean_low"])
def test_an_aggregate_of_ideal_maps_decodes_to_the_keypoints(aggregation: str) -> None:
    """All maps have a point of the crop at crop px / stride: none is half a pixel beside the others."""
    torch.manual_seed(0)
    plugin = plugin_of(aggregation=aggregation)
    coarse = HeatmapCodec((64, 48), (16, 12), 1.5, "exact", "dark")
    fine = HeatmapCodec((64, 48), (32, 24), 3.0, "exact", "dark")
    plugin.lifting = Answering(fine.encode(KEYPOINTS, torch.ones(1, 4))[0])
    plugin.attention = Answering(torch.full((1, 4, 1, 1), 0.9))
    maps = run(plugin, coarse.encode(KEYPOINTS, torch.ones(1, 4))[0])
    found, _ = {4: coarse, 2: fine}[plugin.outputs[-1].stride].decode(maps["aggregate"].detach())
    assert (found - KEYPOINTS).abs().max() < 0.1
    assert maps["aggregate"].amax().item() == pytest.approx(plugin.outputs[-1].peak, rel=0.1)


def outputs_by_name(plugin: PoseReNet) -> dict[str, OutputMap]:
    return {"input": plugin.base_output} | {output.name: output for output in plugin.outputs}


def test_outputs_by_default() -> None:
    """The branches are supervised, each at its own resolution; neither the network's map nor the aggregate is."""
    base = OutputMap("refined", stride=4, sigma_scale=1.5, loss_weight=0.5, hardest=8, peak=255)
    plugin = plugin_of(output=base)
    assert plugin.base_output == OutputMap("refined", 4, 1.5, 0, hardest=8, peak=255)
    assert plugin.outputs == (
        OutputMap("attention", 4, 1.5, 0.5, hardest=8, peak=255),
        OutputMap("lifting", 2, 3, 0.5, hardest=8, peak=255),
        OutputMap("identity", 4, 1.5, 0.5, hardest=8, peak=255),
        OutputMap("aggregate", 2, 3, 0, hardest=8, peak=255),
    )


@pytest.mark.parametrize("supervise", [("input",), ("output",), ("lifting", "output"), ["input", "identity"]])
def test_what_is_supervised_can_be_chosen(supervise: list[str]) -> None:
    found = {name for name, output in outputs_by_name(plugin_of(supervise=supervise)).items() if output.loss_weight}
    assert found == {{"output": "aggregate"}.get(name, name) for name in supervise}


def test_the_aggregates_resolution_and_peak_follow_the_operator() -> None:
    found = {}
    for aggregation in ("mean", "sum", "max", "mean_low"):
        output = plugin_of(output=OutputMap("heatmaps", 4, peak=2), aggregation=aggregation).outputs[-1]
        found[aggregation] = output.stride, output.sigma_scale, output.peak
    assert found == {"mean": (2, 2, 2), "sum": (2, 2, 6), "max": (2, 2, 2), "mean_low": (4, 1, 2)}


@pytest.mark.parametrize(
    ("option", "value"),
    [("aggregation", "median"), ("supervise", []), ("supervise", ["lift"]), ("supervise", "lifting")],
)
def test_a_value_that_makes_no_sense_is_quoted(option: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"{option} must be ") as error:
        plugin_of(**{option: value})
    assert f"got {value!r}" in str(error.value)

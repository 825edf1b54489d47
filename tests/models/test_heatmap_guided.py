"""The bottom-up paper's networks: the public code's tensors, arithmetic and cost, and the paper's ablations."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from plain_adaptive_convolution import plain_adaptive_convolution
from public_networks import (
    digest,
    fixture,
    plain_conv,
    plain_norm,
    public_state,
    randomised,
    require_kept_layout,
    require_one_graph,
    state_of,
)
from torch import Tensor, nn

from models.cost import Cost, network_cost
from models.crop_size import CropSizeError
from models.heatmap_network import HeatmapNetwork
from models.networks.heatmap_guided import HeatmapGuided
from models.output_map import OutputMap
from models.published import load_published, published_name
from models.weights_file import WeightsError

TINY = {"width": 4, "stem": 4, "modules": (1, 1, 1), "blocks": 1, "regression_width": 6}
PUBLISHED = ("bottomup_w32_512_coco", "bottomup_hr_w48_640_coco")
VARIANTS = [{"higher": higher, "adaptive": adaptive} for higher in (False, True) for adaptive in (False, True)]


@cache
def on_meta(num_keypoints: int, width: int, **options: bool) -> HeatmapGuided:
    with torch.device("meta"):
        return HeatmapGuided(num_keypoints, width, **options).eval()


def published_network(name: str) -> HeatmapGuided:
    return on_meta(17, 48, higher=True) if "hr" in name else on_meta(17, 32)


@pytest.mark.parametrize(
    ("width", "num_keypoints", "side", "params", "macs", "printed"),
    [
        (32, 17, 512, 30_678_516, 64_890_601_472, 64.9),
        (48, 17, 640, 66_803_428, 174_274_969_600, 174.3),
        (32, 14, 512, 30_676_107, 64_848_134_144, 64.8),
    ],
)
def test_cost_is_the_published_one_without_what_is_computed_three_times(
    width: int, num_keypoints: int, side: int, params: int, macs: int, printed: float
) -> None:
    """The public code runs the heatmap head's reduction and last layer once per branch."""
    twice = 2 * (side // 4) ** 2 * (15 * width * width + width * num_keypoints)
    crops = torch.empty(1, 3, side, side, device="meta")
    assert network_cost(on_meta(num_keypoints, width), crops) == Cost(params, macs - twice, macs - twice)
    assert macs / 1e9 == pytest.approx(printed, abs=0.05)


def test_cost_of_the_higher_network_is_the_published_one() -> None:
    crops = torch.empty(1, 3, 640, 640, device="meta")
    cost = network_cost(on_meta(17, 48, higher=True), crops)
    assert cost == Cost(66_895_941, 178_113_740_800, 181_947_596_800)
    assert cost.macs_dense / 1e9 == pytest.approx(181.9, abs=0.05)


def test_the_baseline_of_the_ablations_has_the_parameters_of_its_layers() -> None:
    backbone = 30_678_516 - 15_424 - 21_144 - 127_744 - 1_199_112 - 9_556  # specs 3.8
    heatmaps = (480 * 32 + 2 * 32) + (2 * 9 * 32 * 32 + 3 * 2 * 2 * 32)
    regression = (480 * 256 + 2 * 256) + (2 * 9 * 256 * 256 + 2 * 2 * 256)
    last = (32 * 17 + 17) + (256 * 35 + 35)
    found = network_cost(on_meta(17, 32, guidance=False, adaptive=False), torch.empty(1, 3, 64, 64, device="meta"))
    assert found.params == backbone + heatmaps + regression + last


@pytest.mark.parametrize(
    ("ablated", "fewer"),
    [
        ({"guidance": False}, 17 * 256),
        # Per pair of transforms, their weights, and a bias for each branch.
        ({"adaptive": False}, 2 * 4 * 9 * 32 + 3 * 2 * 4 + 2 * (4 * 9 * 256 + 4)),
    ],
)
def test_an_ablation_leaves_out_what_it_says(ablated: dict[str, bool], fewer: int) -> None:
    crops = torch.empty(1, 3, 64, 64, device="meta")
    whole, less = (network_cost(on_meta(17, 32, **options), crops) for options in ({}, ablated))
    assert (whole.params - less.params) == fewer
    # 16 x 16 px, where a transform is computed for each branch.
    weights = fewer if "guidance" in ablated else 3 * 2 * 4 * 9 * 32 + 2 * 4 * 9 * 256
    assert whole.macs - less.macs == 256 * weights


@pytest.mark.parametrize("name", PUBLISHED)
def test_tensors_and_maps_have_the_public_names_shapes_and_order(name: str) -> None:
    published, network = fixture(name), published_network(name)
    assert public_state(network) == state_of(published)
    maps, _ = network(torch.empty(published["input"], device="meta"))
    center, offsets, *heatmaps = (list(one.shape) for one in maps)
    *public_heatmaps, public_offsets = published["output_shapes"]
    assert (center[1], center[2:], offsets) == (1, public_offsets[2:], public_offsets)
    # At stride 4 the public heatmaps end in the centre's.
    at_stride_4 = [[1, shape[1] + 1, *shape[2:]] for shape in heatmaps if shape[2:] == center[2:]]
    assert at_stride_4 + heatmaps[len(at_stride_4) :] == public_heatmaps


@pytest.mark.parametrize(
    ("width", "num_keypoints", "expected"),
    [
        (48, 17, "00977a6942e2fb32f78e5740e08777683ed3e4b031be22e40fd7358e50362fe2"),
        (32, 14, "0a294a7986aad80f7ec281289e7f4894cba8063fe0f618ab0f42a6efb3c243be"),
    ],
)
def test_tensors_of_the_other_published_networks_agree_too(width: int, num_keypoints: int, expected: str) -> None:
    assert digest(public_state(on_meta(num_keypoints, width))) == expected


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_branches_share_the_tensors_that_they_share_in_public(name: str) -> None:
    network = published_network(name)
    firsts: dict[nn.Parameter, str] = {}
    aliases = {}
    for own, parameter in network.named_parameters(remove_duplicate=False):
        public = published_name(network, own)
        first = firsts.setdefault(parameter, public)
        if first != public:
            aliases[public] = first
    assert aliases == fixture(name)["aliases"]


class PlainHeads:
    """The heads from the public names of their tensors; coarse maps → what the network returns."""

    def __init__(self, state: dict[str, Tensor], adaptive: bool, higher: bool) -> None:
        self.state, self.adaptive, self.higher = state, adaptive, higher

    def maps(self, maps: list[Tensor]) -> list[Tensor]:
        size = maps[0].shape[2:]
        x = torch.cat([F.interpolate(one, size=size, mode="bilinear", align_corners=False) for one in maps], dim=1)
        reduced = self.conv_norm(x, "transition_cls.0", "transition_cls.1").clamp(min=0)
        branches = [
            self.conv(self.block(reduced, f"multi_level_layers_4x_heatmap.{d - 1}.0", d), "final_layers.0")
            for d in (1, 2, 3)
        ]
        mean = sum(branches) / 3
        seen = self.conv_norm(torch.cat([x, mean], dim=1), "transition_reg.0", "transition_reg.1").clamp(min=0)
        regressed = self.conv(self.block(seen, "multi_level_layers_4x_regression.0.0", 1), "final_layers.1")
        found = [regressed[:, -1:], -regressed[:, :-1]]
        return [*found, *branches, self.finer(torch.cat([reduced, mean], dim=1))] if self.higher else [*found, mean]

    def finer(self, x: Tensor) -> Tensor:
        x = F.conv_transpose2d(x, self.state["deconv_layers.0.0.0.weight"], stride=2, padding=1)
        x = plain_norm(x, self.state, "deconv_layers.0.0.1").clamp(min=0)
        name = "deconv_layers.0.1.0"
        y = self.conv_norm(x, f"{name}.conv1", f"{name}.bn1").clamp(min=0)
        return self.conv((x + self.conv_norm(y, f"{name}.conv2", f"{name}.bn2")).clamp(min=0), "final_layers.2")

    def block(self, x: Tensor, name: str, dilation: int) -> Tensor:
        y = x
        for layer in (1, 2):
            y = plain_norm(self.layer(y, x, name, layer, dilation), self.state, f"{name}.bn{layer}")
            y = y.clamp(min=0) if layer == 1 else (x + y).clamp(min=0)
        return y

    def layer(self, y: Tensor, x: Tensor, name: str, layer: int, dilation: int) -> Tensor:
        if not self.adaptive:
            return F.conv2d(y, self.state[f"{name}.conv{layer}.weight"], padding=dilation, dilation=dilation)
        transforms = self.conv(x, f"{name}.transform_matrix_conv{layer}")
        return plain_adaptive_convolution(y, transforms, self.state[f"{name}.stn_conv{layer}.weight"], dilation)

    def conv(self, x: Tensor, name: str) -> Tensor:
        return plain_conv(x, self.state, name)

    def conv_norm(self, x: Tensor, conv: str, norm: str) -> Tensor:
        return plain_norm(self.conv(x, conv), self.state, norm)


@pytest.mark.parametrize("options", VARIANTS)
def test_the_heads_compute_what_their_tensors_say(options: dict[str, bool]) -> None:
    network = randomised(HeatmapGuided(3, **TINY, **options))
    calm(network)
    crops = torch.randn(2, 3, 32, 64, dtype=torch.float64)
    state = {published_name(network, own): tensor for own, tensor in network.state_dict().items()}
    with torch.no_grad():
        maps, _ = network(crops)
        expected = PlainHeads(state, **options).maps(list(network.backbone(crops)))
    torch.testing.assert_close(list(maps), expected)


def calm(network: HeatmapGuided) -> None:
    """Statistics of the heads' norms as their input has them, so that transforms stay about 1 and maps differ."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
    network.train()
    with torch.no_grad():
        for _ in range(2):
            network(torch.randn(2, 3, 64, 64, dtype=torch.float64))
    network.eval()


@pytest.mark.parametrize("options", VARIANTS)
def test_heatmaps_are_made_from_the_features_by_the_last_convolution(options: dict[str, bool]) -> None:
    network = HeatmapGuided(3, **TINY, **options, head_width=5).eval()
    with torch.no_grad():
        maps, features = network(torch.randn(2, 3, 64, 32))
        last = network.final_layers[2 if options["higher"] else 0]
        torch.testing.assert_close(maps[-1], last(features))
    assert features.shape[1] == network.feature_channels == 5
    strides = [output.stride for output in network.outputs]
    assert [tuple(one.shape[2:]) for one in maps] == [(64 // stride, 32 // stride) for stride in strides]


def test_the_outputs_say_what_the_maps_are() -> None:
    center, offsets = OutputMap("center", 4, kind="center"), OutputMap("offsets", 4, kind="offsets")
    assert HeatmapGuided(3, **TINY).outputs == (center, offsets, OutputMap("heatmaps", 4))
    higher = HeatmapGuided(3, **TINY, higher=True)
    assert higher.outputs[:2] == (center, offsets)
    branches = [(one.stride, one.loss_weight, one.kind, one.averaged) for one in higher.outputs[2:5]]
    assert branches == [(4, 1 / 3, "heatmaps", True)] * 3
    assert higher.outputs[5:] == (OutputMap("heatmaps", 2, background_scale=0.25, averaged=True),)
    assert [one.shape[1] for one in higher.eval()(torch.zeros(1, 3, 32, 32))[0]] == [1, 6, 3, 3, 3, 3]


@pytest.mark.parametrize("guidance", [False, True])
def test_the_regression_sees_and_teaches_the_heatmaps_with_guidance_only(guidance: bool) -> None:
    torch.manual_seed(0)
    network = HeatmapGuided(3, **TINY, guidance=guidance)
    network(torch.randn(2, 3, 64, 64))[0][1].square().sum().backward()
    last = network.final_layers[0].weight
    assert (last.grad is not None) == guidance
    assert guidance is False or last.grad.any()


@pytest.mark.parametrize("options", VARIANTS)
def test_gradients_reach_every_parameter(options: dict[str, bool]) -> None:
    network = HeatmapGuided(3, **TINY, **options)
    sum(one.square().sum() for one in network(torch.randn(2, 3, 64, 64))[0]).backward()
    assert [name for name, p in network.named_parameters() if p.grad is None] == []


def test_weights_start_as_in_the_public_code() -> None:
    torch.manual_seed(0)
    network = HeatmapGuided(17, 16, modules=(1, 1, 1), blocks=1, higher=True)
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            draws = module.weight.detach()
            if "transform" in name:
                assert not draws.any(), name
            else:
                assert abs(float(draws.std()) / 0.001 - 1) < 5 / (2 * draws.numel()) ** 0.5, name
            assert module.bias is None or not module.bias.any(), name
        elif isinstance(module, nn.BatchNorm2d):
            assert torch.equal(module.weight.detach(), torch.ones_like(module.weight)), name
            assert (module.eps, module.momentum) == (1e-5, 0.1)


def saved(network: HeatmapGuided, path: Path) -> dict[str, Tensor]:
    """A public file of the network's tensors, each name with a tensor of its own."""
    state = {published_name(network, own): tensor.clone() for own, tensor in network.state_dict().items()}
    torch.save(state, path)
    return state


@pytest.mark.parametrize("options", VARIANTS)
def test_a_public_file_brings_its_answers_and_what_is_shared_stays_so(options: dict[str, bool], tmp_path: Path) -> None:
    network = randomised(HeatmapGuided(3, **TINY, **options))
    state = saved(network, tmp_path / "public.pth")
    model = HeatmapNetwork(HeatmapGuided(3, **TINY, **options)).double().eval()
    loaded = load_published(model, tmp_path / "public.pth")
    assert (loaded.part, loaded.tensors, loaded.dropped, loaded.fresh) == ("network", len(state), (), ())
    crops = torch.randn(1, 3, 32, 32, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(model(crops), network(crops)[0])
    assert len(list(model.parameters())) == len(list(network.parameters()))


def test_a_file_whose_branches_differ_where_they_are_one_is_refused(tmp_path: Path) -> None:
    network = HeatmapGuided(3, **TINY)
    name = "multi_level_layers_4x_heatmap.{}.0.stn_conv2.weight"
    state = saved(network, tmp_path / "public.pth")
    state[name.format(2)] += 1
    torch.save(state, tmp_path / "public.pth")
    model = HeatmapNetwork(HeatmapGuided(3, **TINY))
    before = {own: tensor.clone() for own, tensor in model.state_dict().items()}
    with pytest.raises(WeightsError, match=f"where these are one tensor: {name.format(0)} and {name.format(2)}$"):
        load_published(model, tmp_path / "public.pth")
    assert all(torch.equal(tensor, before[own]) for own, tensor in model.state_dict().items())


def test_imagenet_weights_reach_all_of_the_backbone(tmp_path: Path) -> None:
    model = HeatmapNetwork(HeatmapGuided(3, **TINY))
    state = {name: torch.ones_like(tensor) for name, tensor in model.base.backbone.state_dict().items()}
    torch.save(state | {"classifier.weight": torch.zeros(10, 4)}, tmp_path / "imagenet.pth")
    loaded = load_published(model, tmp_path / "imagenet.pth")
    assert (loaded.part, loaded.tensors, loaded.dropped) == ("backbone", len(state), ("classifier.weight",))
    assert all((tensor == 1).all() for tensor in model.base.backbone.state_dict().values())
    coarse = next(name for name in state if name.startswith("stage4.0.fuse_layers.3"))
    torch.save({"fc.bias": torch.zeros(1)} | {k: v for k, v in state.items() if k != coarse}, tmp_path / "lacks.pth")
    with pytest.raises(WeightsError, match=f"1 missing: {coarse}$"):
        load_published(model, tmp_path / "lacks.pth")


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("higher", [False, True])
def test_the_network_is_one_graph(training: bool, higher: bool) -> None:
    crops = torch.randn(2, 3, 64, 64, dtype=torch.float64)
    require_one_graph(HeatmapGuided(3, **TINY, higher=higher).double(), crops, training)


@pytest.mark.parametrize("options", VARIANTS)
def test_the_memory_layout_of_the_crops_is_kept(options: dict[str, bool]) -> None:
    network = HeatmapGuided(3, **TINY, **options).double()
    require_kept_layout(network, torch.randn(2, 3, 64, 64, dtype=torch.float64))


def test_it_learns_in_mixed_precision() -> None:
    network = HeatmapGuided(3, **TINY, higher=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps, _ = network(torch.randn(2, 3, 64, 64))
        loss = sum(one.float().square().mean() for one in maps)
    loss.backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width, .* got 0, 64,"),
        ({"width": 4, "head_width": 0}, "head_width .* got 0 and 256"),
        ({"width": 4, "regression_width": 2.5}, r"regression_width .* got 4 and 2\.5"),
    ],
)
def test_a_value_that_makes_no_network_is_quoted(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HeatmapGuided(17, **options)


def test_crops_that_cannot_be_halved_five_times_are_refused_by_their_size() -> None:
    with pytest.raises(CropSizeError, match=r"\(64, 48\).*multiples of 32 px"):
        HeatmapGuided(3, **TINY)(torch.zeros(1, 3, 64, 48))

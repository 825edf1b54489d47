"""Public checkpoints and ImageNet weights: every value arrives where it belongs, and what does not fit is named."""

import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models import HeatmapNetwork, OutputMap, create_model, list_models, load_published
from models.published import published_name
from models.weights_file import _PREFIXES as PREFIXES
from models.weights_file import WeightsError
from pose.errors import UserError

FIXTURES = sorted((Path(__file__).parent / "published").glob("*.json"))
NETWORKS = {
    "simplebaseline_r50_256x192": "simplebaseline_resnet50",
    "hrnet_w32_256x192": "hrnet_w32",
    "hourglass_s2_256x256": "hourglass_2",
    "cpn50_256x192": "cpn_resnet50",
    "mrheat1_r50_256x192": "mrheatnet1_resnet50",
    "mrheat2_r50_256x192": "mrheatnet2_resnet50",
    "mrfea1_r50_256x192": "mrfeanet1_resnet50",
    "mrfea2_r50_256x192": "mrfeanet2_resnet50",
    "higherhrnet_w32_512_coco": "higherhrnet_w32",
    "ae_hourglass_s4_512": "ae_hourglass_4",
    "bottomup_w32_512_coco": "guided_hrnet_w32",
    "bottomup_hr_w48_640_coco": "guided_higherhrnet_w48",
}

# Public name → own name, by hand.
OWN_NAMES = {
    "simplebaseline": {
        "layer1.0.bn1.running_mean": "backbone.layer1.0.bn1.running_mean",
        "deconv_layers.3.weight": "head.deconv_layers.3.weight",
        "final_layer.bias": "head.final_layer.bias",
    },
    "hrnet": {
        "conv2.weight": "backbone.conv2.weight",
        "stage4.2.fuse_layers.0.3.1.bias": "backbone.stage4.2.fuse_layers.0.3.1.bias",
        "final_layer.weight": "final_layer.weight",
    },
    "hourglass": {"hg.1.hg.0.3.0.conv2.weight": "hg.1.hg.0.3.0.conv2.weight", "score_.0.bias": "score_.0.bias"},
    "cpn": {"resnet.layer4.2.conv3.weight": "backbone.layer4.2.conv3.weight"},
    "mr": {"layer4.2.conv3.weight": "backbone.layer4.2.conv3.weight"},
    "higherhrnet": {
        "stage4.2.fuse_layers.0.3.1.bias": "backbone.stage4.2.fuse_layers.0.3.1.bias",
        "final_layers.1.bias": "final_layers.1.bias",
        "deconv_layers.0.4.0.conv2.weight": "deconv_layers.0.4.0.conv2.weight",
    },
    "ae": {"outs.3.conv.bias": "outs.3.conv.bias", "pre.0.conv.weight": "pre.0.conv.weight"},
    "bottomup": {
        "stage4.2.fuse_layers.3.0.2.1.bias": "backbone.stage4.2.fuse_layers.3.0.2.1.bias",
        "transition_cls.0.weight": "heatmap_reduction.0.weight",
        "transition_reg.1.running_var": "regression_reduction.1.running_var",
        "multi_level_layers_4x_heatmap.2.0.transform_matrix_conv1.bias": (
            "heatmap_branches.2.0.transform_matrix_conv1.bias"
        ),
        "multi_level_layers_4x_regression.0.0.stn_conv2.weight": "regression_block.0.stn_conv2.weight",
        "final_layers.1.bias": "final_layers.1.bias",
    },
    "bottomup_hr": {"deconv_layers.0.1.0.conv2.weight": "upsampling.1.0.conv2.weight"},
}

WRAPPINGS: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "as it is": lambda state: state,
    "module.": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "model.module.": lambda state: {"state_dict": {f"model.module.{name}": t for name, t in state.items()}, "epoch": 3},
    "beside a score": lambda state: {"model": "a name", "state_dict": state, "perf": np.float64(0.7), "optimizer": {}},
    "nested": lambda state: {"model": {"model_state_dict": {f"model.{name}": t for name, t in state.items()}}},
    # HigherHRNet's code, trained in half precision and on several GPUs.
    "module.1., halves": lambda state: {
        "state_dict": {f"module.1.{name}": t.half() if t.is_floating_point() else t for name, t in state.items()}
    },
}


def numbered(shapes: list[tuple[str, list[int]]], aliases: Mapping[str, str] | None = None) -> dict[str, Tensor]:
    """A state whose n-th tensor is full of n, or of the number of the one that it is an alias of. All elements are one,
    so that the file is small."""
    numbers = {name: n for n, (name, _) in enumerate(shapes)}
    numbers |= {name: numbers[first] for name, first in (aliases or {}).items()}
    return {
        name: torch.tensor(numbers[name] if name.endswith("num_batches_tracked") else float(numbers[name])).expand(
            shape
        )
        for name, shape in shapes
    }


def values(module: nn.Module) -> dict[str, Tensor]:
    """Every tensor's first and last element."""
    return {name: both_ends(tensor) for name, tensor in module.state_dict().items()}


def both_ends(tensor: Tensor) -> Tensor:
    return tensor.flatten()[[0, -1]]


@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)
def test_every_value_of_a_public_checkpoint_arrives(fixture: Path, tmp_path: Path) -> None:
    published = json.loads(fixture.read_text())
    state = numbered(published["state"], published.get("aliases"))
    torch.save(state, tmp_path / "public.pth")
    model = create_model(NETWORKS[fixture.stem], num_keypoints(fixture.stem))
    loaded = load_published(model, tmp_path / "public.pth")
    assert (loaded.part, loaded.tensors, loaded.dropped, loaded.fresh) == ("network", len(state), (), ())
    arrived = {name: int(ends[0]) for name, ends in values(model.base).items() if ends[0] == ends[1]}
    assert sorted(arrived.values()) == sorted(int(ends[0]) for ends in map(both_ends, state.values()))
    names = list(state)
    for own, tensor in model.base.state_dict().items():
        public = names[arrived[own]]
        assert own.split(".")[-2:] == public.split(".")[-2:]
        assert tensor.shape == state[public].shape
    for kind, by_hand in OWN_NAMES.items():
        if fixture.stem.startswith(kind):
            assert {public: arrived[own] for public, own in by_hand.items()} == {
                public: int(both_ends(state[public])[0]) for public in by_hand
            }


def num_keypoints(fixture: str) -> int:
    return 16 if fixture == "hourglass_s2_256x256" else 17


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_whatever_is_wrapped_around_a_public_checkpoint_it_arrives(wrapping: str, tmp_path: Path) -> None:
    published = json.loads((FIXTURES[0].parent / "hrnet_w32_256x192.json").read_text())
    state = numbered(published["state"])
    torch.save(WRAPPINGS[wrapping](state), tmp_path / "public.pth")
    with torch.device("meta"):
        model = create_model("hrnet_w32", 17)
    model.to_empty(device="cpu")
    loaded = load_published(model, tmp_path / "public.pth")
    assert (loaded.part, loaded.tensors, loaded.dropped, loaded.fresh) == ("network", len(state), (), ())
    assert [ends.tolist() for ends in values(model).values()] == [[n, n] for n in range(len(state))]


def test_there_is_a_network_for_every_fixture() -> None:
    assert {path.stem for path in FIXTURES} == NETWORKS.keys()


@pytest.mark.parametrize("name", list_models())
def test_public_names_are_unique_and_no_wrapping(name: str) -> None:
    with torch.device("meta"):
        base = create_model(name, 17).base
    names = [published_name(base, own) for own in base.state_dict()]
    assert len(set(names)) == len(names)
    assert not any(all(own.startswith(prefix) for own in names) for prefix in PREFIXES)


TINY = {"width": 4, "deconv_channels": (8, 6, 8)}


@pytest.fixture
def tiny() -> HeatmapNetwork:
    return create_model("simplebaseline_resnet18", 17, **TINY)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[Any], Path]:
    def save(content: Any) -> Path:
        torch.save(content, tmp_path / "w.pth")
        return tmp_path / "w.pth"

    return save


def public_state(num_keypoints: int = 17, **options: Any) -> dict[str, Tensor]:
    """What the public code would save for a tiny SimpleBaseline with other weights."""
    torch.manual_seed(5)
    other = create_model("simplebaseline_resnet18", num_keypoints, **TINY | options).base
    return {
        name.removeprefix("backbone.").removeprefix("head."): torch.rand_like(t) if t.is_floating_point() else t + 7
        for name, t in other.state_dict().items()
    }


def test_the_loaded_network_answers_as_the_one_that_was_saved(tiny: HeatmapNetwork, saved: Any) -> None:
    other = create_model("simplebaseline_resnet18", 17, **TINY).eval()
    names = {name: name.split(".", 1)[1] for name in other.base.state_dict()}
    load_published(tiny, saved({names[name]: tensor for name, tensor in other.base.state_dict().items()}))
    crops = torch.rand(2, 3, 64, 32)
    assert torch.equal(tiny.eval()(crops)[-1], other(crops)[-1])


def test_files_from_before_the_batch_counters_load(tiny: HeatmapNetwork, saved: Any) -> None:
    state = {name: tensor for name, tensor in public_state().items() if not name.endswith("num_batches_tracked")}
    loaded = load_published(tiny, saved(state))
    assert loaded.tensors == len(state)
    assert loaded.fresh == ()
    assert torch.equal(tiny.state_dict()["base.backbone.bn1.running_var"], state["bn1.running_var"])


def test_the_plugin_keeps_its_fresh_weights(saved: Any) -> None:
    model = create_model("simplebaseline_resnet18", 17, plugin="poserenet", **TINY)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items() if name.startswith("plugin.")}
    state = public_state()
    loaded = load_published(model, saved(state))
    assert set(loaded.fresh) == before.keys()
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in before.items())
    assert torch.equal(model.state_dict()["base.head.final_layer.weight"], state["final_layer.weight"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.pop("layer3.1.conv2.weight"), r"1 missing: layer3\.1\.conv2\.weight$"),
        (lambda s: s.update({"layer5.0.weight": torch.zeros(1)}), r"1 left over: layer5\.0\.weight$"),
        (
            lambda s: s.update({"conv1.weight": torch.zeros(4, 3, 3, 3)}),
            r"1 of another shape: conv1\.weight \(4, 3, 3, 3\) instead of \(4, 3, 7, 7\)",
        ),
        (
            lambda s: s.update({"conv1.wait": s.pop("conv1.weight"), "bn1.bias": torch.zeros(5)}),
            r"1 missing: conv1\.weight; 1 left over: conv1\.wait; 1 of another shape: bn1\.bias \(5,\) instead",
        ),
        (
            lambda s: [s.pop(name) for name in list(s) if name.startswith("layer2")],
            r"25 missing: layer2\.0\.conv1\.weight, ",
        ),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_is_loaded(
    tiny: HeatmapNetwork, saved: Any, spoil: Any, message: str
) -> None:
    state = public_state()
    spoil(state)
    before = {name: tensor.clone() for name, tensor in tiny.state_dict().items()}
    path = saved({"state_dict": state})
    with pytest.raises(WeightsError, match=message) as error:
        load_published(tiny, path)
    assert str(error.value).startswith(f"{path} does not fit SimpleBaseline: ")
    assert isinstance(error.value, UserError)
    assert all(torch.equal(tensor, before[name]) for name, tensor in tiny.state_dict().items())


def test_a_long_list_of_names_is_cut_but_counted(tiny: HeatmapNetwork, saved: Any) -> None:
    state = public_state() | {f"extra.{n}": torch.zeros(1) for n in range(70)}
    with pytest.raises(WeightsError, match=r"70 left over: extra\.0, .*extra\.49 and 20 more$"):
        load_published(tiny, saved(state))


@pytest.mark.parametrize(
    ("state", "hint"),
    [
        (public_state(16), "it has another number of keypoints, since its last layer has 16 channels, not 17"),
        (public_state(width=8), "it is the same network with another width or other sizes, since every name agrees"),
        (public_state(deconv_channels=(8, 8, 8)), "it is the same network with another width or other sizes"),
        ({"embed.weight": torch.zeros(3)}, "it is of another network, since most names disagree"),
    ],
)
def test_an_obvious_cause_is_said(tiny: HeatmapNetwork, saved: Any, state: dict[str, Tensor], hint: str) -> None:
    with pytest.raises(WeightsError, match=f"does not fit SimpleBaseline: {hint}"):
        load_published(tiny, saved(state))


def without_head(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in state.items() if not name.startswith(("deconv_layers", "final_layer"))}


def imagenet_state(**options: Any) -> dict[str, Tensor]:
    """What torchvision would save for such a ResNet."""
    return without_head(public_state(**options)) | {"fc.weight": torch.rand(1000, 32), "fc.bias": torch.rand(1000)}


def test_imagenet_weights_of_torchvision_go_to_the_backbone(tiny: HeatmapNetwork, saved: Any) -> None:
    state, head = imagenet_state(), tiny.state_dict()["base.head.deconv_layers.0.weight"].clone()
    loaded = load_published(tiny, saved(state))
    assert (loaded.part, loaded.tensors, loaded.dropped) == ("backbone", len(state) - 2, ("fc.weight", "fc.bias"))
    assert {".".join(name.split(".")[:2]) for name in loaded.fresh} == {"base.head"}
    assert all(torch.equal(tensor, state[name]) for name, tensor in tiny.base.backbone.state_dict().items())
    assert torch.equal(tiny.state_dict()["base.head.deconv_layers.0.weight"], head)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda s: s.pop("layer4.1.conv2.weight"), r"1 missing: layer4\.1\.conv2\.weight$"),
        (lambda s: s.update({"layer4.2.conv1.weight": torch.zeros(1)}), r"1 left over: layer4\.2\.conv1\.weight$"),
        (lambda s: s.update({"final_layer.weight": torch.zeros(1)}), r"1 left over: final_layer\.weight$"),
        (lambda s: s.update({"bn1.bias": torch.zeros(5)}), r"1 of another shape: bn1\.bias \(5,\) instead of \(4,\)"),
    ],
)
def test_imagenet_weights_must_fit_the_backbone(tiny: HeatmapNetwork, saved: Any, spoil: Any, message: str) -> None:
    state, before = imagenet_state(), values(tiny)
    spoil(state)
    with pytest.raises(WeightsError, match=r"does not fit the backbone of SimpleBaseline: .*" + message):
        load_published(tiny, saved(state))
    assert all(torch.equal(ends, before[name]) for name, ends in values(tiny).items())


def bottleneck(name: str) -> list[str]:
    """The names in a residual block of HRNet's classifier."""
    norms = [f"{norm}.{part}" for norm in ("bn1", "bn2", "bn3", "downsample.1") for part in NORM]
    return [f"{name}.{own}" for own in ("conv1.weight", "conv2.weight", "conv3.weight", "downsample.0.weight", *norms)]


NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
CONV_NORM = ("0.weight", "0.bias", *(f"1.{part}" for part in NORM))
# As HRNet's code for image classification names it (hrnetv2_w32_imagenet_pretrained.pth, and timm's files), and as the
# files beside the pose code do (hrnet_w32-36af842e.pth).
CLASSIFIERS = {
    "classification": [
        *(name for branch in range(4) for name in bottleneck(f"incre_modules.{branch}.0")),
        *(f"downsamp_modules.{branch}.{part}" for branch in range(3) for part in CONV_NORM),
        *(f"final_layer.{part}" for part in CONV_NORM),
        "classifier.weight",
        "classifier.bias",
    ],
    "pose": [
        *(name for branch in range(4) for name in bottleneck(f"head.0.{branch}.0")),
        *(f"head.1.{branch}.{part}" for branch in range(3) for part in CONV_NORM),
        *(f"head.2.{part}" for part in CONV_NORM),
        "fc.weight",
        "fc.bias",
    ],
}


# What lies behind the backbone in the bottom-up paper's network, whose backbone ends in maps of all four resolutions as
# the classification network's does.
BEHIND = ("transition_cls.", "transition_reg.", "multi_level_layers_", "final_layers.")
COARSER = re.compile(r"stage4\.2\.fuse_layers\.[123]\.")


@pytest.mark.parametrize("kind", CLASSIFIERS)
@pytest.mark.parametrize("name", ["hrnet_w32", "higherhrnet_w32", "guided_hrnet_w32", "guided_higherhrnet_w48"])
def test_imagenet_weights_of_hrnet_go_to_the_backbone(name: str, kind: str, saved: Any) -> None:
    published = json.loads((FIXTURES[0].parent / "bottomup_w32_512_coco.json").read_text())
    names = [name for name, _ in published["state"] if not name.startswith(BEHIND)]
    model = create_model(name, 17, width=4, stem=4)
    shapes = {own: list(tensor.shape) for own, tensor in model.base.backbone.state_dict().items()}
    state = numbered([(public, shapes.get(public, [3])) for public in names])
    others = {public: torch.zeros(3) for public in CLASSIFIERS[kind]}
    loaded = load_published(model, saved({"state_dict": state | others}))
    coarser = [] if name.startswith("guided") else [public for public in names if COARSER.match(public)]
    assert len(coarser) == (0 if name.startswith("guided") else 78)
    assert (loaded.part, loaded.tensors) == ("backbone", len(names) - len(coarser))
    assert loaded.dropped == (*coarser, *CLASSIFIERS[kind])
    assert not any(own.startswith("base.backbone.") for own in loaded.fresh)
    arrived = {own: ends.tolist() for own, ends in values(model.base.backbone).items()}
    assert arrived == {public: [n, n] for n, public in enumerate(names) if public not in coarser}


def test_imagenet_weights_of_one_resolution_do_not_fit_where_all_four_are_used(saved: Any) -> None:
    model = create_model("guided_hrnet_w32", 3, width=4, stem=4)
    state = {name: t for name, t in model.base.backbone.state_dict().items() if not COARSER.match(name)}
    others = {public: torch.zeros(3) for public in CLASSIFIERS["pose"]}
    with pytest.raises(WeightsError, match=r"the backbone of HeatmapGuided: 65 missing: stage4\.2\.fuse_layers\.1\."):
        load_published(model, saved(state | others))


class Stub(nn.Module):
    """A base network whose backbone is a convolution and something that ImageNet weights do not have."""

    outputs = (OutputMap("heatmaps", stride=4),)
    feature_channels = 3
    published_names = ()
    new_tensors = (r"^gate\.", r"conv\.bias$")
    dropped_tensors = (r"^layer\d\.", r"conv\.bias$")

    def __init__(self, backbone: bool = True) -> None:
        super().__init__()
        layers = nn.ModuleDict({"conv": nn.Conv2d(3, 3, 1), "gate": nn.Conv2d(3, 1, 1)})
        self.backbone = layers if backbone else None

    def forward(self, crops: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        return (crops,), crops


def test_a_network_says_which_tensors_imagenet_weights_may_lack_or_have_too_many(saved: Any) -> None:
    model = HeatmapNetwork(Stub())
    conv = {"conv.weight": torch.full((3, 3, 1, 1), 2.0), "fc.bias": torch.zeros(10)}
    loaded = load_published(model, saved(conv | {"layer1.weight": torch.zeros(1), "conv.bias": torch.zeros(7)}))
    assert loaded.dropped == ("fc.bias", "layer1.weight", "conv.bias")
    assert loaded.fresh == ("base.backbone.conv.bias", "base.backbone.gate.weight", "base.backbone.gate.bias")
    assert values(model)["base.backbone.conv.weight"].tolist() == [2, 2]
    for other in ({"layer.weight": torch.zeros(1)}, {"conv.weight": torch.zeros(2)}):
        with pytest.raises(WeightsError, match=next(iter(other))):
            load_published(model, saved(conv | other))


def test_imagenet_weights_need_a_backbone(saved: Any) -> None:
    with pytest.raises(WeightsError, match=r"w\.pth holds ImageNet weights; Stub has no backbone for them"):
        load_published(HeatmapNetwork(Stub(backbone=False)), saved({"fc.weight": torch.zeros(1)}))

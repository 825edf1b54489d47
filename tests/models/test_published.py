"""Public checkpoints and ImageNet weights: every value arrives where it belongs, and what does not fit is named."""

import json
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models import HeatmapNetwork, OutputMap, create_model, list_models, load_published
from models.networks.hrnet import HRNetPose
from models.published import published_name
from models.weights_file import WeightsError
from pose.errors import UserError

FIXTURES = sorted((Path(__file__).parent / "published").glob("*.json"))
NETWORKS = {
    "higherhrnet_w32_512_coco": "higherhrnet_w32",
    "ae_hourglass_s4_512": "ae_hourglass_4",
    "simplebaseline_r50_256x192": "simplebaseline_resnet50",
    "hrnet_w32_256x192": "hrnet_w32",
    "hourglass_s2_256x256": "hourglass_2",
    "cpn50_256x192": "cpn_resnet50",
    "mrheat1_r50_256x192": "mrheatnet1_resnet50",
    "mrheat2_r50_256x192": "mrheatnet2_resnet50",
    "mrfea1_r50_256x192": "mrfeanet1_resnet50",
    "mrfea2_r50_256x192": "mrfeanet2_resnet50",
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
}

WRAPPINGS: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "as it is": lambda state: state,
    "module.": lambda state: {f"module.{name}": tensor for name, tensor in state.items()},
    "model.module.": lambda state: {"state_dict": {f"model.module.{name}": t for name, t in state.items()}, "epoch": 3},
    "beside a score": lambda state: {"model": "a name", "state_dict": state, "perf": np.float64(0.7), "optimizer": {}},
    "nested": lambda state: {"model": {"model_state_dict": {f"model.{name}": t for name, t in state.items()}}},
}


def numbered(shapes: list[tuple[str, list[int]]]) -> dict[str, Tensor]:
    """A state whose n-th tensor is full of n. All elements are one, so that the file is small."""
    return {
        name: torch.tensor(n if name.endswith("num_batches_tracked") else float(n)).expand(shape)
        for n, (name, shape) in enumerate(shapes)
    }


@lru_cache(maxsize=1)
def network(name: str, num_keypoints: int) -> HeatmapNetwork:
    """A network of full size whose weights are arbitrary memory: that is fast."""
    with torch.device("meta"):
        model = create_model(name, num_keypoints)
    return model.to_empty(device="cpu")


def values(module: nn.Module) -> dict[str, Tensor]:
    """Every tensor's first and last element."""
    return {name: tensor.flatten()[[0, -1]] for name, tensor in module.state_dict().items()}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@pytest.mark.parametrize("fixture", FIXTURES, ids=lambda path: path.stem)
def test_every_value_of_a_public_checkpoint_arrives(fixture: Path, wrapping: str, tmp_path: Path) -> None:
    published = json.loads(fixture.read_text())
    state = numbered(published["state"])
    torch.save(WRAPPINGS[wrapping](state), tmp_path / "public.pth")
    model = network(NETWORKS[fixture.stem], published["output_shapes"][-1][1])
    for tensor in model.state_dict().values():
        tensor.fill_(-1)
    loaded = load_published(model, tmp_path / "public.pth")
    assert (loaded.part, loaded.tensors, loaded.dropped, loaded.fresh) == ("network", len(state), (), ())
    arrived = {name: int(ends[0]) for name, ends in values(model.base).items() if ends[0] == ends[1]}
    assert sorted(arrived.values()) == list(range(len(state)))
    names = list(state)
    for own, tensor in model.base.state_dict().items():
        public = names[arrived[own]]
        assert own.split(".")[-2:] == public.split(".")[-2:]
        assert tensor.shape == state[public].shape
    for kind, by_hand in OWN_NAMES.items():
        if fixture.stem.startswith(kind):
            assert {public: own for own, n in arrived.items() if (public := names[n]) in by_hand} == by_hand


def test_there_is_a_network_for_every_fixture() -> None:
    assert {path.stem for path in FIXTURES} <= NETWORKS.keys()


@pytest.mark.parametrize("name", list_models())
def test_public_names_are_unique(name: str) -> None:
    with torch.device("meta"):
        base = create_model(name, 17).base
    names = [published_name(base, own) for own in base.state_dict()]
    assert len(set(names)) == len(names)


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
        (public_state(16), "it has another number of keypoints, since its last layer has 16 channels, the model's 17"),
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


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_imagenet_weights_of_hrnet_go_to_the_backbone(kind: str, tmp_path: Path) -> None:
    published = json.loads((Path(__file__).parent / "published" / "hrnet_w32_256x192.json").read_text())
    backbone = numbered([row for row in published["state"] if not row[0].startswith("final_layer")])
    # The last exchange of the classification network also makes the maps of the three coarser resolutions.
    finer = [f"stage4.2.fuse_layers.{to}.{of}.0.{part}" for to in (1, 2, 3) for of in range(to) for part in CONV_NORM]
    coarser = [f"stage4.2.fuse_layers.{to}.3.{part}" for to in (1, 2) for part in CONV_NORM]
    others = [*finer, *coarser, *CLASSIFIERS[kind]]
    torch.save({"state_dict": backbone | {name: torch.zeros(3) for name in others}}, tmp_path / "hrnet.pth")
    with torch.device("meta"):
        model = HeatmapNetwork(HRNetPose(17, width=32))
    model.to_empty(device="cpu")
    loaded = load_published(model, tmp_path / "hrnet.pth")
    assert (loaded.part, loaded.tensors) == ("backbone", len(backbone))
    assert sorted(loaded.dropped) == sorted(others)
    assert loaded.fresh == ("base.final_layer.weight", "base.final_layer.bias")
    arrived = values(model.base.backbone)
    assert {name: ends.tolist() for name, ends in arrived.items()} == {name: [n, n] for n, name in enumerate(backbone)}


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

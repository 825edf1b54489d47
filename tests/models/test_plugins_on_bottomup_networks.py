"""Bottom-up networks alone and with a plug-in, on small pictures: the plug-in refines the last heatmaps and touches
nothing else; every system learns, finds persons, saves and loads, compiles.

PoseReNet is not here: `models.create` refuses it for these networks.
"""

import io
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from public_networks import bottom_up_families, randomised
from torch import Tensor

from engine.bottomup import BottomUpTask
from engine.config import parse_recipe
from engine.evaluation_pictures import EvaluationPicture
from engine.tasks import make_task
from models import HeatmapNetwork, create_model
from models.cost import plugin_cost
from pipelines.bottomup import BottomUpBatch
from pipelines.whole_pictures import WholePicture
from pose.skeletons import MPII_16


@dataclass(frozen=True)
class Shrunk:
    """A family's network, shrunk.

    Attributes:
        ratio: how many times finer EnhanceNet has to be for heatmaps as large as the picture.
        last: the layer that makes the last heatmaps.
    """

    name: str
    ratio: int
    last: str
    options: dict[str, Any] = field(default_factory=dict)


_HRNET: dict[str, Any] = {"width": 4, "stem": 4, "modules": [1, 1, 1], "blocks": 1}
_GUIDED = _HRNET | {"regression_width": 6}
NETWORKS = {
    "higherhrnet": Shrunk("higherhrnet_w32", 2, "final_layers.1", _HRNET | {"deconv_blocks": 1}),
    "ae_hourglass": Shrunk("ae_hourglass_4", 4, "outs.1.conv", {"stacks": 2, "channels": 8, "increase": 4, "depth": 2}),
    "guided_hrnet": Shrunk("guided_hrnet_w32", 4, "final_layers.0", _GUIDED),
    "guided_higherhrnet": Shrunk("guided_higherhrnet_w48", 2, "final_layers.2", _GUIDED),
}
SIDE = 64

every_network = pytest.mark.parametrize("network", NETWORKS)
every_plugin = pytest.mark.parametrize("plugin", [None, "enhancenet"], ids=str)


def model_of(network: str, plugin: str | None = "enhancenet", num_keypoints: int = 3) -> dict[str, Any]:
    """What `create_model` is given."""
    shrunk = NETWORKS[network]
    given = {"name": shrunk.name, "num_keypoints": num_keypoints, **shrunk.options}
    if plugin is not None:
        given |= {"plugin": plugin, "plugin_options": {"channels": 8, "ratio": shrunk.ratio}}
    return given


def images() -> Tensor:
    return torch.randn(2, 3, SIDE, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_every_family_is_tried_here() -> None:
    assert bottom_up_families() == set(NETWORKS)


@every_network
def test_all_that_the_network_answered_is_still_there(network: str) -> None:
    model = randomised(create_model(**model_of(network)))
    base = create_model(**model_of(network, None)).double().eval()
    base.base.load_state_dict(model.base.state_dict())
    with torch.no_grad():
        maps, expected = model(images()), base(images())
    assert len(maps) == len(model.outputs) == len(expected) + 1
    for found, plain in zip(maps, expected, strict=False):
        assert torch.equal(found, plain)
    assert model.outputs[:-1] == base.outputs
    assert model.outputs[-1].name == "enhanced"


@every_network
def test_the_finer_maps_are_heatmaps_of_the_pictures_size(network: str) -> None:
    model = create_model(**model_of(network)).double()
    *base, output = model.outputs
    assert (output.kind, output.averaged, output.stride) == ("heatmaps", False, 1)
    assert tuple(model(images())[-1].shape) == (2, 3, SIDE, 32)
    # A Gaussian covers as much of the picture, so its background weighs as much.
    assert output.sigma_scale == base[-1].stride
    assert output.background_scale == base[-1].background_scale


@every_network
def test_the_finer_maps_teach_the_detection_branch_and_nothing_beside_it(network: str) -> None:
    model = randomised(create_model(**model_of(network)))
    model(images())[-1].square().sum().backward()
    last = model.get_parameter(f"base.{NETWORKS[network].last}.weight")
    assert last.grad is not None
    assert last.grad[:3].flatten(1).any(1).all()
    assert not last.grad[3:].any()  # the hourglass's tags
    beside = [p for n, p in model.named_parameters() if n.startswith(("base.regression_", "base.final_layers.1."))]
    assert network == "higherhrnet" or all(p.grad is None for p in beside)
    assert next(model.base.parameters()).grad.any()


@every_network
def test_what_is_no_heatmap_teaches_the_plugin_nothing(network: str) -> None:
    model = create_model(**model_of(network)).double()
    maps = model(images())
    sum(m.sum() for m, output in zip(maps, model.outputs, strict=True) if output.kind != "heatmaps").backward()
    assert all(p.grad is None for p in model.get_submodule("plugin").parameters())


def test_enhancenet_costs_what_the_specs_say_on_the_hourglass() -> None:
    cost = plugin_cost("ae_hourglass_4", 17, (512, 512), "enhancenet")
    assert cost.params == 496_272
    assert cost.macs == cost.macs_dense == 495_744 * 128**2
    assert cost.macs / 1e9 == pytest.approx(8.122, abs=5e-4)


def system_of(network: str, plugin: str | None, seed: int = 0) -> tuple[BottomUpTask, HeatmapNetwork]:
    given = model_of(network, plugin)
    plugin_given = {key: given.pop(key) for key in ("plugin", "plugin_options") if key in given}
    name, _ = given.pop("name"), given.pop("num_keypoints")
    recipe = parse_recipe(
        {
            "name": "matrix",
            "run_dir": "unset",
            "data": {"crop_size": (SIDE, SIDE)},
            "model": {"name": name, "options": given, **plugin_given},
            "heatmap": {"encoding": "exact"},
            # Fresh networks are sure of nothing.
            "bottomup": {"grouping": {"threshold": 0, "center_threshold": 0, "tag_threshold": 10}},
            "train": {"seed": seed},
        }
    )
    task = make_task(recipe, MPII_16)
    assert isinstance(task, BottomUpTask)
    return task, task.build_model()


@cache
def batch() -> BottomUpBatch:
    """Two pictures of noise with three persons in them, and a row that only fills up."""
    rng = np.random.default_rng(0)
    corners = torch.tensor([[2.0, 2], [60, 2], [60, 50], [2, 50]]).repeat(3, 1, 1)
    return BottomUpBatch(
        crops=torch.from_numpy(rng.integers(0, 256, (3, 3, SIDE, SIDE), dtype=np.uint8)),
        ignore=torch.zeros(3, SIDE, SIDE, dtype=torch.uint8),
        image_to_crop=torch.eye(2, 3, dtype=torch.float64).repeat(3, 1, 1),
        image_ids=torch.arange(3),
        picture_sizes=torch.full((3, 2), SIDE),
        valid=torch.tensor([True, True, False]),
        annotated=torch.ones(3, 16, dtype=torch.bool),
        person_image=torch.tensor([0, 0, 1]),
        instance_ids=torch.arange(3),
        keypoints=torch.from_numpy(rng.uniform(4, 50, (3, 16, 2)).astype(np.float32)),
        visibility=torch.from_numpy(np.resize(np.array([2, 1, 0, 2, 2], np.uint8), (3, 16))),
        box_corners=corners,
        areas=torch.full((3,), 1500.0, dtype=torch.float64),
    )


@every_plugin
@every_network
def test_a_training_step_reaches_every_parameter(network: str, plugin: str | None) -> None:
    task, model = system_of(network, plugin)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(4):
        loss = task.loss(model(task.training_input(batch())), model.outputs, batch())
        optimizer.zero_grad()
        loss.backward()
        assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@every_plugin
@every_network
def test_persons_are_found_in_a_picture(network: str, plugin: str | None) -> None:
    task, model = system_of(network, plugin)
    image_to_input = np.array([[0.5, 0, 0], [0, 0.5, 0]])
    picture = WholePicture(image_row=0, image_id=7, inputs=(batch().crops[0],), image_to_input=image_to_input)
    with torch.no_grad():
        predictions = task.predict(randomised(model).float(), model.outputs, EvaluationPicture(picture, None))
    # By tags each of the 30 candidates of a keypoint may become a person.
    assert 0 < len(predictions.image_ids) <= (30 if "guided" in network else 30 * 16)
    assert (predictions.image_ids == 7).all()
    assert predictions.keypoints.shape[1:] == (16, 2)
    assert np.isfinite(predictions.keypoints).all()


@every_plugin
@every_network
def test_weights_are_saved_and_loaded(network: str, plugin: str | None) -> None:
    task, model = system_of(network, plugin)
    pixels = task.training_input(batch())
    model(pixels)  # moves the norms' statistics
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    _, other = system_of(network, plugin, seed=1)
    other.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        for one, loaded in zip(model.eval()(pixels), other.eval()(pixels), strict=True):
            assert torch.equal(one, loaded)


@pytest.mark.slow
@every_network
def test_with_a_plugin_it_compiles_without_a_graph_break(network: str) -> None:
    """With gradients; alone each network compiles where it is tested itself."""
    model = randomised(create_model(**model_of(network))).train()
    torch.compiler.reset()
    maps = torch.compile(model, fullgraph=True, backend="aot_eager")(images())
    torch.testing.assert_close(maps, model(images()))

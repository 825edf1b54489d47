"""Every plug-in on every network for crops of one person, on small inputs: builds, learns, decodes, saves and loads,
compiles. Bottom-up networks, which learn and decode whole pictures, have test_plugins_on_bottomup_networks.py.

A network or plug-in that is added to `models.create` needs a line here or there: how to shrink it.
"""

import io
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from public_networks import bottom_up_families, family
from torch import Tensor

from engine.config import Recipe, parse_recipe
from engine.topdown import TopDownTask
from models import HeatmapNetwork, list_models, list_plugins
from pipelines.topdown import TopDownBatch
from pose.skeletons import MPII_16

RESNET = {"width": 4, "blocks": [1, 1, 1, 1]}
# Family → one of its networks, shrunk.
NETWORKS: dict[str, dict[str, Any]] = {
    "simplebaseline": {
        "name": "simplebaseline_resnet18",
        "options": {"width": 4, "blocks": [2, 2], "deconv_channels": [8]},
    },
    "hrnet": {"name": "hrnet_w32", "options": {"width": 4, "stem": 4, "modules": [1, 1, 1], "blocks": 1}},
    "hourglass": {"name": "hourglass_2", "options": {"channels": 8, "depth": 2}},
    "cpn": {"name": "cpn_resnet50", "options": RESNET | {"channels": 8}},
    "dlcm": {"name": "dlcm", "options": {"channels": 32, "depth": 1}},
    "mrheatnet1": {"name": "mrheatnet1_resnet50", "options": RESNET | {"deconv_channels": [8, 8, 8]}},
    "mrheatnet2": {"name": "mrheatnet2_resnet50", "options": RESNET | {"deconv_channels": [8, 8, 8]}},
    "mrfeanet1": {"name": "mrfeanet1_resnet50", "options": RESNET},
    "mrfeanet2": {"name": "mrfeanet2_resnet50", "options": RESNET},
    "efafnet": {"name": "efafnet_resnet50", "options": {"width": 8, "blocks": [1, 1, 1, 1]}},
}
PLUGINS: dict[str | None, dict[str, Any]] = {
    None: {},
    "enhancenet": {"plugin": "enhancenet", "plugin_options": {"channels": 8}},
    "poserenet": {"plugin": "poserenet"},
}
CROP_SIZE = (64, 32)

every_network = pytest.mark.parametrize("network", NETWORKS)
every_plugin = pytest.mark.parametrize("plugin", PLUGINS, ids=str)


def recipe_of(network: str, plugin: str | None, seed: int = 0) -> Recipe:
    return parse_recipe(
        {
            "name": "matrix",
            "run_dir": "unset",
            "data": {"crop_size": CROP_SIZE},
            "model": NETWORKS[network] | PLUGINS[plugin],
            "heatmap": {"sigma": 1.0},
            "train": {"seed": seed},
        }
    )


def system_of(network: str, plugin: str | None, seed: int = 0) -> tuple[TopDownTask, HeatmapNetwork]:
    task = TopDownTask(recipe_of(network, plugin, seed), MPII_16)
    return task, task.build_model()


@cache
def batch() -> TopDownBatch:
    """Three persons in crops of noise, each crop half the size of what it shows; the last row only fills up."""
    rng = np.random.default_rng(0)
    crops = rng.integers(0, 256, (3, *CROP_SIZE, 3), dtype=np.uint8)
    return TopDownBatch(
        crops=torch.from_numpy(crops).permute(0, 3, 1, 2),
        keypoints=torch.from_numpy(rng.uniform(0, CROP_SIZE[::-1], (3, 16, 2)).astype(np.float32)),
        visibility=torch.from_numpy(np.resize(np.array([2, 1, 0, 2, 2], np.uint8), (3, 16))),
        image_to_crop=torch.tensor([[0.5, 0, -50], [0, 0.5, -100]], dtype=torch.float64).repeat(3, 1, 1),
        instance_ids=torch.arange(3),
        image_ids=torch.arange(3),
        box_scores=torch.ones(3, dtype=torch.float64),
        box_areas=torch.full((3,), 8192.0, dtype=torch.float64),
        valid=torch.tensor([True, True, False]),
    )


@cache
def crops() -> Tensor:
    """What the networks see of the batch."""
    return TopDownTask(recipe_of("simplebaseline", None), MPII_16).training_input(batch())


def test_every_family_and_every_plugin_is_tried_here() -> None:
    assert {family(name) for name in list_models()} - bottom_up_families() == set(NETWORKS)
    assert {None, *list_plugins()} == set(PLUGINS)


@every_plugin
@every_network
def test_declared_strides_and_channels_are_the_true_ones(network: str, plugin: str | None) -> None:
    _, model = system_of(network, plugin)
    maps = model.eval()(crops())
    found = [tuple(one.shape[1:]) for one in maps]
    channels = [16 if output.parts is None else len(output.parts) for output in model.outputs]
    sizes = [tuple(side / output.stride for side in CROP_SIZE) for output in model.outputs]
    assert found == [(count, *size) for count, size in zip(channels, sizes, strict=True)]
    assert channels[-1] == 16


@every_plugin
@every_network
def test_a_training_step_reaches_every_parameter(network: str, plugin: str | None) -> None:
    task, model = system_of(network, plugin)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(4):
        loss = task.loss(model(crops()), model.outputs, batch())
        optimizer.zero_grad()
        loss.backward()
        assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]


@every_plugin
@every_network
def test_the_decoded_map_alone_teaches_network_and_plugin(network: str, plugin: str | None) -> None:
    task, model = system_of(network, plugin)
    outputs = tuple(replace(output, loss_weight=float(output is model.outputs[-1])) for output in model.outputs)
    task.loss(model(crops()), outputs, batch()).backward()
    for part in (model.base, model.plugin):
        if part is not None:
            first = next(iter(part.parameters()))
            assert first.grad is not None
            assert first.grad.any()


@every_plugin
@every_network
def test_predictions_are_points_of_the_picture(network: str, plugin: str | None) -> None:
    task, model = system_of(network, plugin)
    with torch.no_grad():
        predictions = task.predict(model.eval(), model.outputs, batch())
    assert predictions.keypoints.shape == (2, 16, 2)
    corner, far_corner = np.array([100, 200]), np.array([100, 200]) + 2 * np.array(CROP_SIZE[::-1])
    assert (predictions.keypoints > corner - 2).all()
    assert (predictions.keypoints < far_corner + 2).all()


@every_plugin
@every_network
def test_weights_are_saved_and_loaded(network: str, plugin: str | None) -> None:
    _, model = system_of(network, plugin)
    model(crops())  # moves the norms' statistics
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    _, other = system_of(network, plugin, seed=1)
    other.load_state_dict(torch.load(file, weights_only=True))
    with torch.no_grad():
        for one, loaded in zip(model.eval()(crops()), other.eval()(crops()), strict=True):
            assert torch.equal(one, loaded)


def compiles_into_one_graph(network: str, plugin: str | None, training: bool) -> None:
    _, model = system_of(network, plugin)
    model.train(training)
    torch.compiler.reset()
    maps = torch.compile(model, fullgraph=True, backend="aot_eager")(crops())
    if training:
        sum(one.sum() for one in maps).backward()
    for one, expected in zip(maps, model(crops()), strict=True):
        torch.testing.assert_close(one, expected)


in_both_modes = pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])


@in_both_modes
@every_plugin
def test_plugins_compile_without_a_graph_break(plugin: str | None, training: bool) -> None:
    """On one network; that the networks do is tested where each of them is."""
    compiles_into_one_graph("simplebaseline", plugin, training)


@pytest.mark.slow
@pytest.mark.parametrize("plugin", list_plugins())
@every_network
def test_every_system_compiles_without_a_graph_break(network: str, plugin: str) -> None:
    """With gradients; without them each network compiles where it is tested itself."""
    compiles_into_one_graph(network, plugin, training=True)

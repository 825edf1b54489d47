"""Every network, with and without plug-ins, answers in onnxruntime as in PyTorch."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from random_weights import RandomWeights, small_recipe

from engine.config import Recipe
from engine.export import export_network
from engine.export_network import ExportSettings, needed_outputs
from engine.tasks import make_task
from models import HeatmapNetwork, list_models
from pose.skeletons import COCO_17

_FAST = ("simplebaseline_resnet18", "hourglass_2")
_SIDES = {None: ((64, 64),), 64: ((64, 192), (192, 64))}


def pytorchs(recipe: Recipe) -> HeatmapNetwork:
    network = make_task(recipe, COCO_17).build_model()
    RandomWeights().load_into(network, recipe, COCO_17)
    return network.eval()


def require_same(recipe: Recipe, folder: Path) -> None:
    """Compare on other crops, batches and sizes than the export itself does."""
    file = folder / "network.onnx"
    exported = export_network(recipe, COCO_17, RandomWeights(), file)
    session = onnxruntime.InferenceSession(file)
    network = pytorchs(recipe)
    kept = needed_outputs(network.outputs)
    assert [one.name for one in session.get_outputs()] == [network.outputs[number].name for number in kept]
    for batch, sides in enumerate(_SIDES[None if recipe.bottomup is None else 64] * 2, start=1):
        crops = torch.randn(batch, 3, *sides, generator=torch.Generator().manual_seed(batch))
        with torch.no_grad():
            maps = network(crops)
        for number, answer in zip(kept, session.run(None, {"crops": crops.numpy()}), strict=True):
            wanted = maps[number].numpy()
            assert wanted.std() > 0.01
            np.testing.assert_allclose(answer, wanted, atol=1e-4 * np.abs(wanted).max(), rtol=0)
    assert all(difference.compared for difference in exported.differences)


@pytest.mark.parametrize(
    "name", [name if name in _FAST else pytest.param(name, marks=pytest.mark.slow) for name in list_models()]
)
def test_every_network_can_be_exported(name: str, tmp_path: Path) -> None:
    require_same(small_recipe(name), tmp_path)


@pytest.mark.parametrize(
    "options",
    [{}, *(pytest.param({"upscale": kind}, marks=pytest.mark.slow) for kind in ("bilinear", "deconv3", "deconv12"))],
)
def test_enhancenet_can_be_exported(options: dict[str, object], tmp_path: Path) -> None:
    require_same(small_recipe(model={"plugin": "enhancenet", "plugin_options": options}), tmp_path)


@pytest.mark.parametrize("aggregation", ["mean", pytest.param("max", marks=pytest.mark.slow)])
def test_poserenet_can_be_exported(aggregation: str, tmp_path: Path) -> None:
    plugin = {"plugin": "poserenet", "plugin_options": {"aggregation": aggregation}}
    require_same(small_recipe(model=plugin), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "upscale"),
    [("higherhrnet_w32", "subpixel"), ("guided_hrnet_w32", "bilinear"), ("ae_hourglass_4", "deconv3")],
)
def test_enhancenet_on_networks_for_whole_pictures_can_be_exported(name: str, upscale: str, tmp_path: Path) -> None:
    plugin = {"plugin": "enhancenet", "plugin_options": {"upscale": upscale, "ratio": 2, "channels": 8}}
    require_same(small_recipe(name, model=plugin), tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("opset", [20, 23])
def test_operators_of_several_versions_serve(opset: int, tmp_path: Path) -> None:
    file = tmp_path / "network.onnx"
    export_network(small_recipe("guided_hrnet_w32"), COCO_17, RandomWeights(), file, ExportSettings(opset=opset))
    (version,) = (one.version for one in onnx.load(file).opset_import if not one.domain)
    assert version == opset

"""Colour gains change what the network is shown in training, and only there."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor

from engine.config import DataConfig, Recipe
from engine.evaluation_boxes import evaluation_samples
from engine.network_input import network_input
from engine.topdown import TopDownTask
from engine.train import train
from models import HeatmapNetwork
from pipelines.topdown import TopDownBatch
from sharding.dataset import ShardedDataset

MakeRecipe = Callable[..., Recipe]
MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_gains_multiply_red_green_and_blue_and_stop_at_white(
    tiny: MakeRecipe, mini_coco: ShardedDataset, order: str
) -> None:
    crops = torch.randint(0, 256, (4, 3, 6, 5), dtype=torch.uint8).to(memory_format=torch.channels_last)
    before = crops.clone()
    gains = torch.tensor([[1.2, 1.0, 0.8], [1.0, 1.0, 1.0], [0.9, 1.1, 1.2], [0.8, 0.8, 0.8]])
    data = tiny(f"data.channel_order={order}").data
    given = network_input(data, crops, gains)
    assert given.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(crops, before)
    pixels = (crops.double() / 255 * gains[:, :, None, None]).clamp(0, 1)
    pixels = pixels.flip(1) if order == "bgr" else pixels
    expected = (pixels - MEAN[:, None, None]) / STD[:, None, None]
    torch.testing.assert_close(given.double(), expected, rtol=0, atol=1e-5)
    assert torch.equal(network_input(data, crops, torch.ones(4, 3)), network_input(data, crops))


def test_training_shows_the_network_varied_colours_and_validation_the_true_ones(
    tiny: MakeRecipe,
    console: Console,
    monkeypatch: pytest.MonkeyPatch,
    mini_shards: Callable[[str], Path],
) -> None:
    given: list[tuple[bool, bool]] = []
    forward = HeatmapNetwork.forward
    varied: list[bool] = []

    def recorded(data: DataConfig, crops: Tensor, channel_gains: Tensor | None = None) -> Tensor:
        shown = network_input(data, crops, channel_gains)
        varied.append(not torch.equal(shown, network_input(data, crops)))
        return shown

    def noted(network: HeatmapNetwork, crops: Tensor) -> tuple[Tensor, ...]:
        given.append((network.training, varied[-1]))
        return forward(network, crops)

    monkeypatch.setattr("engine.topdown.network_input", recorded)
    monkeypatch.setattr(HeatmapNetwork, "forward", noted)
    train(tiny("augmentation.channel_gain=0.2", "train.epochs=1", f"data.val={mini_shards('coco')}"), console)
    assert set(given) == {(True, True), (False, False)}


def test_evaluation_batches_have_no_gains(tiny: MakeRecipe, mini_coco: ShardedDataset) -> None:
    task = TopDownTask(tiny("augmentation.channel_gain=0.2"), mini_coco.skeleton)
    loader = task.evaluation_loader(evaluation_samples(task.recipe, mini_coco), torch.device("cpu"))
    batches: list[TopDownBatch] = list(loader)
    loader.close()
    assert batches
    assert all(batch.channel_gains is None for batch in batches)

"""Every system can learn: a handful of instances by heart, to less than 2 crop px."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.config import Recipe
from engine.network_input import network_input
from engine.topdown import TopDownTask
from pipelines.samples import annotated_samples
from pose.crop import transform_points
from sharding.dataset import open_dataset

STEPS, WARM_UP, RATE = 400, 50, 4e-3  # without warming up, the small first weights of EnhanceNet would die

SYSTEMS: dict[str, dict[str, Any]] = {
    "SimpleBaseline": {"name": "simplebaseline_resnet50", "options": {"width": 16, "deconv_channels": [32, 32, 32]}},
    "HRNet": {"name": "hrnet_w32", "options": {"width": 16, "stem": 32, "modules": [1, 1, 1], "blocks": 1}},
    "hourglass": {"name": "hourglass_2", "options": {"channels": 32, "depth": 3}},
    "CPN": {"name": "cpn_resnet50", "options": {"width": 16, "channels": 32, "peak": 20.0}},
    "DLCM": {"name": "dlcm", "options": {"channels": 32, "depth": 3}},
    "MRHeatNet1": {"name": "mrheatnet1_resnet50", "options": {"width": 16, "deconv_channels": [32, 32, 32]}},
    "MRHeatNet2": {"name": "mrheatnet2_resnet50", "options": {"width": 16, "deconv_channels": [32, 32, 32]}},
    "MRFeaNet1": {"name": "mrfeanet1_resnet50", "options": {"width": 16}},
    "MRFeaNet2": {"name": "mrfeanet2_resnet50", "options": {"width": 16}},
    "EFAFNet": {"name": "efafnet_resnet50", "options": {"width": 16, "blocks": [1, 1, 1, 1]}},
    "EnhanceNet": {"plugin": "enhancenet", "plugin_options": {"channels": 32}},
    "PoseReNet": {"plugin": "poserenet"},
}


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_handful_of_instances_is_memorised(
    system: str, tiny: Callable[..., Recipe], mini_shards: Callable[[str], Path]
) -> None:
    recipe = tiny("data.crop_size=128,96", "heatmap.encoding=exact", "heatmap.decoding=dark", "heatmap.sigma=1.5")
    recipe = recipe.model_copy(
        update={
            "model": recipe.model.model_copy(update=SYSTEMS["SimpleBaseline"] | SYSTEMS[system]),
            "evaluate": recipe.evaluate.model_copy(update={"flip_test": False, "batch_size": 4}),
        }
    )
    dataset = open_dataset(mini_shards("coco"))
    task = TopDownTask(recipe, dataset.skeleton)
    loader = task.evaluation_loader(annotated_samples(dataset), torch.device("cpu"))
    batch = next(iter(loader))
    loader.close()
    network = task.build_model().train()
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    crops = network_input(recipe.data, batch.crops)
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1, (step + 1) / WARM_UP) * (1 - step / STEPS)
        task.loss(network(crops), network.outputs, batch).backward()
        optimizer.step()
        optimizer.zero_grad()
    network.eval()
    with torch.no_grad():
        predictions = task.predict(network, network.outputs, batch)
    found = transform_points(batch.image_to_crop.numpy(), predictions.keypoints)
    labelled = batch.visibility.numpy() > 0
    height, width = recipe.data.crop_size
    true = batch.keypoints.numpy()
    labelled &= ((true > 4) & (true < [width - 4, height - 4])).all(axis=-1)
    assert labelled.sum() > 20
    error = np.linalg.norm(found - true, axis=-1)[labelled]
    assert error.mean() < 2, error

"""Peak memory does not grow with epochs; what is read ahead from a network is bounded."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.block_fetch import BlockFetcher
from pipelines.fetch_schedule import fetch_groups
from pipelines.pictures import PictureIndex
from pipelines.plan import Plan
from pipelines.remote_pictures import RemotePictures
from pipelines.samples import annotated_samples

ROOT = Path(__file__).resolve().parents[2]

EPOCHS = """
import json, resource, sys, torch
from pipelines.augmentation import Augmentation
from pipelines.samples import annotated_samples
from pipelines.topdown import TopDownLoader, TopDownSettings
from sharding.dataset import open_dataset
from sharding.storage import Folder

torch.set_num_threads(1)
if sys.argv[2] == "remote":
    Folder.local = property(lambda folder: None)
settings = TopDownSettings((64, 48), 16, window=8, augmentation=Augmentation(0.35, 45, 0.6, 0.5, 0.3), threads=1)
loader = TopDownLoader(annotated_samples(open_dataset(sys.argv[1])), settings)
peaks = []
for epoch in range(220):
    for batch in loader:
        pass
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
loader.close()
print(json.dumps(peaks))
"""


@pytest.mark.slow
@pytest.mark.parametrize("where", ["local", "remote"])
def test_two_hundred_epochs_take_no_more_memory_than_twenty(mini_shards, where):
    command = [sys.executable, "-W", "ignore", "-c", EPOCHS, str(mini_shards("coco")), where]
    peaks = json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout)
    assert peaks[-1] - peaks[19] < 8, peaks[19::50]  # MB


@pytest.mark.parametrize("max_bytes", [60_000, 200_000, 10_000_000])
def test_pictures_that_wait_stay_within_their_bound(mini_coco, max_bytes):
    """With the exception of what a step itself needs."""
    index = PictureIndex([mini_coco])
    samples = annotated_samples(mini_coco)
    plan = Plan(samples.image_rows, 4, window=8, blocks=index.blocks)
    sizes = index.sizes.all()
    groups = fetch_groups(plan, 0, 3 * plan.steps_per_epoch, 0, 1, sizes, max_bytes // 4)
    source = RemotePictures(index, BlockFetcher(index, False, None), groups, plan.steps_per_epoch, 0, 4, max_bytes)
    largest_step = 0
    for step in range(3 * plan.steps_per_epoch):
        chosen = plan.batch(step).samples
        rows = np.unique(samples.image_rows[chosen[chosen >= 0]])
        largest_step = max(largest_step, int(sizes[rows].sum()))
        pictures = source.read(step, rows)
        assert [len(picture) for picture in pictures] == sizes[rows].tolist()
        held = sum(len(picture) for picture in source._pictures.values())  # type: ignore[arg-type]
        assert held <= max_bytes + 3 * max(largest_step, max_bytes // 4)
    assert not source._pictures
    assert source._bytes == 0
    source.close()

"""What the loader is compared with, and the loader itself in several settings: each a function seconds → rate."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from nvidia.dali import fn, pipeline_def, types

from benchmarks.classical import CROP, STRIDE, ClassicalDataset, one_thread
from benchmarks.taking_turns import Measure, rate
from engine.config import DataConfig, ModelConfig, Recipe
from engine.topdown import TopDownTask
from models import OutputMap
from pipelines.augmentation import Augmentation
from pipelines.reader import PictureReader
from pipelines.samples import TopDownSamples
from pipelines.topdown import TopDownBatch, TopDownLoader, TopDownSettings
from pose.skeletons import Skeleton

AUGMENTATION = Augmentation(scale_factor=0.35, rotation_factor=45, flip_probability=0.5, half_body_probability=0.3)
CPU = torch.device("cpu")


def settings(batch_size: int, threads: int, **options: Any) -> TopDownSettings:
    return replace(TopDownSettings(CROP, batch_size, threads=threads, augmentation=AUGMENTATION), **options)


def classical(samples: TopDownSamples, images: Path, batch_size: int, workers: int) -> Measure:
    """A torch DataLoader that reads, decodes and warps with OpenCV, and makes heatmaps in numpy, person by person."""
    names = np.array(samples.dataset.file_names())
    taken = samples.take(np.arange(len(samples)), CROP, 1.25)
    paths = [str(images / name) for name in names[samples.image_rows]]
    dataset = ClassicalDataset(paths, taken.center, taken.extent, taken.keypoints)

    def measure(seconds: float) -> float:
        # Made anew: workers that read ahead would go on while others are measured.
        loader = torch.utils.data.DataLoader(
            dataset,
            batch_size=batch_size,
            shuffle=True,
            num_workers=workers,
            worker_init_fn=one_thread,
            persistent_workers=True,
        )
        return rate((len(pixels) for _ in itertools.count() for pixels, _, _ in loader), seconds)

    return measure


def posestream(samples: TopDownSamples, settings: TopDownSettings, complete: bool = False) -> Measure:
    """The loader; `complete` adds what it leaves to the network's device."""
    finish = Finisher(samples.dataset.skeleton)

    def measure(seconds: float) -> float:
        loader = TopDownLoader(samples, settings)

        def counts() -> Iterator[float]:
            for batch in itertools.chain.from_iterable(itertools.repeat(loader)):
                if complete:
                    finish.floats(batch)
                    finish.heatmaps(batch)
                yield int(batch.valid.sum())

        found = rate(counts(), seconds)
        loader.close()
        return found

    return measure


class Finisher:
    """Makes a batch complete as the classical loader's are: normalised floats and heatmaps, in torch."""

    def __init__(self, skeleton: Skeleton) -> None:
        recipe = Recipe(name="", run_dir="", data=DataConfig(crop_size=CROP), model=ModelConfig(name=""))
        self._task = TopDownTask(recipe, skeleton)
        self._codec = self._task.codec(OutputMap("heatmaps", STRIDE))

    def floats(self, batch: TopDownBatch) -> torch.Tensor:
        return self._task.training_input(batch)

    def heatmaps(self, batch: TopDownBatch) -> object:
        return self._codec.encode(batch.keypoints, (batch.visibility > 0).float())


def decode_once(samples: TopDownSamples, batch_size: int, threads: int, device: torch.device = CPU) -> Measure:
    """DALI decoding every JPEG once, whole, and nothing else; counts instances."""
    rows = np.unique(samples.image_rows)
    per_picture = len(samples) / len(rows)
    pictures = itertools.cycle(PictureReader(samples.dataset).encoded(rows))
    on_gpu = device.type == "cuda"

    def feed() -> list[NDArray[np.uint8]]:
        return list(itertools.islice(pictures, batch_size))

    @pipeline_def(batch_size=batch_size, num_threads=threads, device_id=0 if on_gpu else None, prefetch_queue_depth=2)
    def graph():  # type: ignore[no-untyped-def]
        encoded = fn.external_source(source=feed, batch=True, dtype=types.UINT8)
        return fn.decoders.image(
            encoded, device="mixed" if on_gpu else "cpu", output_type=types.RGB, adjust_orientation=False
        )

    def measure(seconds: float) -> float:
        pipeline = graph()
        pipeline.build()

        def counts() -> Iterator[float]:
            while True:
                pipeline.run()
                yield batch_size * per_picture

        return rate(counts(), seconds)

    return measure

"""The top-down loader against the classical one, on the same cores and data, in one run.

    python -m benchmarks.loader                 # a table; stores benchmarks/results/loader.json
    python -m benchmarks.loader --json          # the two ratios alone

What is compared, in instances per second, crops of 256x192:

- classical: a torch DataLoader, a worker per core, each reading one picture file per instance, decoding and warping it
  with single-threaded OpenCV, and making normalised floats and heatmaps in numpy, keypoint by keypoint, as the public
  HRNet code does.
- loader: posestream's, with a thread per core: uint8 crops, keypoints, matrices.
- loader, persons shuffled: with data.shuffle=instance, where a picture is decoded for nearly every person.
- complete: the loader plus what it leaves to the network's device, normalised floats and heatmaps, in torch on the CPU.
- decode once: DALI decoding every JPEG once on the same cores, nothing else; times instances per picture.

The two ratios of --json are the loader's. `complete_to_classical` compares equal output; with the network on a GPU,
normalising and heatmaps cost the host nothing.

Pictures are synthetic people enlarged to 640 px, some 2.6 instances each, unless --data names a sharded split whose raw
pictures lie in --images.
"""

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.classical import CROP, STRIDE, ClassicalDataset, one_thread
from benchmarks.pictures import render_like_coco
from engine.config import DataConfig, ModelConfig, Recipe
from engine.topdown import TopDownTask
from models import OutputMap
from pipelines.augmentation import Augmentation
from pipelines.plan import Shuffle
from pipelines.reader import PictureReader
from pipelines.samples import TopDownSamples, annotated_samples
from pipelines.topdown import LoaderSettings, TopDownLoader
from sharding.convert import ConversionSettings, convert
from sharding.dataset import ShardedDataset, open_dataset
from sharding.raw import read_raw
from sharding.storage import open_folder

AUGMENTATION = Augmentation(scale_factor=0.35, rotation_factor=45, flip_probability=0.5, half_body_probability=0.3)
RESULTS = Path(__file__).parent / "results"


def make_data(folder: Path, images: int) -> tuple[ShardedDataset, Path]:
    """A split of synthetic people in pictures of COCO's size, 2.6 to a picture as in train2017."""
    files = render_like_coco(folder / "raw", images)
    settings = ConversionSettings(files.images, "bench", workers=os.cpu_count() or 1)
    convert(read_raw("coco", files.annotations, "bench"), open_folder(folder / "shards"), settings)
    return open_dataset(folder / "shards"), files.images


def classical_loader(samples: TopDownSamples, images: Path, batch_size: int, cores: int) -> Callable[[float], float]:
    dataset = samples.dataset
    names = np.array(dataset.file_names())
    taken = samples.take(np.arange(len(samples)), CROP, 1.25)
    center, extent = taken.center, taken.extent
    paths = [str(images / name) for name in names[samples.image_rows]]
    loader = torch.utils.data.DataLoader(
        ClassicalDataset(paths, center, extent, taken.keypoints),
        batch_size=batch_size,
        shuffle=True,
        num_workers=cores,
        worker_init_fn=one_thread,
        persistent_workers=True,
    )

    def measure(seconds: float) -> float:
        next(iter(loader))  # workers are up, and the page cache is warm
        return _rate((len(pixels) for _ in iter(int, 1) for pixels, _, _ in loader), seconds)

    return measure


def posestream_loader(
    samples: TopDownSamples, batch_size: int, cores: int, complete: bool = False, shuffle: Shuffle = "image"
) -> Callable[[float], float]:
    recipe = Recipe(name="", run_dir="", data=DataConfig(crop_size=CROP), model=ModelConfig(name=""))
    task = TopDownTask(recipe, samples.dataset.skeleton)
    codec = task.codec(OutputMap("heatmaps", STRIDE))
    settings = LoaderSettings(CROP, batch_size, shuffle=shuffle, augmentation=AUGMENTATION, threads=cores)

    def measure(seconds: float) -> float:
        loader = TopDownLoader(samples, settings)

        def batches():  # type: ignore[no-untyped-def]
            while True:
                for batch in loader:
                    if complete:
                        task.network_input(batch.crops)
                        codec.encode(batch.keypoints, (batch.visibility > 0).float())
                    yield int(batch.valid.sum())

        stream = batches()
        next(stream)
        rate = _rate(stream, seconds)
        loader.close()
        return rate

    return measure


def decode_once(samples: TopDownSamples, batch_size: int, cores: int) -> Callable[[float], float]:
    from nvidia.dali import fn, pipeline_def, types

    dataset = samples.dataset
    rows = np.unique(samples.image_rows)
    pictures = PictureReader(dataset).read(rows)
    per_picture = len(samples) / len(rows)

    @pipeline_def(batch_size=batch_size, num_threads=cores, device_id=None, prefetch_queue_depth=2)
    def graph():  # type: ignore[no-untyped-def]
        encoded = fn.external_source(source=feed, batch=True, dtype=types.UINT8)
        return fn.decoders.image(encoded, output_type=types.RGB, adjust_orientation=False)

    position = 0

    def feed() -> list[NDArray[np.uint8]]:
        nonlocal position
        chosen = [pictures[(position + k) % len(pictures)] for k in range(batch_size)]
        position += batch_size
        return chosen

    def measure(seconds: float) -> float:
        pipeline = graph()
        pipeline.build()
        pipeline.run()

        def batches():  # type: ignore[no-untyped-def]
            while True:
                pipeline.run()
                yield batch_size

        return _rate(batches(), seconds) * per_picture

    return measure


def _rate(batches, seconds: float) -> float:  # type: ignore[no-untyped-def]
    count, started = 0, time.perf_counter()
    for size in batches:
        count += size
        if time.perf_counter() - started > seconds:
            break
    return count / (time.perf_counter() - started)


def run(arguments: argparse.Namespace, folder: Path) -> dict[str, object]:
    cores = arguments.cores or os.cpu_count() or 1
    dataset, images = (
        (open_dataset(arguments.data), arguments.images) if arguments.data else make_data(folder, arguments.pictures)
    )
    samples = annotated_samples(dataset)
    tar_bytes = sum(shard.tar_bytes for shard in dataset.manifest.shards)
    contenders = {
        "classical": classical_loader(samples, images, arguments.batch, cores),
        "loader": posestream_loader(samples, arguments.batch, cores),
        "loader, persons shuffled": posestream_loader(
            samples, arguments.batch, cores, complete=False, shuffle="instance"
        ),
        "complete": posestream_loader(samples, arguments.batch, cores, complete=True),
        "decode once": decode_once(samples, arguments.batch, cores),
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(arguments.rounds):
        for name, measure in contenders.items():
            rates[name].append(measure(arguments.seconds))
            print(f"round {number + 1} {name}: {rates[name][-1]:.0f} instances/s", file=sys.stderr)

    def ratio(name: str, to: str) -> float:
        """The median over rounds: each round compares what ran within the same minute on a shared machine."""
        return round(statistics.median(a / b for a, b in zip(rates[name], rates[to], strict=True)), 2)

    return {
        "ratio_to_classical": ratio("loader", "classical"),
        "ratio_to_decode_once": ratio("loader", "decode once"),
        "persons_shuffled_to_classical": ratio("loader, persons shuffled", "classical"),
        "complete_to_classical": ratio("complete", "classical"),
        "complete_to_decode_once": ratio("complete", "decode once"),
        "instances_per_s": {name: [round(rate) for rate in values] for name, values in rates.items()},
        "data": {
            "pictures": dataset.num_images,
            "instances_per_picture": round(len(samples) / len(np.unique(samples.image_rows)), 2),
            "mean_picture_kb": round(tar_bytes / dataset.num_images / 1000),
        },
        "command": "python -m benchmarks.loader " + " ".join(sys.argv[1:]),
        "machine": {"cpu": _cpu_name(), "cores": cores, "python": platform.python_version()},
        "versions": {
            name: version(name)
            for name in ("torch", "nvidia-dali-cuda120", "opencv-python-headless", "numpy", "pyarrow")
        },
    }


def _cpu_name() -> str:
    return str(torch.cpu.get_capabilities().get("cpu_name", platform.machine()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print the two ratios alone, as JSON")
    parser.add_argument("--data", help="a sharded split instead of synthetic people")
    parser.add_argument("--images", type=Path, help="the folder of its raw pictures, for the classical loader")
    parser.add_argument("--pictures", type=int, default=300)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--cores", type=int, help="threads and workers; default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6, help="of each measurement")
    parser.add_argument("--out", type=Path, default=RESULTS / "loader.json")
    arguments = parser.parse_args()
    if (arguments.data is None) != (arguments.images is None):
        parser.error("--data and --images belong together")
    with tempfile.TemporaryDirectory() as folder:
        result = run(arguments, Path(folder))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    if arguments.json:
        print(json.dumps({name: result[name] for name in ("ratio_to_classical", "ratio_to_decode_once")}))
    else:
        print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

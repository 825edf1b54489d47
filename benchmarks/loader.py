"""The top-down loader against the classical one, on the same cores and data, in one run.

    python -m benchmarks.loader                 # a table; stores benchmarks/results/loader.json
    python -m benchmarks.loader --json          # the two ratios alone

What is compared, in instances per second, crops of 256x192:

- classical: a torch DataLoader, a worker per core, each reading one picture file per instance, decoding and warping it
  with single-threaded OpenCV, and making normalised floats and heatmaps in numpy, keypoint by keypoint, as the public
  HRNet code does.
- loader: posestream's, with a thread per core: uint8 crops, keypoints, matrices.
- loader, n threads: the same with 1, 2 and 4 threads for decoding and warping.
- loader, persons shuffled: with data.shuffle=instance, where a picture is decoded for nearly every person.
- loader, remote: the same split as if it lay in an object store that answers each request after 30 ms.
- loader, cached: the same with a cache of blocks on the disk, filled in the first seconds.
- complete: the loader plus what it leaves to the network's device, normalised floats and heatmaps, in torch on the CPU.
- decode once: DALI decoding every JPEG once and whole on the same cores, nothing else; times instances per picture.
- decode per instance: the same JPEGs, each counted once: what a loader that decodes for every person cannot exceed
  without leaving out parts of the pictures.
- GPU: the loader and decoding alone on the GPU backend, where there is a GPU.

The two ratios of --json are the loader's. `complete_to_classical` compares equal output; with the network on a GPU,
normalising and heatmaps cost the host nothing. `cpu_us_per_instance` says where the loader's CPU time goes
(benchmarks/loader_stages.py), and `cpu_ratio_to_decode_once` compares CPU time, which other work on the machine changes
less than rates.

Pictures are synthetic people enlarged to 640 px, some 2.6 instances each, unless --data names a sharded split whose raw
pictures lie in --images.
"""

import argparse
import json
import os
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.far_away import far_away
from benchmarks.loader_contenders import classical, decode_once, posestream, settings
from benchmarks.loader_stages import cpu_us_per_instance
from benchmarks.pictures import split_like_coco
from benchmarks.taking_turns import Measure, Rates, describe_run, median_ratio, take_turns
from pipelines.samples import TopDownSamples, annotated_samples
from pipelines.settings import ReadSettings
from sharding.dataset import open_dataset

RESULTS = Path(__file__).parent / "results"


def contenders(samples: TopDownSamples, images: Path, batch: int, cores: int, scratch: Path) -> dict[str, Measure]:
    """By name; a new one is a new line."""
    on_cores, far = settings(batch, cores), annotated_samples(far_away(samples.dataset))
    cached = settings(batch, cores, reading=ReadSettings(cache=scratch / "cache"))
    found = {
        "classical": classical(samples, images, batch, cores),
        "loader": posestream(samples, on_cores),
        **{f"loader, {n} threads": posestream(samples, settings(batch, n)) for n in (1, 2, 4) if n != cores},
        "loader, persons shuffled": posestream(samples, settings(batch, cores, shuffle="instance")),
        "loader, remote": posestream(far, on_cores),
        "loader, cached": posestream(far, cached),
        "complete": posestream(samples, on_cores, complete=True),
        "decode once": decode_once(samples, batch, cores),
    }
    if torch.cuda.is_available():
        gpu = torch.device("cuda")
        found["loader, GPU"] = posestream(samples, settings(batch, cores, device=gpu))
        found["decode once, GPU"] = decode_once(samples, batch, cores, gpu)
    return found


def ratios(rates: Rates) -> dict[str, float]:
    pairs = {
        "ratio_to_classical": ("loader", "classical"),
        "ratio_to_decode_once": ("loader", "decode once"),
        "persons_shuffled_to_classical": ("loader, persons shuffled", "classical"),
        "persons_shuffled_to_decode_per_instance": ("loader, persons shuffled", "decode per instance"),
        "remote_to_local": ("loader, remote", "loader"),
        "cached_to_local": ("loader, cached", "loader"),
        "complete_to_classical": ("complete", "classical"),
        "complete_to_decode_once": ("complete", "decode once"),
        "gpu_to_decode_once": ("loader, GPU", "decode once, GPU"),
    }
    return {name: median_ratio(rates, *pair) for name, pair in pairs.items() if rates.keys() >= set(pair)}


def run(arguments: argparse.Namespace, folder: Path) -> dict[str, object]:
    cores = arguments.cores or os.cpu_count() or 1
    dataset, images = (
        (open_dataset(arguments.data), arguments.images)
        if arguments.data
        else split_like_coco(folder, arguments.pictures)
    )
    samples = annotated_samples(dataset)
    rates = take_turns(contenders(samples, images, arguments.batch, cores, folder), arguments.rounds, arguments.seconds)
    per_picture = len(samples) / len(np.unique(samples.image_rows))
    rates["decode per instance"] = [value / per_picture for value in rates["decode once"]]
    cpu_us = cpu_us_per_instance(samples, arguments.batch, cores, arguments.rounds)
    return {
        **ratios(rates),
        "cpu_ratio_to_decode_once": round(cpu_us["decode once"] / cpu_us["loader"], 2),
        "instances_per_s": {name: [round(value) for value in values] for name, values in rates.items()},
        "cpu_us_per_instance": cpu_us,
        "data": {
            "pictures": dataset.num_images,
            "instances_per_picture": round(per_picture, 2),
            "mean_picture_kb": round(
                sum(shard.tar_bytes for shard in dataset.manifest.shards) / dataset.num_images / 1000
            ),
        },
        **describe_run(cores),
    }


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

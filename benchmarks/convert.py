"""Conversion against `tar` writing the same files, in one run.

    python -m benchmarks.convert            # prints and stores benchmarks/results/convert.json

Pictures like COCO's, of some 80 KB, are copied until there are 512 MB of them; all is in the page cache; both sync to
the disk; neither overwrites anything. Conversion computes every checksum: without decoding the pictures, and with it by
one thread and by as many as there are cores. Each round runs everything once; ratios are medians over the rounds.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from benchmarks.pictures import render_like_coco
from sharding.convert import ConversionSettings, convert
from sharding.raw import read_raw
from sharding.records import RawDataset
from sharding.storage import open_folder

RESULTS = Path(__file__).parent / "results"


def make_raw(folder: Path, megabytes: int) -> tuple[Path, Path]:
    """A raw COCO split of copies of 200 synthetic pictures: (images, annotations)."""
    files = render_like_coco(folder, 200)
    content = json.loads(files.annotations.read_bytes())
    images, annotations, wanted = list(content["images"]), list(content["annotations"]), megabytes * 1_000_000
    size = sum((files.images / image["file_name"]).stat().st_size for image in images)
    for copy in range(1, -(-wanted // size)):
        for image in content["images"]:
            name = f"{copy:03d}_{image['file_name']}"
            shutil.copyfile(files.images / image["file_name"], files.images / name)
            images.append(image | {"id": image["id"] + 1000 * copy, "file_name": name})
        for row in content["annotations"]:
            shifted = {"id": row["id"] + 100_000 * copy, "image_id": row["image_id"] + 1000 * copy}
            annotations.append(row | shifted)
    path = folder / "annotations.json"
    path.write_text(json.dumps(content | {"images": images, "annotations": annotations}))
    return files.images, path


def run(folder: Path, megabytes: int, rounds: int) -> dict[str, object]:
    images, annotations = make_raw(folder / "raw", megabytes)
    size = sum(path.stat().st_size for path in images.iterdir())
    raw, cores = read_raw("coco", annotations, "bench"), os.cpu_count() or 1
    work = {
        "tar": lambda out: write_tar(images, out),
        "conversion": lambda out: write_shards(raw, images, out, cores, check=False),
        "conversion with image check": lambda out: write_shards(raw, images, out, cores, check=True),
        "conversion with image check, 1 worker": lambda out: write_shards(raw, images, out, 1, check=True),
    }
    speed: dict[str, list[float]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, write in work.items():
            speed[name].append(size / 1e6 / seconds(write, folder / "out"))

    def ratio(name: str, reference: str) -> float:
        return round(statistics.median(a / b for a, b in zip(speed[name], speed[reference], strict=True)), 2)

    return {
        "ratio_to_tar": ratio("conversion", "tar"),
        "ratio_to_tar_with_image_check": ratio("conversion with image check", "tar"),
        "check_scaling": ratio("conversion with image check", "conversion with image check, 1 worker"),
        "mb_per_s": {name: [round(value) for value in values] for name, values in speed.items()},
        "workers": cores,
        "data": {"pictures": len(raw.images), "mb": round(size / 1e6)},
        "command": f"python -m benchmarks.convert --megabytes {megabytes} --rounds {rounds}",
        "machine": {"cores": cores, "python": platform.python_version()},
        "versions": {name: version(name) for name in ("pyarrow", "pillow")},
    }


def seconds(write: Callable[[Path], None], out: Path) -> float:
    """How long it takes to write to a new folder, which is deleted afterwards."""
    out.mkdir()
    started = time.perf_counter()
    write(out)
    taken = time.perf_counter() - started
    shutil.rmtree(out)
    return taken


def write_tar(images: Path, out: Path) -> None:
    subprocess.run(["tar", "cf", str(out / "out.tar"), "-C", str(images), "."], check=True)
    with (out / "out.tar").open("rb") as file:
        os.fsync(file.fileno())


def write_shards(raw: RawDataset, images: Path, out: Path, workers: int, check: bool) -> None:
    convert(raw, open_folder(out), ConversionSettings(images, "bench", workers=workers, check_images=check))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "convert.json")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(Path(folder), arguments.megabytes, arguments.rounds)
    arguments.out.parent.mkdir(exist_ok=True)
    arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()

"""Targets + loss, with and without the gradient, and decoding, against straightforward numpy loops, in one run.

    python -m benchmarks.codec          # a table; stores benchmarks/results/codec.json

64 instances, 17 keypoints, a crop of 256x192, on the CPU, with one thread and with all cores (numpy has one); maps of
64x48, as most networks have them, and of 256x192, as EnhanceNet has them. Both sides work from the same keypoints and
predictions, and are first checked to give the same results. They take turns, and the fastest call of each counts: on a
shared machine the others measure what else runs there.

The loops (benchmarks/codec_loops.py) get the layout that suits them; what a network in channels-last memory answers, in
both precisions, is measured beside it.
"""

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks import codec_loops as loops
from benchmarks.result_file import RESULTS, store
from models.losses import joints_mse
from pose.heatmap_offsets import Decoding
from pose.heatmaps import HeatmapCodec

CROP = (256, 192)
MAPS = {"64x48": ((64, 48), 2.0), "256x192": ((256, 192), 8.0)}
"""Heatmap size and sigma, heatmap px."""

Work = Callable[[], object]


class Case:
    """What is done with one size of maps."""

    def __init__(self, size: tuple[int, int], sigma: float, instances: int, keypoints: int) -> None:
        self.size, self.sigma, self.stride = size, sigma, CROP[1] / size[1]
        drawn = np.random.default_rng(0).uniform((20, 20), (CROP[1] - 20, CROP[0] - 20), (instances, keypoints, 2))
        self.keypoints = torch.from_numpy(drawn.astype(np.float32))
        self.weights, self.valid = torch.ones(instances, keypoints), torch.ones(instances, dtype=torch.bool)
        self.maps = HeatmapCodec(CROP, size, sigma, "exact").encode(self.keypoints, self.weights)[0]
        self.codec = HeatmapCodec(CROP, size, sigma)

    def loss(self, predicted: torch.Tensor) -> torch.Tensor:
        return joints_mse(predicted, *self.codec.encode_axes(self.keypoints, self.weights), self.valid)

    def gradient(self, predicted: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(self.loss(predicted), predicted)[0]

    def pairs(self) -> Iterator[tuple[str, Work, Work]]:
        """(name, loops, ours), after a check that they do the same."""
        points, maps, weights = self.keypoints.numpy(), self.maps.numpy(), self.weights.numpy()
        predicted = self.maps.clone().requires_grad_()

        def loop_encode() -> loops.Floats:
            return loops.encode(points, self.size, self.stride, self.sigma)

        expected, gradient = loops.loss_and_gradient(maps, loop_encode(), weights)
        np.testing.assert_allclose(self.loss(self.maps), expected, rtol=1e-4)
        np.testing.assert_allclose(self.gradient(predicted), gradient, atol=1e-5 * float(np.abs(gradient).max()))
        yield "targets + loss", lambda: loops.loss(maps, loop_encode(), weights), lambda: self.loss(self.maps)
        yield (
            "targets + loss + gradient",
            lambda: loops.loss_and_gradient(maps, loop_encode(), weights),
            lambda: self.gradient(predicted),
        )
        yield from (self._decoding(decoding) for decoding in ("quarter", "dark"))

    def _decoding(self, decoding: Decoding) -> tuple[str, Work, Work]:
        codec = HeatmapCodec(CROP, self.size, self.sigma, decoding=decoding)

        def loop() -> NDArray[np.float64]:
            return loops.decode(self.maps.numpy(), self.stride, self.sigma, decoding)

        np.testing.assert_allclose(codec.decode(self.maps)[0], loop(), atol=2e-2 * self.stride)
        return f"decode {decoding}", loop, lambda: codec.decode(self.maps)

    def layouts(self) -> Iterator[tuple[str, Work]]:
        """The same with predictions as a network in channels-last memory makes them."""
        codec = HeatmapCodec(CROP, self.size, self.sigma, decoding="dark")
        for name, dtype in (("float32", torch.float32), ("bf16", torch.bfloat16)):
            maps = self.maps.to(dtype, memory_format=torch.channels_last)
            predicted = maps.clone().requires_grad_()
            yield f"targets + loss, {name} channels-last", lambda maps=maps: self.loss(maps)  # type: ignore[misc]
            yield (
                f"targets + loss + gradient, {name} channels-last",
                lambda predicted=predicted: self.gradient(predicted),  # type: ignore[misc]
            )
            yield f"decode dark, {name} channels-last", lambda maps=maps: codec.decode(maps)  # type: ignore[misc]


def milliseconds(work: Work, calls: int) -> float:
    """Of the fastest call."""
    found = []
    for _ in range(calls):
        started = time.perf_counter()
        work()
        found.append(time.perf_counter() - started)
    return 1000 * min(found)


def measure(case: Case, rounds: int) -> dict[str, object]:
    """Ratio loops : ours, ms of both, and ms of other memory layouts."""
    ratios, ms = {}, {}
    for name, loop, ours in case.pairs():
        turns = [(milliseconds(loop, 1), milliseconds(ours, 5)) for _ in range(rounds)]
        best = [min(times) for times in zip(*turns, strict=True)]
        ratios[name], ms[name] = round(best[0] / best[1], 1), [round(time, 2) for time in best]
        print(f"{name:<26} {ratios[name]:6.1f} x   {best[0]:.2f} / {best[1]:.2f} ms")
    layouts = {name: round(milliseconds(work, 2 + rounds), 2) for name, work in case.layouts()}
    return {"ratio_to_loops": ratios, "ms_loops_and_ours": ms, "ms_channels_last": layouts}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--instances", type=int, default=64)
    parser.add_argument("--keypoints", type=int, default=17)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--out", type=Path, default=RESULTS / "codec.json")
    args = parser.parse_args()
    result = {}
    for threads in sorted({1, torch.get_num_threads()}):
        torch.set_num_threads(threads)
        for name, (size, sigma) in MAPS.items():
            where = f"{name}, {threads} thread" + "s" * (threads > 1)
            print(where)
            result[where] = measure(Case(size, sigma, args.instances, args.keypoints), args.rounds)
    command = f"python -m benchmarks.codec --instances {args.instances} --rounds {args.rounds}"
    store(args.out, result, command, ("torch", "numpy", "opencv-python-headless"))


if __name__ == "__main__":
    main()

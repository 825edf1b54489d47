"""Bottom-up targets + losses, with and without the gradient, against straightforward numpy loops, in one run.

    python -m benchmarks.bottomup_targets     # a table; stores benchmarks/results/bottomup_targets.json

8 pictures, 30 persons in each, 17 keypoints, maps of 128x128 (crops of 512x512 at stride 4), on the CPU, with one
thread and with all cores (numpy has one). Both sides work from the same annotation and predictions, and are first
checked to give the same results. They take turns, and the fastest call of each counts. In the loops
(benchmarks/bottomup_loops.py) a window is one operation of numpy; the public code visits each of its pixels, and how
long that takes stands beside it.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks import bottomup_loops as loops
from benchmarks.codec import Work, milliseconds
from benchmarks.result_file import RESULTS, store
from models.offset_loss import offset_loss
from models.tag_loss import tag_loss
from models.tradeoff_loss import tradeoff_mse
from pose.center_offsets import encode_offsets, person_centers
from pose.person_heatmaps import encode_persons

KEYPOINTS, SIGMA, BACKGROUND = 17, 2.0, 0.1


class Case:
    """Pictures with persons in them, and what networks may predict."""

    def __init__(self, images: int, persons: int, side: int) -> None:
        rng, number = np.random.default_rng(0), images * persons
        self.images, self.side = images, side
        extent = rng.uniform(8, side / 2, (number, 1, 2))
        first = rng.uniform(0, side - extent)
        drawn = {
            "keypoints": (first + extent * rng.random((number, KEYPOINTS, 2))).astype(np.float32),
            "corners": (first + extent * np.array([[0, 0], [1, 0], [1, 1], [0, 1]])).astype(np.float32),
            "heatmaps": rng.normal(0, 0.1, (images, KEYPOINTS, side, side)).astype(np.float32),
            "offsets": rng.normal(0, 10, (images, 2 * KEYPOINTS, side, side)).astype(np.float32),
        }
        self.keypoints, self.corners, self.heatmaps, self.offsets = map(torch.from_numpy, drawn.values())
        self.areas = extent.prod(axis=2)[:, 0]
        self.shown = torch.from_numpy(rng.random((number, KEYPOINTS)) < 0.7)
        self.person_image = torch.arange(images).repeat_interleave(persons)
        self.ignore = torch.from_numpy(rng.random((images, side, side)) < 0.1)
        self.valid = torch.ones(images, dtype=torch.bool)
        self.centers = person_centers(self.keypoints, self.shown, self.corners)

    def heatmap_loss(self, predicted: Tensor) -> Tensor:
        size = (self.side, self.side)
        target = encode_persons(self.keypoints, self.shown, self.person_image, self.images, size, SIGMA)
        return tradeoff_mse(predicted, target, BACKGROUND, self.valid, self.ignore)

    def offset_loss(self, predicted: Tensor) -> Tensor:
        targets = encode_offsets(
            self.keypoints,
            self.shown,
            self.centers,
            torch.ones_like(self.person_image, dtype=torch.bool),
            self.corners,
            self.person_image,
            self.images,
            (self.side, self.side),
            overlap="smaller",
            size="area",
        )
        return offset_loss(predicted, targets, self.valid)

    def tag_loss(self, predicted: Tensor) -> Tensor:
        return torch.stack(tag_loss(predicted, self.keypoints, self.shown, self.person_image, self.valid))

    def pairs(self) -> Iterator[tuple[str, Work, Work]]:
        """(name, loops, ours), after a check that they do the same."""
        yield from self._heatmap_pairs()
        yield from self._offset_pairs()
        maps, person_image = self.heatmaps.numpy(), self.person_image.numpy()

        def loop() -> tuple[float, float]:
            return loops.tag_loss(maps, self.keypoints.numpy(), self.shown.numpy(), person_image)

        np.testing.assert_allclose(self.tag_loss(self.heatmaps), loop(), rtol=1e-4)
        yield "tag loss", loop, lambda: self.tag_loss(self.heatmaps)

    def _heatmap_pairs(self) -> Iterator[tuple[str, Work, Work]]:
        maps, ignore = self.heatmaps.numpy(), self.ignore.numpy()
        persons = (self.keypoints.numpy(), self.shown.numpy(), self.person_image.numpy(), self.images, self.side)

        def loop(pixel_by_pixel: bool = False) -> float:
            return loops.tradeoff(maps, *loops.encode_persons(*persons, SIGMA, pixel_by_pixel), ignore, BACKGROUND)

        def loop_gradient() -> tuple[float, loops.Floats]:
            return loops.tradeoff_gradient(maps, *loops.encode_persons(*persons, SIGMA), ignore, BACKGROUND)

        yield from _with_gradient("heatmaps", loop, loop_gradient, self.heatmap_loss, self.heatmaps)
        name = "heatmaps: targets + loss, pixel by pixel"
        yield name, lambda: loop(pixel_by_pixel=True), lambda: self.heatmap_loss(self.heatmaps)

    def _offset_pairs(self) -> Iterator[tuple[str, Work, Work]]:
        maps = self.offsets.numpy()

        def targets() -> tuple[loops.Floats, loops.Floats]:
            persons = (self.keypoints.numpy(), self.shown.numpy(), self.centers.numpy(), self.areas)
            return loops.encode_offsets(*persons, self.person_image.numpy(), self.images, self.side)

        def loop() -> float:
            return loops.offset_loss(maps, *targets())

        def loop_gradient() -> tuple[float, loops.Floats]:
            return loops.offset_gradient(maps, *targets())

        yield from _with_gradient("offsets", loop, loop_gradient, self.offset_loss, self.offsets)


def _with_gradient(
    name: str,
    loop: Callable[[], float],
    loop_gradient: Callable[[], tuple[float, loops.Floats]],
    ours: Callable[[Tensor], Tensor],
    predicted: Tensor,
) -> Iterator[tuple[str, Work, Work]]:
    leaf = predicted.clone().requires_grad_()

    def gradient() -> Tensor:
        return torch.autograd.grad(ours(leaf), leaf)[0]

    expected, expected_gradient = loop_gradient()
    np.testing.assert_allclose(ours(predicted), expected, rtol=1e-4)
    np.testing.assert_allclose(loop(), expected, rtol=1e-4)
    np.testing.assert_allclose(gradient(), expected_gradient, atol=1e-5 * float(np.abs(expected_gradient).max()))
    yield f"{name}: targets + loss", loop, lambda: ours(predicted)
    yield f"{name}: targets + loss + gradient", loop_gradient, gradient


def measure(case: Case, rounds: int) -> dict[str, object]:
    """Ratio loops : ours, and ms of both."""
    ratios, ms = {}, {}
    for name, loop, ours in case.pairs():
        turns = [(milliseconds(loop, 1), milliseconds(ours, 5)) for _ in range(rounds)]
        best = [min(times) for times in zip(*turns, strict=True)]
        ratios[name], ms[name] = round(best[0] / best[1], 1), [round(time, 2) for time in best]
        print(f"{name:<41} {ratios[name]:6.1f} x   {best[0]:.2f} / {best[1]:.2f} ms")
    return {"ratio_to_loops": ratios, "ms_loops_and_ours": ms}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--persons", type=int, default=30)
    parser.add_argument("--side", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS / "bottomup_targets.json")
    args = parser.parse_args()
    result = {}
    for threads in sorted({1, torch.get_num_threads()}):
        torch.set_num_threads(threads)
        where = f"{args.side}x{args.side}, {threads} thread" + "s" * (threads > 1)
        print(where)
        result[where] = measure(Case(args.images, args.persons, args.side), args.rounds)
    sizes = f"--images {args.images} --persons {args.persons} --side {args.side}"
    store(args.out, result, f"python -m benchmarks.bottomup_targets {sizes} --rounds {args.rounds}")


if __name__ == "__main__":
    main()

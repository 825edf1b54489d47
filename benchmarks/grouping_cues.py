"""Grouping by regressed poses, from averaged maps to scored poses, against loops over poses and keypoints, in one run.

    python -m benchmarks.grouping_cues          # a table; stores benchmarks/results/grouping_cues.json

One image of 512x704 with 1, 5 and 30 persons, 17 keypoints; centre and pose maps of stride 4, heatmaps at the size of
the input; one thread. Both sides are first checked to give the same poses. They take turns, and the fastest call of
each counts. The loops find peaks by torch's max pooling, as public code does, and fit Gaussians by scipy.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks import grouping_cues_loops as loops
from benchmarks.codec import milliseconds
from benchmarks.result_file import RESULTS, store
from pose.absorption import absorb
from pose.candidates import find_candidates
from pose.gaussian_refinement import refine
from pose.pose_cues import PoseCues, PoseMap, find_cues
from pose.pose_nms import suppress_duplicates
from pose.scored_poses import ScoredPoses

SIZE = (512, 704)
STRIDE = 4


@dataclass(frozen=True)
class Scene:
    """Centre map (h, w) and pose map (2K, h, w) of stride 4, px of the map, and heatmaps (K, H, W), input px."""

    center: Tensor
    poses: Tensor
    heatmaps: Tensor


def make_scene(persons: int, keypoints: int = 17, noise: float = 0.01) -> Scene:
    """Persons all over the picture, one peak in ten missing, every value of every map a little off."""
    drawn = np.random.default_rng(persons)
    height, width = SIZE[0] // STRIDE, SIZE[1] // STRIDE
    centers = drawn.uniform((6, 6), (width - 6, height - 6), (persons, 2))
    joints = (centers[:, None] + drawn.normal(0, 12, (persons, keypoints, 2))).clip(0, (width - 1, height - 1))
    heights = drawn.uniform(0.4, 1, (persons, keypoints)) * (drawn.random((persons, keypoints)) > 0.1)
    y, x = np.mgrid[:height, :width]
    maps = [_gaussians(joints[:, k], heights[:, k], 2, x, y) for k in range(keypoints)]
    center = _gaussians(centers, drawn.uniform(0.4, 1, persons), 4, x, y)
    nearest = ((np.stack([x, y], -1)[:, :, None] - centers) ** 2).sum(-1).argmin(-1)
    poses = joints[nearest].reshape(height, width, -1) + drawn.normal(0, 1, (height, width, 2 * keypoints))
    stacked = torch.from_numpy(np.stack([*maps, center]) + drawn.normal(0, noise, (keypoints + 1, height, width)))
    smooth = F.avg_pool2d(stacked.float()[None], 3, 1, 1)
    large = F.interpolate(smooth[:, :-1], size=SIZE, mode="bilinear")[0]
    return Scene(smooth[0, -1].contiguous(), torch.from_numpy(poses).float().permute(2, 0, 1).contiguous(), large)


def _gaussians(at: np.ndarray, heights: np.ndarray, sigma: float, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    squared = (x - at[:, 0, None, None]) ** 2 + (y - at[:, 1, None, None]) ** 2
    highest: np.ndarray = (heights[:, None, None] * np.exp(-squared / (2 * sigma**2))).max(0)
    return highest


def our_cues(scene: Scene) -> PoseCues:
    return suppress_duplicates(find_cues([PoseMap(scene.center, scene.poses, STRIDE)]))


def our_poses(scene: Scene, cues: PoseCues) -> ScoredPoses:
    return absorb(cues, scene.heatmaps, find_candidates(scene.heatmaps[None], 30, 5, 0.01))


def pairs(scene: Scene) -> dict[str, tuple[Callable[[], object], Callable[[], object]]]:
    """Stage → (loops, ours), after a check that they do the same."""
    cues, (keypoints, centers) = our_cues(scene), loops.cues(scene.center, scene.poses, STRIDE)
    np.testing.assert_allclose(cues.keypoints, keypoints, atol=1e-3)
    poses, (moved, heat) = our_poses(scene, cues), loops.absorb(keypoints, scene.heatmaps)
    np.testing.assert_allclose(poses.keypoints, moved, atol=1e-3)
    np.testing.assert_allclose(poses.heat, heat, atol=1e-5)
    fitted, (refined, values) = refine(poses, scene.heatmaps), loops.refine(moved, heat, centers, scene.heatmaps)
    agreeing = np.abs(fitted.keypoints.numpy() - refined).max(-1) < 0.02
    assert agreeing.mean() > 0.98, agreeing.mean()
    np.testing.assert_allclose(fitted.heat.numpy()[agreeing], values[agreeing], atol=1e-3)

    def everything_by_loops() -> object:
        keypoints, centers = loops.cues(scene.center, scene.poses, STRIDE)
        return loops.refine(*loops.absorb(keypoints, scene.heatmaps), centers, scene.heatmaps)

    return {
        "cues": (lambda: loops.cues(scene.center, scene.poses, STRIDE), lambda: our_cues(scene)),
        "absorption": (lambda: loops.absorb(keypoints, scene.heatmaps), lambda: our_poses(scene, cues)),
        "refinement": (
            lambda: loops.refine(moved, heat, centers, scene.heatmaps),
            lambda: refine(poses, scene.heatmaps),
        ),
        "all": (everything_by_loops, lambda: refine(our_poses(scene, our_cues(scene)), scene.heatmaps)),
    }


def measure(persons: int, rounds: int) -> dict[str, object]:
    """Ratio loops : ours, and ms of both, of each stage."""
    ratios, ms = {}, {}
    for name, (loop, ours) in pairs(make_scene(persons)).items():
        turns = [(milliseconds(loop, 1), milliseconds(ours, 5)) for _ in range(rounds)]
        slow, fast = (min(times) for times in zip(*turns, strict=True))
        ratios[name], ms[name] = round(slow / fast, 1), [round(slow, 2), round(fast, 2)]
        print(f"{persons:>2} persons, {name:<10} {ratios[name]:6.1f} x   {slow:.2f} / {fast:.2f} ms")
    return {"ratio_to_loops": ratios, "ms_loops_and_ours": ms}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS / "grouping_cues.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    result = {f"{persons} persons": measure(persons, args.rounds) for persons in (1, 5, 30)}
    command = f"python -m benchmarks.grouping_cues --rounds {args.rounds}"
    store(args.out, result, command, ("torch", "numpy", "scipy", "opencv-python-headless"))


if __name__ == "__main__":
    main()

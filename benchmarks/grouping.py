"""Grouping by tags, and the whole way from maps to persons, against loops as in the public code, in one run.

    python -m benchmarks.grouping          # a table; stores benchmarks/results/grouping.json

One picture of 1, 5 or 30 persons with 17 keypoints, a quarter of which is missing; two tags per keypoint, as in a flip
test; on the CPU. Maps of 128x176, a network's at stride 4, and of 512x704, the same brought to the input's size, as
HigherHRNet is tested. Candidates, adjustment and refinement are first checked to be the very same on both sides. So is
the grouping, with scipy's solver in both; the loops are timed with it and with a solver in plain Python, as the public
code has.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from benchmarks import grouping_loops as loops
from benchmarks.result_file import RESULTS, store
from pose.candidates import find_candidates
from pose.tag_decoding import decode_tags
from pose.tag_grouping import HIGHER_HRNET, GroupedPersons, group_by_tags
from pose.tag_refinement import fill_missing, move_to_larger_neighbours

SIZE = (128, 176)
MAPS = {"128x176": 1, "512x704": 4}
"""How much finer than SIZE."""

Work = Callable[[], object]


def scene(persons: int, finer: int, keypoints: int = 17) -> tuple[torch.Tensor, torch.Tensor]:
    """Heatmaps (K, h, w) and tags (K, 2, h, w) of persons who stand in a grid, each in a place of their own."""
    random = np.random.default_rng(persons)
    across = int(np.ceil(np.sqrt(persons * SIZE[1] / SIZE[0])))
    cell = np.array([SIZE[1] / across, SIZE[0] / np.ceil(persons / across)])
    corner = np.stack([np.arange(persons) % across, np.arange(persons) // across], 1) * cell
    places = torch.from_numpy(corner[:, None] + random.uniform(0.1, 0.9, (persons, keypoints, 2)) * cell).float()
    peaks = torch.from_numpy(
        random.uniform(0.2, 1, (persons, keypoints)) * (random.random((persons, keypoints)) > 0.25)
    )
    y, x = torch.meshgrid(*(torch.arange(side) for side in SIZE), indexing="ij")
    distance = (x - places[..., 0, None, None]) ** 2 + (y - places[..., 1, None, None]) ** 2
    spots = peaks.float()[..., None, None] * torch.exp(-distance / 8)  # (P, K, h, w)
    own = np.cumsum(random.uniform(1, 3, persons))[random.permutation(persons), None] + random.normal(
        0, 0.15, peaks.shape
    )
    highest, owner = spots.max(0)
    tags = torch.from_numpy(own).float().gather(0, owner.flatten(1).T).T.view_as(highest)
    tags = tags * (highest / 0.05).clamp(max=1)  # fades into the background
    heatmaps = highest + torch.from_numpy(random.normal(0, 0.003, highest.shape)).float()
    both = tags[:, None] + torch.from_numpy(random.normal(0, 0.05, (keypoints, 2, *SIZE))).float()
    maps = F.interpolate(torch.cat([heatmaps[:, None], both], 1), scale_factor=float(finer), mode="bilinear")
    return maps[:, 0].contiguous(), maps[:, 1:].contiguous()


def table(persons: GroupedPersons) -> NDArray[np.float32]:
    """(P, K, 3 + T), as the loops have them."""
    return np.concatenate([persons.positions, persons.scores[..., None], persons.tags], axis=2)


def scipy_assignment(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    return list(zip(*(side.tolist() for side in linear_sum_assignment(cost)), strict=True))


def pairs(heatmaps: torch.Tensor, tags: torch.Tensor) -> dict[str, tuple[Work, Work]]:
    """What is measured → (loops, ours), after a check that they do the same."""
    settings = HIGHER_HRNET
    heat, channels_last = heatmaps.numpy(), tags.movedim(1, 3).contiguous().numpy()
    found = loops.candidates(heatmaps, tags, settings)
    ours = find_candidates(heatmaps[None])
    kept = np.where(found[1] > settings.detection_threshold, found[1], 0)
    np.testing.assert_array_equal(ours.scores[0].numpy(), kept)
    found = (ours.positions[0].numpy(), kept, found[2])
    alike = group_by_tags(*found, replace(settings, break_ties=False))
    np.testing.assert_array_equal(table(alike), loops.group(found, settings, unpadded))
    grouped = group_by_tags(*found)
    refined = move_to_larger_neighbours(heatmaps, fill_missing(heatmaps, tags, grouped))
    adjusted = loops.adjust(table(grouped), heat, settings.shift)
    expected = loops.refine(adjusted, heat, channels_last, settings.shift)
    np.testing.assert_array_equal(table(refined)[..., :3], expected[..., :3])

    def whole() -> object:
        persons = loops.group(loops.candidates(heatmaps, tags, settings), settings, loops.hungarian)
        return loops.refine(loops.adjust(persons, heat, settings.shift), heat, channels_last, settings.shift)

    def ours_grouped() -> object:
        return group_by_tags(*found)

    return {
        "candidates": (lambda: loops.candidates(heatmaps, tags, settings), lambda: find_candidates(heatmaps[None])),
        "grouping": (lambda: loops.group(found, settings, loops.hungarian), ours_grouped),
        "grouping, loops with scipy": (lambda: loops.group(found, settings, scipy_assignment), ours_grouped),
        "adjustment": (
            lambda: loops.adjust(table(grouped), heat, settings.shift),
            lambda: move_to_larger_neighbours(heatmaps, grouped),
        ),
        "refinement": (
            lambda: loops.refine(adjusted, heat, channels_last, settings.shift),
            lambda: fill_missing(heatmaps, tags, grouped),
        ),
        "whole": (whole, lambda: decode_tags(heatmaps[None], tags[None])),
    }


def unpadded(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """scipy's assignment without the columns that are padding, so that it ties as ours does."""
    return scipy_assignment(cost[:, cost[0] < 1e10])


def milliseconds(work: Work, seconds: float = 0.05) -> float:
    """Of the fastest call within some time, one at least."""
    fastest, until = float("inf"), time.perf_counter() + seconds
    while True:
        started = time.perf_counter()
        work()
        ended = time.perf_counter()
        fastest = min(fastest, ended - started)
        if ended > until:
            return 1000 * fastest


def in_turns(works: Mapping[str, tuple[Work, Work]], rounds: int) -> dict[str, dict[str, object]]:
    """Ratio loops : ours and ms of both, of the fastest calls; both take turns."""
    ratios, ms = {}, {}
    for name, both in works.items():
        turns = [[milliseconds(work) for work in both] for _ in range(rounds)]
        slow, fast = (min(times) for times in zip(*turns, strict=True))
        ratios[name], ms[name] = round(slow / fast, 1), [round(slow, 2), round(fast, 2)]
        print(f"  {name:<28} {ratios[name]:7.1f} x   {slow:.2f} / {fast:.2f} ms")
    return {"ratio_to_loops": ratios, "ms_loops_and_ours": ms}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--persons", type=int, nargs="+", default=[1, 5, 30])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=RESULTS / "grouping.json")
    args = parser.parse_args()
    torch.set_num_threads(1)
    result = {}
    for name, finer in MAPS.items():
        for persons in args.persons:
            where = f"{name}, {persons} person" + "s" * (persons > 1)
            print(where)
            result[where] = in_turns(pairs(*scene(persons, finer)), args.rounds)
    command = f"python -m benchmarks.grouping --rounds {args.rounds}"
    store(args.out, result, command, ("torch", "numpy", "scipy", "opencv-python-headless"))


if __name__ == "__main__":
    main()

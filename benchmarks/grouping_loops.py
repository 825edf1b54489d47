"""Associative embedding decoded as the public code does it: loops over persons, keypoints and candidates."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from pose.tag_grouping import TagGrouping

Floats = NDArray[np.float32]
Assign = Callable[[NDArray[np.float64]], list[tuple[int, int]]]
Found = tuple[NDArray[np.int64], Floats, Floats]
"""Candidates: positions (K, N, 2), scores (K, N), tags (K, N, T)."""


def candidates(heatmaps: torch.Tensor, tags: torch.Tensor, settings: TagGrouping) -> Found:
    """Of heatmaps (K, h, w) and tags (K, T, h, w); max-pooling and the N largest, which were no loops there either."""
    pooled = F.max_pool2d(heatmaps, settings.pool, 1, settings.pool // 2)
    peaks = (heatmaps * (pooled == heatmaps).float()).flatten(1)
    scores, places = peaks.topk(settings.max_persons, dim=1)
    found_tags = torch.stack([one.flatten(1).gather(1, places) for one in tags.unbind(1)], dim=2)
    positions = torch.stack([places % heatmaps.shape[2], places // heatmaps.shape[2]], dim=2)
    return positions.numpy(), scores.numpy(), found_tags.numpy()


def hungarian(cost: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Assignment of every row (rows ≤ columns) at the least cost, in plain Python."""
    rows, columns = cost.shape
    values = cost.tolist()
    of_row, of_column = [0.0] * (rows + 1), [0.0] * (columns + 1)
    owner, before = [0] * (columns + 1), [0] * (columns + 1)
    for row in range(1, rows + 1):
        owner[0], column = row, 0
        slack, seen = [float("inf")] * (columns + 1), [False] * (columns + 1)
        while owner[column]:
            seen[column], current, step, following = True, owner[column], float("inf"), 0
            for j in range(1, columns + 1):
                if seen[j]:
                    continue
                reduced = values[current - 1][j - 1] - of_row[current] - of_column[j]
                if reduced < slack[j]:
                    slack[j], before[j] = reduced, column
                if slack[j] < step:
                    step, following = slack[j], j
            for j in range(columns + 1):
                if seen[j]:
                    of_row[owner[j]] += step
                    of_column[j] -= step
                else:
                    slack[j] -= step
            column = following
        while column:
            owner[column], column = owner[before[column]], before[column]
    return sorted((owner[j] - 1, j - 1) for j in range(1, columns + 1) if owner[j])


def group(found: Found, settings: TagGrouping, assign: Assign) -> Floats:
    """Persons (P, K, 3 + T): x, y, score, tags. They are kept in a dictionary by their first tag."""
    positions, scores, tags = found
    persons: dict[float, Floats] = {}
    members: dict[float, list[Floats]] = {}
    for kind in settings.order(len(scores)):
        kept = scores[kind] > settings.detection_threshold
        its_tags = tags[kind][kept]
        entries = np.concatenate([positions[kind][kept], scores[kind][kept][:, None], its_tags], 1)
        if not len(entries):
            continue
        keys = list(persons)[: settings.max_persons]
        partner = {}
        if keys:
            means = np.array([np.mean(members[key], axis=0) for key in keys])
            distance = np.linalg.norm(entries[:, None, 3:] - means[None], axis=2)
            cost = np.round(distance) * 100 - entries[:, 2:3]
            if len(entries) > len(keys):
                cost = np.concatenate([cost, np.full((len(entries), len(entries) - len(keys)), 1e10)], axis=1)
            for row, column in assign(cost):
                if column < len(keys) and distance[row, column] < settings.tag_threshold:
                    partner[row] = keys[column]
        for row, (entry, tag) in enumerate(zip(entries, its_tags, strict=True)):
            key = partner.get(row, tag[0])
            persons.setdefault(key, np.zeros((len(scores), entries.shape[1]), np.float32))[kind] = entry
            members[key] = [*members[key], tag] if row in partner else [tag]
    shape = (0, len(scores), 3 + tags.shape[2])
    return np.array(list(persons.values())) if persons else np.zeros(shape, np.float32)


def _quarter(one: Floats, x: int, y: int) -> tuple[float, float]:
    height, width = one.shape
    right, left = one[y, min(x + 1, width - 1)], one[y, max(x - 1, 0)]
    below, above = one[min(y + 1, height - 1), x], one[max(y - 1, 0), x]
    return 0.25 if right > left else -0.25, 0.25 if below > above else -0.25


def adjust(persons: Floats, heatmaps: Floats, shift: float) -> Floats:
    """Persons whose keypoints moved towards the larger neighbour in heatmaps (K, h, w)."""
    persons = persons.copy()
    for person in persons:
        for kind, keypoint in enumerate(person):
            if keypoint[2] > 0:
                dx, dy = _quarter(heatmaps[kind], int(keypoint[0]), int(keypoint[1]))
                keypoint[:2] += dx + shift, dy + shift
    return persons


def refine(persons: Floats, heatmaps: Floats, tags: Floats, shift: float) -> Floats:
    """Persons whose missing keypoints stand where heatmap (K, h, w) − round(tag distance) is largest.

    As in the public code, every keypoint of every person is looked for; tags are (K, h, w, T), its layout.
    """
    persons = persons.copy()
    for person in persons:
        there = [tags[k, int(y), int(x)] for k, (x, y, score) in enumerate(person[:, :3]) if score > 0]
        mean = np.mean(there, axis=0)
        for kind, keypoint in enumerate(person):
            distance = ((tags[kind] - mean) ** 2).sum(axis=2) ** 0.5
            row, column = np.unravel_index(np.argmax(heatmaps[kind] - np.round(distance)), distance.shape)
            y, x = int(row), int(column)
            if keypoint[2] == 0 and heatmaps[kind, y, x] > 0:
                dx, dy = _quarter(heatmaps[kind], x, y)
                keypoint[:3] = x + dx + shift, y + dy + shift, heatmaps[kind, y, x]
    return persons

"""Grouped persons, refined from the heatmaps: missing keypoints filled in, all moved towards the larger neighbour."""

from dataclasses import replace

import torch
from torch import Tensor

from pose.tag_grouping import GroupedPersons
from pose.tag_search import best_pixels


def fill_missing(heatmaps: Tensor, tags: Tensor, persons: GroupedPersons) -> GroupedPersons:
    """Persons whose missing keypoints stand where heatmap − round(‖tags − person's mean tags‖) is largest.

    A keypoint stays missing if the heatmap is not above 0 there. Of equal places the first in reading order counts.

    Args:
        heatmaps: (K, h, w).
        tags: (K, T, h, w).
    """
    device = heatmaps.device
    scores, person_tags = (torch.from_numpy(part.copy()).to(device) for part in (persons.scores, persons.tags))
    positions = torch.from_numpy(persons.positions.copy()).to(device)
    person, keypoint = (scores == 0).nonzero().unbind(1)
    means = person_tags.sum(1) / (scores > 0).sum(1, keepdim=True)
    x, y = best_pixels(heatmaps, tags, keypoint, means[person]).unbind(1)
    value = heatmaps[keypoint, y, x]
    filled = value > 0
    person, keypoint, x, y = person[filled], keypoint[filled], x[filled], y[filled]
    scores[person, keypoint] = value[filled]
    positions[person, keypoint] = torch.stack([x, y], dim=1).float()
    person_tags[person, keypoint] = tags[keypoint, :, y, x]
    return replace(
        persons, positions=positions.cpu().numpy(), scores=scores.cpu().numpy(), tags=person_tags.cpu().numpy()
    )


def move_to_larger_neighbours(heatmaps: Tensor, persons: GroupedPersons, shift: float = 0.5) -> GroupedPersons:
    """Persons whose keypoints, at whole pixels of heatmaps (K, h, w), moved by ±0.25 px and by `shift` in x and y.

    Towards the right and the bottom only if the map is larger there than on the other side; beyond the edge it is as at
    the edge.
    """
    _, height, width = heatmaps.shape
    x, y = torch.from_numpy(persons.positions).to(heatmaps.device).long().unbind(2)
    keypoint = torch.arange(len(heatmaps), device=heatmaps.device)
    right, left = heatmaps[keypoint, y, (x + 1).clamp(max=width - 1)], heatmaps[keypoint, y, (x - 1).clamp(min=0)]
    below, above = heatmaps[keypoint, (y + 1).clamp(max=height - 1), x], heatmaps[keypoint, (y - 1).clamp(min=0), x]
    towards = torch.stack([right > left, below > above], dim=2).cpu().numpy()
    moved = persons.positions + (towards * 0.5 - 0.25 + shift).astype("float32")
    return replace(persons, positions=moved * (persons.scores > 0)[..., None])

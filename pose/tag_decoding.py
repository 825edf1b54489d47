"""Heatmaps and tag maps → persons: associative embedding, from the networks' maps to keypoints."""

from torch import Tensor

from pose.candidates import find_candidates
from pose.tag_grouping import HIGHER_HRNET, GroupedPersons, TagGrouping, group_by_tags
from pose.tag_refinement import fill_missing, move_to_larger_neighbours


def decode_tags(heatmaps: Tensor, tags: Tensor, settings: TagGrouping = HIGHER_HRNET) -> list[GroupedPersons]:
    """The persons of each of B pictures, in heatmap px.

    Args:
        heatmaps: (B, K, h, w).
        tags: (B, K, T, h, w), of the same size; a flip test has T = 2, the tags of the mirrored picture mirrored back.
    """
    if tags.shape[:2] + tags.shape[3:] != heatmaps.shape:
        raise ValueError(f"tags must be (B, K, T, h, w) for heatmaps {tuple(heatmaps.shape)}, got {tuple(tags.shape)}")
    heatmaps, tags = heatmaps.detach().float(), tags.detach().float()
    found = find_candidates(heatmaps, settings.max_persons, settings.pool, settings.detection_threshold)
    place = found.positions[..., 1] * heatmaps.shape[3] + found.positions[..., 0]
    found_tags = tags.flatten(3).gather(3, place[:, :, None].expand(-1, -1, tags.shape[2], -1)).mT
    lists = zip(*(part.cpu().numpy() for part in (found.positions, found.scores, found_tags)), strict=True)
    grouped = [group_by_tags(places, scores, its_tags, settings) for places, scores, its_tags in lists]
    return [_refined(*maps, settings) for maps in zip(heatmaps, tags, grouped, strict=True)]


def _refined(heatmaps: Tensor, tags: Tensor, persons: GroupedPersons, settings: TagGrouping) -> GroupedPersons:
    """Persons grouped from heatmaps (K, h, w) and tags (K, T, h, w), refined and adjusted as the settings say.

    The public code adjusts first and refines then; as keypoints filled in are moved by the same rule, it is the same.
    """
    if settings.refine:
        persons = fill_missing(heatmaps, tags, persons)
    return move_to_larger_neighbours(heatmaps, persons, settings.shift) if settings.adjust else persons

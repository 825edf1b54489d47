"""The loss on tags, by which associative embedding tells persons apart (Newell et al., NeurIPS 2017)."""

import torch
from torch import Tensor

from models.batch_mean import MeanOverRanks, alone, batch_mean
from pose.person_heatmaps import inside_map


def tag_loss(
    tags: Tensor,
    keypoints: Tensor,
    shown: Tensor,
    person_image: Tensor,
    valid: Tensor,
    over_ranks: MeanOverRanks = alone,
) -> tuple[Tensor, Tensor]:
    """How far apart the tags of one person are, and how near those of different persons: (pull, push), scalars.

    In an image of N persons whose mean tags are t̄: pull = (1/N) Σ_n mean_k (t_nk − t̄_n)², and
    push = ½ Σ_{i≠j} exp(−(t̄_i − t̄_j)²) / (N (N − 1)), 0 without two persons; both are means over the images. Persons
    without a keypoint that is shown in the map do not count.

    Args:
        tags: (B, K, h, w). A tag is read at the pixel (floor(x), floor(y)).
        keypoints: (M, K, 2), heatmap px; values of those that are not shown are ignored, NaN included.
        shown: (M, K) bool. person_image: (M,) int64.
        valid: (B,) bool; other rows, and persons in them, do not count.
        over_ranks: see `models.batch_mean`.
    """
    shown = shown & inside_map(keypoints, (tags.shape[2], tags.shape[3]))
    means, spreads = _of_persons(_read(tags, keypoints, shown, person_image), shown)
    counted = shown.any(dim=1)
    # Sums over an image as sums of products with 0 and 1: the same in every run, also on a GPU.
    members = ((torch.arange(len(tags), device=tags.device)[:, None] == person_image) & counted).to(means.dtype)
    number = members.sum(dim=1)
    pull = (members * spreads).sum(dim=1) / number.clamp(min=1)
    pairs = ((person_image[:, None] == person_image) & counted).fill_diagonal_(False)
    near = (torch.exp(-(means[:, None] - means).square()) * pairs).sum(dim=1)
    push = 0.5 * (members * near).sum(dim=1) / (number * (number - 1)).clamp(min=1)
    return batch_mean(pull, valid, over_ranks), batch_mean(push, valid, over_ranks)


def _read(tags: Tensor, keypoints: Tensor, shown: Tensor, person_image: Tensor) -> Tensor:
    """Tags (M, K) of keypoints, in single precision at least; any tags of those not shown."""
    x, y = torch.where(shown[..., None], keypoints, 0.0).long().unbind(-1)
    channel = torch.arange(tags.shape[1], device=tags.device)
    return tags[person_image[:, None], channel, y, x].to(torch.promote_types(tags.dtype, torch.float32))


def _of_persons(tags: Tensor, shown: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and mean squared deviation (M,) of each person's tags (M, K) that are shown."""
    number = shown.sum(dim=1).clamp(min=1)
    means = (tags * shown).sum(dim=1) / number
    return means, ((tags - means[:, None]).square() * shown).sum(dim=1) / number

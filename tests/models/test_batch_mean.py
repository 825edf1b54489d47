"""Losses of a batch that is dealt to two processes: their mean is the loss of the whole, with the same gradient."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from models.batch_mean import MeanOverRanks, alone
from models.losses import joints_mse
from models.offset_loss import offset_loss
from models.tag_loss import tag_loss
from models.tradeoff_loss import tradeoff_mse
from pose.center_offsets import OffsetTargets

LOST_ROWS = (3,)  # so that the shares count differently


def _valid() -> Tensor:
    valid = torch.ones(6, dtype=torch.bool)
    valid[list(LOST_ROWS)] = False
    return valid


def _maps(channels: int = 3) -> Tensor:
    return torch.randn(6, channels, 5, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def _joints(maps: Tensor, rows: slice, over_ranks: MeanOverRanks) -> Tensor:
    weights = torch.rand(6, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    return joints_mse(maps[rows], maps.detach().flip(0)[rows], weights[rows], _valid()[rows], 2, over_ranks)


def _tradeoff(maps: Tensor, rows: slice, over_ranks: MeanOverRanks) -> Tensor:
    return tradeoff_mse(maps[rows], maps.detach().flip(0)[rows], 0.1, _valid()[rows], over_ranks=over_ranks)


def _offsets(maps: Tensor, rows: slice, over_ranks: MeanOverRanks) -> Tensor:
    """One person per image; in image i, i + 1 positions have a target."""
    images = torch.arange(*rows.indices(6))
    places = (images - images[0])[:, None] * 20 + torch.arange(7)
    offsets = torch.randn(6, 7, 2, 2, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    weights = (torch.arange(7) <= images[:, None]).double()[..., None].expand(-1, -1, 2)
    return offset_loss(
        maps[rows], OffsetTargets(places, offsets[images], weights), _valid()[rows], over_ranks=over_ranks
    )


def _tags(part: int) -> Callable[[Tensor, slice, MeanOverRanks], Tensor]:
    def loss(maps: Tensor, rows: slice, over_ranks: MeanOverRanks) -> Tensor:
        images = torch.arange(*rows.indices(6)).repeat_interleave(2)
        points = torch.rand(12, 3, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64) * 3
        own = points[2 * rows.indices(6)[0] : 2 * rows.indices(6)[1]]
        shown = torch.ones(len(images), 3, dtype=torch.bool)
        return tag_loss(maps[rows], own, shown, images - images[0], _valid()[rows], over_ranks)[part]

    return loss


@pytest.mark.parametrize(
    ("loss", "channels"),
    [(_joints, 3), (_tradeoff, 3), (_offsets, 4), (_tags(0), 3), (_tags(1), 3)],
    ids=["joints", "tradeoff", "offsets", "pull", "push"],
)
def test_the_mean_of_the_shares_losses_is_the_loss_of_the_whole(
    loss: Callable[[Tensor, slice, MeanOverRanks], Tensor], channels: int
) -> None:
    whole, dealt = _maps(channels).requires_grad_(), _maps(channels).requires_grad_()
    expected = loss(whole, slice(0, 6), alone)
    expected.backward()

    shares = slice(0, 2), slice(2, 6)
    counts: list[list[Tensor]] = [[], []]

    def note(share: int) -> MeanOverRanks:
        def noted(number: Tensor) -> Tensor:
            counts[share].append(number)
            return number

        return noted

    for share, rows in enumerate(shares):
        loss(dealt.detach(), rows, note(share))
    means = [torch.stack(pair).double().mean() for pair in zip(*counts, strict=True)]
    losses = []
    for rows in shares:
        answers = iter(means)
        losses.append(loss(dealt, rows, lambda number, answers=answers: next(answers)))
    found = torch.stack(losses).mean()
    found.backward()
    assert counts[0] != counts[1]
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(dealt.grad, whole.grad)
    assert float(expected.detach()) != 0


def test_a_batch_without_anything_that_counts_has_no_loss() -> None:
    maps = _maps().requires_grad_()
    loss = joints_mse(maps, maps.detach() + 1, torch.ones(6, 3), torch.zeros(6, dtype=torch.bool))
    loss.backward()
    assert float(loss.detach()) == 0
    assert not maps.grad.any()

import pytest
import torch
from torch import Tensor

from pose.pose_cues import PoseCues
from pose.pose_nms import suppress_duplicates


def _at(x: list[float], scores: list[float], keypoints: int = 17) -> PoseCues:
    """Poses all of whose keypoints lie at the same place (x, 0)."""
    places = torch.tensor(x).reshape(-1, 1, 1) * torch.tensor([1.0, 0.0])
    return PoseCues(places.expand(-1, keypoints, -1).clone(), torch.tensor(scores))


def _left(cues: PoseCues) -> list[float]:
    left: list[float] = cues.keypoints[:, 0, 0].tolist()
    return left


def test_the_higher_score_of_two_duplicates_stays() -> None:
    kept = suppress_duplicates(_at([0, 9.9, 100], [0.5, 0.9, 0.2]))
    torch.testing.assert_close(kept.keypoints[:, 3, 0], torch.tensor([9.9, 100]))
    torch.testing.assert_close(kept.center_scores, torch.tensor([0.9, 0.2]))


def test_ten_px_apart_are_two_persons() -> None:
    assert _left(suppress_duplicates(_at([0, 10], [0.5, 0.9]))) == [0, 10]


@pytest.mark.parametrize(("keypoints", "near", "kept"), [(17, 10, 2), (17, 11, 1), (14, 10, 2), (14, 11, 1)])
def test_more_than_ten_keypoints_must_be_near(keypoints: int, near: int, kept: int) -> None:
    cues = _at([0, 0], [0.5, 0.9], keypoints)
    cues.keypoints[1, near:] += 500
    assert len(suppress_duplicates(cues).center_scores) == kept


def test_skeletons_of_few_keypoints_have_no_duplicates() -> None:
    assert len(suppress_duplicates(_at([0, 0], [0.5, 0.9], 5)).center_scores) == 2


@pytest.mark.parametrize(
    ("scores", "left"),
    [
        ([0.9, 0.5, 0.8], [0, 16]),  # 0 takes 8; 16's best neighbour is itself, and stays
        ([0.5, 0.9, 0.8], [8]),  # 8 is 0's best; 16 is not among 0's neighbours, but its own best is gone
        ([0.5, 0.6, 0.9], [8, 16]),  # 0 finds 8 the best and drops only 0 and 8; 16 stays beside it
    ],
)
def test_chains_end_as_in_the_public_code(scores: list[float], left: list[float]) -> None:
    """0, 8, 16: the middle one is a duplicate of both others."""
    assert _left(suppress_duplicates(_at([0, 8, 16], scores))) == left


def _as_public(cues: PoseCues) -> list[int]:
    distances = (cues.keypoints[:, None] - cues.keypoints[None]).norm(dim=-1)
    alike = [{j for j in range(len(row)) if (row[j] < 10).sum() > 10} for row in distances]
    kept: list[int] = []
    done: set[int] = set()
    for i, group in enumerate(alike):
        best = max(sorted(group), key=lambda j: float(cues.center_scores[j]))
        if i not in done and best not in done:
            kept.append(best)
            done |= group
    return kept


@pytest.mark.parametrize("seed", range(20))
def test_random_crowds_end_as_in_the_public_code(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    cues = PoseCues(
        torch.rand(25, 1, 2, generator=generator) * 60 + 3 * torch.rand(25, 17, 2, generator=generator),
        torch.rand(25, generator=generator),
    )
    expected = _as_public(cues)
    assert 1 < len(expected) < 25
    torch.testing.assert_close(suppress_duplicates(cues).center_scores, cues.center_scores[expected])


def test_at_most_thirty_persons_stay_the_best() -> None:
    scores: Tensor = torch.rand(40, generator=torch.Generator().manual_seed(0))
    kept = suppress_duplicates(_at([100.0 * i for i in range(40)], scores.tolist()))
    torch.testing.assert_close(kept.center_scores, scores.sort(descending=True).values[:30])
    assert _left(kept) == (100.0 * scores.argsort(descending=True)[:30]).tolist()


def test_nobody() -> None:
    kept = suppress_duplicates(PoseCues(torch.zeros(0, 17, 2), torch.zeros(0)))
    assert kept.keypoints.shape == (0, 17, 2)
    assert kept.center_scores.shape == (0,)

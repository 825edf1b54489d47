"""The tag loss against loops over images, persons and keypoints, and by hand."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from models.tag_loss import tag_loss

B, K, H, W = 3, 4, 7, 9


def by_loops(
    tags: Tensor, keypoints: Tensor, shown: Tensor, person_image: Tensor, valid: Tensor
) -> tuple[float, float]:
    pulls, pushes = [], []
    for image in range(len(tags)):
        means, spreads = [], []
        for m in np.flatnonzero(person_image.numpy() == image):
            found = []
            for k in range(K):
                x, y = keypoints[m, k].tolist()
                if shown[m, k] and 0 <= x < W and 0 <= y < H:
                    found.append(float(tags[image, k, int(y), int(x)]))
            if found:
                means.append(sum(found) / len(found))
                spreads.append(sum((tag - means[-1]) ** 2 for tag in found) / len(found))
        number = len(means)
        near = sum(math.exp(-((means[i] - means[j]) ** 2)) for i in range(number) for j in range(number) if i != j)
        if valid[image]:
            pulls.append(sum(spreads) / max(1, number))
            pushes.append(0.5 * near / max(1, number * (number - 1)))
    return sum(pulls) / max(1, len(pulls)), sum(pushes) / max(1, len(pushes))


def crowd(persons: int, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    keypoints = torch.rand(persons, K, 2, generator=generator) * torch.tensor([W + 4, H + 4]) - 2
    shown = torch.rand(persons, K, generator=generator) < 0.5
    keypoints[~shown] = float("nan")
    return keypoints, shown, torch.randint(0, B, (persons,), generator=generator)


def random_tags() -> Tensor:
    return torch.randn(B, K, H, W, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("persons", [0, 1, 2, 5, 25])
@pytest.mark.parametrize("valid", [[True, True, True], [True, False, True], [False, False, False]])
def test_it_equals_loops(persons: int, valid: list[bool]) -> None:
    rows = torch.tensor(valid)
    found = tag_loss(random_tags(), *crowd(persons, persons), rows)
    expected = by_loops(random_tags(), *crowd(persons, persons), rows)
    torch.testing.assert_close(torch.stack(found).tolist(), list(expected), rtol=1e-5, atol=1e-7)


def people(tags: list[list[float]]) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Persons of one image with these tags."""
    maps = torch.zeros(1, len(tags[0]), len(tags), 1)
    maps[0, :, :, 0] = torch.tensor(tags).mT
    keypoints = torch.tensor([[[0.5, row + 0.5]] * len(tags[0]) for row in range(len(tags))])
    shown = torch.ones(keypoints.shape[:2], dtype=torch.bool)
    return maps, keypoints, shown, torch.zeros(len(tags), dtype=torch.long), torch.ones(1, dtype=torch.bool)


def test_two_persons_by_hand() -> None:
    pull, push = tag_loss(*people([[1.0, 3.0], [2.5, 2.5]]))
    assert float(pull) == pytest.approx((1 + 0) / 2)
    assert float(push) == pytest.approx(0.5 * 2 * math.exp(-0.25) / 2)


def test_one_person_is_only_pulled_together() -> None:
    pull, push = tag_loss(*people([[1.0, 3.0]]))
    assert (float(pull), float(push)) == (1, 0)


def test_images_without_anybody_count_in_the_mean() -> None:
    maps, keypoints, shown, image, _ = people([[1.0, 3.0]])
    pull, _ = tag_loss(maps.repeat(4, 1, 1, 1), keypoints, shown, image, torch.tensor([True, True, True, False]))
    assert float(pull) == pytest.approx(1 / 3)


def test_gradients_are_those_of_finite_differences() -> None:
    valid = torch.tensor([True, True, False])
    assert torch.autograd.gradcheck(
        lambda tags: tag_loss(tags, *crowd(6), valid), random_tags().double().requires_grad_()
    )


@pytest.mark.parametrize("persons", [0, 1])
def test_with_nobody_to_compare_gradients_are_finite(persons: int) -> None:
    tags = random_tags().requires_grad_()
    keypoints, shown, image = crowd(persons)
    pull, push = tag_loss(tags, keypoints, shown & False, image, torch.ones(B, dtype=torch.bool))
    assert pull == push == 0
    assert torch.equal(torch.autograd.grad(pull + push, tags)[0], torch.zeros(B, K, H, W))


def test_half_precision_tags_are_compared_in_single_precision() -> None:
    rows = torch.ones(B, dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16):
        found = tag_loss(random_tags().bfloat16(), *crowd(9), rows)
    expected = tag_loss(random_tags().bfloat16().float(), *crowd(9), rows)
    assert torch.equal(torch.stack(found), torch.stack(expected))
    assert found[0].dtype == torch.float32

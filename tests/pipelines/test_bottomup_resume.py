"""The bottom-up loader repeats itself exactly, and goes on from any step on any number of ranks."""

import itertools

import pytest
import torch

from pipelines.bottomup import BottomUpLoader, BottomUpSettings
from pipelines.bottomup_augmentation import BottomUpAugmentation
from pipelines.bottomup_batch import BottomUpBatch
from pipelines.bottomup_samples import BottomUpSamples

SPECS = BottomUpAugmentation(
    scale_min=0.75, scale_max=1.5, max_rotation=30, translation_factor=0.2, flip_probability=0.5
)
EPOCHS = 3


@pytest.fixture
def make_loader(mini_coco, mini_crowdpose):
    """Over two splits, of which the second gives half of its pictures to each epoch."""

    def make(**options):
        samples = BottomUpSamples([mini_coco, mini_crowdpose], weights=[1, 0.5])
        options = {"crop_size": (32, 32), "batch_size": 6, "augmentation": SPECS, "seed": 2} | options
        return BottomUpLoader(samples, BottomUpSettings(**options))

    return make


def take(loader, count):
    epochs = itertools.chain.from_iterable(itertools.repeat(loader))
    return list(itertools.islice(epochs, count))


def same(batches, expected):
    """Bit by bit, crops and masks included."""
    assert len(batches) == len(expected)
    for batch, other in zip(batches, expected, strict=True):
        for name in BottomUpBatch.__dataclass_fields__:
            assert torch.equal(getattr(batch, name), getattr(other, name)), name
    return True


@pytest.mark.parametrize("window", [0, 5])
def test_resuming_at_any_step_gives_the_remaining_batches(make_loader, window):
    loader = make_loader(window=window)
    steps = EPOCHS * len(loader)
    whole = take(loader, steps)
    assert len(loader) == 4
    used = make_loader(window=window)
    for consumed in range(1, steps):
        before = make_loader(window=window)
        take(before, consumed)
        state = before.state_dict()
        assert state == {"step": consumed, "window": window}
        for resumed in (make_loader(), used):
            resumed.load_state_dict(state)
            assert same(take(resumed, min(2, steps - consumed)), whole[consumed : consumed + 2])


def test_resuming_on_two_ranks(make_loader):
    whole = take(make_loader(), 8)
    for rank in (0, 1):
        resumed = make_loader(rank=rank, world_size=2)
        resumed.load_state_dict({"step": 3})
        for batch, expected in zip(take(resumed, 5), whole[3:], strict=True):
            valid = expected.valid[3 * rank : 3 * rank + 3]
            assert torch.equal(batch.valid, valid)
            for name in ("crops", "ignore", "image_to_crop", "image_ids"):
                assert torch.equal(getattr(batch, name)[valid], getattr(expected, name)[3 * rank : 3 * rank + 3][valid])
            own = (expected.person_image >= 3 * rank) & (expected.person_image < 3 * rank + 3)
            assert torch.equal(batch.person_image, expected.person_image[own] - 3 * rank)
            assert torch.equal(batch.keypoints, expected.keypoints[own])


def test_any_step_can_be_prepared_alone(make_loader):
    loader = make_loader()
    whole = take(make_loader(), 8)
    for step in (7, 0, 4):
        batch = loader.prepare(step).batch
        for name in ("image_to_crop", "image_ids", "person_image", "keypoints", "areas", "valid"):
            assert torch.equal(getattr(batch, name), getattr(whole[step], name))
    assert loader.state_dict() == {"step": 0, "window": 0}

"""The loader repeats itself exactly: twice, with other threads, and from any step on."""

import itertools

import pytest
import torch

from pipelines.augmentation import Augmentation

EVERYTHING = Augmentation(0.35, 45, 0.6, 0.5, 0.3, translation_factor=0.1)
FIELDS = ("crops", "keypoints", "visibility", "image_to_crop", "instance_ids", "image_ids", "box_areas", "valid")
EPOCHS = 3


def forever(loader):
    while True:
        yield from loader


def take(loader, count):
    return list(itertools.islice(forever(loader), count))


def same(batches, expected):
    """Bit by bit, crops included."""
    assert len(batches) == len(expected)
    for batch, other in zip(batches, expected, strict=True):
        for name in FIELDS:
            assert torch.equal(getattr(batch, name), getattr(other, name)), name
    return True


@pytest.fixture
def whole(make_loader):
    """The batches of three epochs."""
    loader = make_loader(augmentation=EVERYTHING, seed=2)
    return take(loader, EPOCHS * len(loader))


def test_two_runs_are_alike(make_loader, whole):
    assert same(take(make_loader(augmentation=EVERYTHING, seed=2), len(whole)), whole)


def test_batches_stay_valid_while_later_ones_are_made_and_after_closing(make_loader, whole, device):
    """The pixels of a batch are not overwritten by the next: each equals its copy."""
    loader = make_loader(augmentation=EVERYTHING, seed=2, device=device)
    kept, copies = [], []
    for batch in take(loader, len(whole)):
        kept.append(batch.crops)
        copies.append(batch.crops.clone())
    loader.close()
    assert all(torch.equal(a, b) for a, b in zip(kept, copies, strict=True))
    assert len({crops.data_ptr() for crops in kept}) == len(kept)


@pytest.mark.parametrize("options", [{"prefetch": 1}, {"prefetch": 5}, {"threads": 1}, {"threads": 4, "prefetch": 3}])
def test_threads_and_prefetch_change_nothing(make_loader, whole, options):
    assert same(take(make_loader(augmentation=EVERYTHING, seed=2, **options), len(whole)), whole)


def test_another_seed_changes_order_and_crops(make_loader, whole):
    other = take(make_loader(augmentation=EVERYTHING, seed=3), len(whole))
    assert not any(torch.equal(a.instance_ids, b.instance_ids) for a, b in zip(other, whole, strict=True))


def test_resuming_at_any_step_gives_the_remaining_batches(make_loader, whole):
    """Inside an epoch, at its border and one before it; in a new loader and in one that was elsewhere."""
    steps = len(whole) // EPOCHS
    used = make_loader(augmentation=EVERYTHING, seed=2)
    for consumed in (1, 2, steps - 1, steps, steps + 1, 2 * steps, len(whole) - 1):
        before = make_loader(augmentation=EVERYTHING, seed=2)
        take(before, consumed)
        state = before.state_dict()
        before.close()
        for loader in (make_loader(augmentation=EVERYTHING, seed=2), used):
            loader.load_state_dict(state)
            assert same(take(loader, len(whole) - consumed), whole[consumed:])


def test_a_resumed_epoch_ends_where_the_whole_one_would(make_loader):
    loader = make_loader()
    loader.load_state_dict({"step": len(loader) + 2})
    assert [sum(1 for _ in loader) for _ in range(2)] == [len(loader) - 2, len(loader)]


def test_state_is_what_was_handed_out_not_what_was_read_ahead(make_loader):
    loader = make_loader(prefetch=4)
    assert loader.state_dict() == {"step": 0, "window": 0}
    iterator = iter(loader)
    for count in range(1, len(loader) + 1):
        next(iterator)
        assert loader.state_dict() == {"step": count, "window": 0}
    with pytest.raises(StopIteration):
        next(iterator)
    assert loader.state_dict() == {"step": len(loader), "window": 0}


def test_state_is_the_same_on_every_rank(make_loader):
    loaders = [make_loader(rank=rank, world_size=2) for rank in (0, 1)]
    for loader in loaders:
        take(loader, 3)
    assert loaders[0].state_dict() == loaders[1].state_dict() == {"step": 3, "window": 0}


def test_resuming_on_another_number_of_ranks(make_loader, whole):
    """Batch 4 onwards on two ranks equals batch 4 onwards on one."""
    for rank in (0, 1):
        loader = make_loader(augmentation=EVERYTHING, seed=2, rank=rank, world_size=2)
        loader.load_state_dict({"step": 3})
        for batch, expected in zip(take(loader, 2), whole[3:5], strict=True):
            valid = expected.valid[4 * rank : 4 * rank + 4]
            assert torch.equal(batch.crops[valid], expected.crops[4 * rank : 4 * rank + 4][valid])
            assert torch.equal(batch.valid, valid)


def test_making_iterators_has_no_side_effects(make_loader, whole):
    loader = make_loader(augmentation=EVERYTHING, seed=2)
    iterators = [iter(loader) for _ in range(3)]
    assert loader.state_dict() == {"step": 0, "window": 0}
    assert loader.waited_s == 0
    assert same(list(iterators[1]), whole[: len(loader)])
    assert loader.waited_s > 0


def test_leaving_an_epoch_early_goes_on_where_it_stopped(make_loader, whole):
    loader = make_loader(augmentation=EVERYTHING, seed=2)
    first = list(itertools.islice(iter(loader), 2))
    assert same(first + list(loader), whole[: len(loader)])


def test_any_step_can_be_prepared_alone(make_loader, whole):
    loader = make_loader(augmentation=EVERYTHING, seed=2)
    for step in (7, 0, 11):
        batch = loader.prepare(step).batch
        for name in FIELDS[1:]:
            assert torch.equal(getattr(batch, name), getattr(whole[step], name))
    assert loader.state_dict() == {"step": 0, "window": 0}

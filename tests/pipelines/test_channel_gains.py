"""Colour gains travel with a batch, row by row with its crops, which they do not change."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from pipelines.augmentation import Augmentation, channel_gains
from pipelines.samples import detected_samples
from pipelines.topdown import TopDownLoader
from sharding.dataset import ShardedDataset

MakeLoader = Callable[..., TopDownLoader]
COLOURFUL = Augmentation(0.35, 45, 0.6, 0.5, 0.3, translation_factor=0.1, channel_gain=0.2)
PLAIN = Augmentation(0.35, 45, 0.6, 0.5, 0.3, translation_factor=0.1)


def gains_of_instances(loader: TopDownLoader) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    for batch in loader:
        assert batch.channel_gains is not None
        assert (batch.channel_gains.shape, batch.channel_gains.dtype) == ((len(batch.valid), 3), torch.float32)
        rows = zip(batch.instance_ids.tolist(), batch.channel_gains.tolist(), batch.valid.tolist(), strict=True)
        found |= {instance: gains for instance, gains, valid in rows if valid}
    return found


def test_each_row_has_the_gains_of_its_instance_in_its_epoch(make_loader: MakeLoader) -> None:
    loader = make_loader(augmentation=COLOURFUL, seed=3)
    epochs = [gains_of_instances(loader) for _ in range(2)]
    for epoch, found in enumerate(epochs):
        ids = np.array(list(found))
        expected = channel_gains(COLOURFUL, (3, epoch, ids))
        assert expected is not None
        np.testing.assert_array_equal(np.array(list(found.values()), np.float32), expected)
    assert all(epochs[0][instance] != epochs[1][instance] for instance in epochs[0])


@pytest.mark.parametrize("options", [{"batch_size": 3}, {"shuffle": "none"}, {"threads": 4, "prefetch": 1}], ids=str)
def test_gains_depend_on_nothing_else(make_loader: MakeLoader, options: dict[str, object]) -> None:
    expected = gains_of_instances(make_loader(augmentation=COLOURFUL))
    assert gains_of_instances(make_loader(augmentation=COLOURFUL, **options)) == expected


def test_ranks_have_the_gains_of_their_rows(make_loader: MakeLoader) -> None:
    whole = gains_of_instances(make_loader(augmentation=COLOURFUL))
    ranks = [gains_of_instances(make_loader(augmentation=COLOURFUL, rank=rank, world_size=2)) for rank in (0, 1)]
    assert ranks[0] | ranks[1] == whole


def test_crops_and_order_are_those_without_gains(make_loader: MakeLoader) -> None:
    for colourful, plain in zip(make_loader(augmentation=COLOURFUL), make_loader(augmentation=PLAIN), strict=True):
        assert plain.channel_gains is None
        for name in ("crops", "keypoints", "image_to_crop", "instance_ids", "valid"):
            assert torch.equal(getattr(colourful, name), getattr(plain, name)), name


def test_a_batch_that_loses_rows_keeps_its_gains(make_loader: MakeLoader) -> None:
    batch = next(iter(make_loader(augmentation=COLOURFUL)))
    fewer = batch.without(np.arange(len(batch.valid)) < 2)
    assert fewer.channel_gains is not None
    assert batch.channel_gains is not None
    assert torch.equal(fewer.channel_gains, batch.channel_gains)


def test_boxes_without_an_instance_get_gains_of_their_own(make_loader: MakeLoader, mini_coco: ShardedDataset) -> None:
    image = int(mini_coco.image_column("image_id").all()[0])
    rows = [{"image_id": image, "bbox": [10, 10, 40, 60], "score": 1.0}] * 12
    batch = next(iter(make_loader(detected_samples(mini_coco, rows), batch_size=12, augmentation=COLOURFUL)))
    assert batch.channel_gains is not None
    assert len({tuple(gains) for gains in batch.channel_gains.tolist()}) == 12

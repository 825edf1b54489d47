"""A picture of a bottom-up batch can be made again alone."""

import numpy as np
import torch

from pipelines.bottomup import BottomUpLoader, BottomUpSettings
from pipelines.bottomup_augmentation import BottomUpAugmentation
from pipelines.bottomup_samples import BottomUpSamples


def test_every_picture_of_two_epochs_bit_by_bit(mini_coco):
    samples = BottomUpSamples([mini_coco])
    augmentation = BottomUpAugmentation(0.75, 1.5, 30, 0.2, 0.5)
    loader, alone = (
        BottomUpLoader(samples, BottomUpSettings((96, 96), size, seed=4, augmentation=augmentation)) for size in (5, 1)
    )
    image_ids = mini_coco.image_column("image_id").all()[samples.image_rows]
    for epoch in range(2):
        for batch in loader:
            for row in np.flatnonzero(batch.valid.numpy()):
                sample = int(np.flatnonzero(image_ids == int(batch.image_ids[row]))[0])
                again = alone.replay(sample, epoch)
                for name in ("crops", "ignore", "image_to_crop"):
                    assert torch.equal(getattr(again, name)[0], getattr(batch, name)[row]), name
                assert torch.equal(again.keypoints, batch.keypoints[batch.person_image == row])
    loader.close()

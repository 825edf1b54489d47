"""Batches of noise with people in them, as loaders give them: crops on the device, everything else on the host."""

import torch
from torch import Tensor

from pipelines.bottomup import BottomUpBatch
from pipelines.topdown import TopDownBatch
from pose.skeletons import COCO_17

_K = COCO_17.num_keypoints
_PERSONS = 4  # in each picture


def random_persons(size: int, crop_size: tuple[int, int], device: torch.device) -> TopDownBatch:
    """Crops of (height, width) px, each of one person whose keypoints are all visible."""
    generator = torch.Generator().manual_seed(0)
    crops = _noise(size, crop_size, device, generator)
    places = torch.rand(size, _K, 2, generator=generator)
    return TopDownBatch(
        crops=crops,
        keypoints=places * torch.tensor([crop_size[1], crop_size[0]]),
        visibility=torch.full((size, _K), 2, dtype=torch.uint8),
        image_to_crop=torch.eye(2, 3, dtype=torch.float64).expand(size, 2, 3),
        instance_ids=torch.arange(size),
        image_ids=torch.arange(size),
        box_scores=torch.ones(size, dtype=torch.float64),
        box_areas=torch.ones(size, dtype=torch.float64),
        valid=torch.ones(size, dtype=torch.bool),
    )


def random_pictures(size: int, side: int, device: torch.device) -> BottomUpBatch:
    """Square crops of `side` px, each of a few persons a quarter as large whose keypoints are all visible."""
    generator = torch.Generator().manual_seed(0)
    crops, persons = _noise(size, (side, side), device, generator), size * _PERSONS
    extent = side / 4
    corner = (side - extent) * torch.rand(persons, 1, 2, generator=generator)
    around = torch.tensor([[0.0, 0], [1, 0], [1, 1], [0, 1]])
    return BottomUpBatch(
        crops=crops,
        ignore=torch.zeros(size, side, side, dtype=torch.uint8, device=device),
        image_to_crop=torch.eye(2, 3, dtype=torch.float64).expand(size, 2, 3),
        image_ids=torch.arange(size),
        picture_sizes=torch.full((size, 2), side),
        valid=torch.ones(size, dtype=torch.bool),
        annotated=torch.ones(size, _K, dtype=torch.bool),
        person_image=torch.arange(size).repeat_interleave(_PERSONS),
        instance_ids=torch.arange(persons),
        keypoints=corner + extent * torch.rand(persons, _K, 2, generator=generator),
        visibility=torch.full((persons, _K), 2, dtype=torch.uint8),
        box_corners=corner + extent * around,
        areas=torch.full((persons,), extent**2, dtype=torch.float64),
    )


def _noise(size: int, crop_size: tuple[int, int], device: torch.device, generator: torch.Generator) -> Tensor:
    crops = torch.randint(0, 256, (size, 3, *crop_size), dtype=torch.uint8, generator=generator)
    return crops.to(device, memory_format=torch.channels_last)

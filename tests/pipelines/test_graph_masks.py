"""Masks are warped as the pictures are: what is painted and marked stays painted and marked in every crop."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from pipelines.dali_graph import CropGraph, GraphInput
from pose.crop import crop_matrices, invert_affine

CROP_SIZE = (96, 72)
PICTURE_SIZE = (150, 210)


def square(top, left, side):
    marked = np.zeros(PICTURE_SIZE, dtype=np.uint8)
    marked[top : top + side, left : left + side] = 1
    return marked


SQUARES = [square(40, 60, 50), square(0, 0, 30), square(100, 170, 40), np.ones(PICTURE_SIZE, dtype=np.uint8)]


def picture(encode, marked):
    """White where marked, black elsewhere."""
    return np.frombuffer(encode(np.repeat(255 * marked[:, :, None], 3, axis=2), "PNG"), dtype=np.uint8)


def matrices(count):
    """crop_to_image, turned and scaled, every second one mirrored, some across the picture's border."""
    rng = np.random.default_rng(0)
    height = np.exp(rng.uniform(3, 6, count))
    extent = np.stack([height, height * CROP_SIZE[1] / CROP_SIZE[0]], axis=1)
    center = rng.uniform(0, 1, (count, 2)) * PICTURE_SIZE[::-1]
    mirror = np.arange(count) % 2 == 1
    return invert_affine(crop_matrices(center, extent, CROP_SIZE, "hrnet", rng.uniform(-180, 180, count), mirror))


def run(batch, device):
    inputs = iter([batch] * 9)
    graph = CropGraph(lambda: next(inputs), len(batch.crop_to_image), CROP_SIZE, device, threads=2, with_masks=True)
    crops, masks = graph.run()
    return crops.cpu().numpy(), masks.cpu().numpy()


@pytest.mark.parametrize("sizes_known", [True, False])
def test_marked_is_what_is_painted(encode, device, sizes_known):
    """Pixel by pixel: a mask's is 1 where the painted picture's is brighter than half."""
    owners = np.tile(np.arange(len(SQUARES)), 20)
    sizes = np.tile(PICTURE_SIZE, (len(SQUARES), 1)) if sizes_known else None
    batch = GraphInput(
        [picture(encode, marked) for marked in SQUARES],
        owners,
        matrices(len(owners)),
        picture_sizes=sizes,
        masks=SQUARES,
        mask_of_instance=owners,
    )
    crops, masks = run(batch, device)
    assert masks.shape == (len(owners), *CROP_SIZE)
    assert masks.dtype == np.uint8
    assert masks.max() == 1
    assert 0.1 < masks.mean() < 0.9
    undecided = np.abs(crops[:, 0].astype(float) - 127.5) <= 1
    assert undecided.mean() < 0.01
    np.testing.assert_array_equal(masks[~undecided], crops[:, 0][~undecided] > 127)


def test_instances_take_their_own_mask_or_none(encode, device):
    """Several masks of one picture, a mask for several instances, none at all, in any order."""
    white = picture(encode, np.ones(PICTURE_SIZE, dtype=np.uint8))
    shifted = np.tile([[1.0, 0.0, 50.0], [0.0, 1.0, 30.0]], (7, 1, 1))
    batch = GraphInput(
        [white, white],
        np.array([1, 1, 1, 0, 0, 0, 1]),
        shifted,
        picture_sizes=np.tile(PICTURE_SIZE, (2, 1)),
        masks=[255 * SQUARES[0], SQUARES[3]],
        mask_of_instance=np.array([0, 0, -1, -1, 1, 0, -1]),
    )
    crops, masks = run(batch, device)
    shown = SQUARES[0][30 : 30 + CROP_SIZE[0], 50 : 50 + CROP_SIZE[1]]
    assert 0 < shown.sum() < shown.size
    for row, expected in enumerate([shown, shown, 0, 0, 1, shown, 0]):
        np.testing.assert_array_equal(masks[row], np.broadcast_to(expected, CROP_SIZE))
    assert crops.min() == 255


@pytest.mark.parametrize("given", [{}, {"masks": [], "mask_of_instance": np.array([-1, -1])}])
def test_without_a_mask_nothing_is_marked(encode, device, given):
    batch = GraphInput([picture(encode, SQUARES[3])], np.zeros(2, np.int64), matrices(2))
    crops, masks = run(replace(batch, **given), device)
    assert crops.any()
    assert not masks.any()


def test_crops_are_the_same_with_and_without_masks(encode, device):
    batch = GraphInput([picture(encode, SQUARES[0])], np.zeros(3, np.int64), matrices(3))
    inputs = iter([batch] * 9)
    crops = CropGraph(lambda: next(inputs), 3, CROP_SIZE, device, threads=1).run()
    assert isinstance(crops, torch.Tensor)
    np.testing.assert_array_equal(crops.cpu().numpy(), run(batch, device)[0])

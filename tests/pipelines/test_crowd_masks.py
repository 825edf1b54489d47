"""Crowd regions become the masks that the annotation drew."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_mask

from pipelines.crowd_masks import NO_MASK, CrowdMasks, union
from pipelines.pictures import PictureIndex
from sharding.dataset import BrokenShardError


def region(mask, instance_id=1):
    code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    height, width = mask.shape
    return {"instance_id": instance_id, "height": height, "width": width, "counts": code["counts"].decode()}


def test_regions_are_joined_pixel_by_pixel():
    rng = np.random.default_rng(0)
    drawn = [rng.random((37, 53)) < 0.2 for _ in range(3)]
    mask = union([region(one) for one in drawn])
    assert mask.dtype == np.uint8
    assert mask.flags.c_contiguous
    np.testing.assert_array_equal(mask, drawn[0] | drawn[1] | drawn[2])


def crowd_of_mini(mini_coco, mini_raw):
    """Image row and mask of the mini split's crowd, from the uncompressed code of the annotation file."""
    content = json.loads(mini_raw("coco").annotations.read_text())
    (crowd,) = (row for row in content["annotations"] if row["iscrowd"])
    counts, (height, width) = crowd["segmentation"]["counts"], crowd["segmentation"]["size"]
    flat = np.repeat(np.arange(len(counts)) % 2, counts)
    row = int(mini_coco.image_rows(np.array([crowd["image_id"]]))[0])
    return row, flat.reshape(width, height).T


def test_the_pictures_of_two_splits(mini_coco, mini_crowdpose, mini_raw):
    """Only one picture has a crowd; it is found in either order of the splits."""
    row, expected = crowd_of_mini(mini_coco, mini_raw)
    assert 0 < expected.mean() < 1
    for splits, first in (([mini_coco, mini_crowdpose], 0), ([mini_crowdpose, mini_coco], mini_crowdpose.num_images)):
        index = PictureIndex(splits)
        rows = np.random.default_rng(1).permutation(len(index))
        masks, numbers = CrowdMasks(index).of_pictures(rows)
        assert rows[numbers != NO_MASK].tolist() == [row + first]
        np.testing.assert_array_equal(masks[numbers[rows.tolist().index(row + first)]], expected)
        assert len(masks) == 1
        np.testing.assert_array_equal(masks[0].shape, index.picture_sizes(np.array([row + first]))[0])


def test_a_mask_of_another_size_than_its_picture_is_named(mini_coco, mini_raw, monkeypatch):
    row, expected = crowd_of_mini(mini_coco, mini_raw)
    index = PictureIndex([mini_coco])
    monkeypatch.setattr(index, "picture_sizes", lambda rows: np.full((len(rows), 2), 10))
    key = mini_coco.image_column("image_id").all()[row]
    message = rf"tar: {key:012d}: the mask of instance \d+ has \(height, width\) \[{expected.shape[0]}, .*\[10, 10\]"
    with pytest.raises(BrokenShardError, match=message):
        CrowdMasks(index).of_pictures(np.array([row]))

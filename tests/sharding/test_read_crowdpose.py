"""CrowdPose's annotation files: COCO's layout with 14 keypoints and a crowding index per image."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sharding.raw import read_raw

IMAGE = {"id": 100, "file_name": "100.jpg", "width": 100, "height": 80, "crowdIndex": 0.46}
KEYPOINTS = [10, 12, 2] * 14


def test_values_are_those_of_the_file(write_coco: Callable[..., Path], person: Callable[..., Any]) -> None:
    row = person(image_id=100, keypoints=KEYPOINTS, num_keypoints=12, area=...)
    raw = read_raw("crowdpose", write_coco([IMAGE], [row]), "mini")
    (image,) = raw.images
    assert (raw.dataset, raw.skeleton.name, raw.rejections, raw.notes) == ("crowdpose", "crowdpose_14", [], [])
    assert image.crowd_index == 0.46
    assert image.instances[0].num_keypoints == 12  # as annotated: head and neck do not count
    assert image.instances[0].keypoints.shape == (14, 3)
    assert image.instances[0].area is None


def test_cocos_keypoints_are_refused(write_coco: Callable[..., Path], person: Callable[..., Any]) -> None:
    raw = read_raw("crowdpose", write_coco([IMAGE], [person(image_id=100)]), "mini")
    assert raw.rejections[0].reason == "keypoints must be a list of 42 numbers, got 51 values"


def test_a_missing_crowd_index_is_noted(write_coco: Callable[..., Path]) -> None:
    images = [IMAGE, {"id": 2, "file_name": "2.jpg"}, {"id": 3, "file_name": "3.jpg", "crowdIndex": None}]
    raw = read_raw("crowdpose", write_coco(images, []), "mini")
    assert [image.crowd_index for image in raw.images] == [0.46, None, None]
    assert raw.rejections == []
    (note,) = raw.notes
    assert "2 of 3 images have no crowdIndex" in note


@pytest.mark.real_data
def test_the_real_file_is_kept_whole(real_data: Path) -> None:
    raw = read_raw("crowdpose", real_data / "mini/crowdpose/crowdpose_mini.json", "mini")
    assert (raw.rejections, raw.notes) == ([], [])
    assert (len(raw.images), sum(len(image.instances) for image in raw.images)) == (2, 5)

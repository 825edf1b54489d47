"""What official evaluators are given equals the source annotations, value for value."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sharding.dataset import ShardedDataset, open_dataset
from sharding.ground_truth import ground_truth
from sharding.manifest import Manifest
from sharding.synthetic import SyntheticFiles

Row = dict[str, Any]
FIELDS = ("id", "image_id", "bbox", "area", "iscrowd", "keypoints", "num_keypoints")


def by_id(rows: list[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: row["id"])


@pytest.mark.parametrize("layout", ["coco", "crowdpose"])
def test_annotations_equal_the_source(
    mini_raw: Callable[[str], SyntheticFiles], mini_shards: Callable[[str], Path], layout: str
) -> None:
    source = json.loads(mini_raw(layout).annotations.read_text())
    truth = ground_truth(open_dataset(mini_shards(layout)))
    assert len(truth["annotations"]) == len(source["annotations"]) > 10
    for found, expected in zip(truth["annotations"], by_id(source["annotations"]), strict=True):
        width, height = expected["bbox"][2:]
        expected = {"area": width * height} | expected
        assert {name: found[name] for name in FIELDS} == {name: expected[name] for name in FIELDS}
    for found, expected in zip(by_id(truth["images"]), by_id(source["images"]), strict=True):
        names = ("id", "file_name", "width", "height", *(("crowdIndex",) if layout == "crowdpose" else ()))
        assert {name: found[name] for name in names} == {name: expected[name] for name in names}
        assert ("crowdIndex" in found) == (layout == "crowdpose")
    json.dumps(truth)


def test_awkward_values_come_back_exactly(
    write_coco: Callable[..., Path],
    person: Callable[..., Row],
    jpeg: Callable[..., bytes],
    tmp_path: Path,
    to_shards: Callable[..., Manifest],
) -> None:
    (tmp_path / "a.jpg").write_bytes(jpeg())
    persons = [
        person(id=2**53 + 1, area=0.1 + 0.2, bbox=[1 / 3, -7.1, 1e-9, 1e6], num_keypoints=5),
        person(id=3, iscrowd=1, area=0, keypoints=[-1e5, 1 / 7, 1] * 17, num_keypoints=17),
    ]
    to_shards((write_coco([{"id": 1, "file_name": "a.jpg"}], persons), tmp_path), tmp_path / "out")
    truth = ground_truth(open_dataset(tmp_path / "out"))["annotations"]
    assert [{name: row[name] for name in FIELDS} for row in truth] == [
        {name: row[name] for name in FIELDS} for row in by_id(persons)
    ]
    assert all("head_size" not in row for row in truth)


def test_mpii_is_in_the_order_of_valid_json(
    mini_raw: Callable[[str], SyntheticFiles], mini_mpii: ShardedDataset
) -> None:
    source = json.loads(mini_raw("mpii").annotations.read_text())
    truth = ground_truth(mini_mpii)["annotations"]
    assert [row["id"] for row in truth] == list(range(len(source)))
    names = {image["id"]: image["file_name"] for image in ground_truth(mini_mpii)["images"]}
    for found, expected in zip(truth, source, strict=True):
        labelled = np.array(expected["joints_vis"]) > 0
        keypoints = np.array(found["keypoints"]).reshape(16, 3)
        assert names[found["image_id"]] == expected["image"]
        assert np.allclose(keypoints[labelled, :2] + 1, np.array(expected["joints"])[labelled], atol=1e-9)
        assert ((keypoints[:, 2] > 0) == labelled).all()
        assert np.allclose(np.array(found["center"]) + 1, expected["center"], atol=1e-9)
        assert found["scale"] == expected["scale"]
        assert found["head_size"] > 0


def test_mpii_order_does_not_follow_the_pictures(tmp_path: Path, jpeg: Callable[..., bytes], to_shards: Any) -> None:
    for name in "ab":
        (tmp_path / f"{name}.jpg").write_bytes(jpeg())
    row = {"joints": [[1, 2]] * 16, "joints_vis": [1] * 16, "center": [3, 4], "scale": 1}
    path = tmp_path / "valid.json"
    path.write_text(json.dumps([row | {"image": f"{name}.jpg", "scale": k} for k, name in enumerate("abba")]))
    to_shards((path, tmp_path), tmp_path / "out", dataset="mpii", shard_bytes=1)
    truth = ground_truth(open_dataset(tmp_path / "out"))["annotations"]
    assert [(one["id"], one["scale"], one["image_id"]) for one in truth] == [(0, 0, 0), (1, 1, 1), (2, 2, 1), (3, 3, 0)]

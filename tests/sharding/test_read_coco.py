"""COCO's annotation files, sound and broken: every row is kept or listed with its reason, and nothing crashes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco_mask

from sharding.raw import DATASETS, read_raw
from sharding.records import AnnotationError, RawDataset

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # pycocotools' own
IMAGE = {"id": 1, "file_name": "a.jpg", "width": 100, "height": 80}
Read = Callable[..., RawDataset]
Person = Callable[..., dict[str, Any]]


@pytest.fixture
def read(write_coco: Callable[..., Path]) -> Read:
    def from_rows(images: list[Any], annotations: list[Any], **others: Any) -> RawDataset:
        return read_raw("coco", write_coco(images, annotations, **others), "mini")

    return from_rows


def test_a_sound_person_keeps_every_value(read: Read, person: Person) -> None:
    raw = read([IMAGE], [person(id=2**53 + 1, num_keypoints=7)])
    (instance,) = raw.images[0].instances
    assert raw.rejections == []
    assert (instance.instance_id, instance.num_keypoints, instance.iscrowd) == (2**53 + 1, 7, 0)
    assert (instance.box_xywh, instance.area) == ((5, 6, 20, 30), 431.5)
    assert instance.keypoints.shape == (17, 3)
    assert instance.keypoints[16].tolist() == [20, 30, 1]
    assert raw.images[0].crowd_regions == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"bbox": [-5, -6, 300, 400]}, {"box_xywh": (-5, -6, 300, 400)}),
        ({"bbox": [5, 6, 0, 0]}, {"box_xywh": (5, 6, 0, 0)}),
        ({"bbox": [5, 6, -3, 7]}, {"box_xywh": (5, 6, 0, 7)}),
        ({"area": ...}, {"area": None}),
        ({"area": None}, {"area": None}),
        ({"iscrowd": ...}, {"iscrowd": 0}),
        ({"iscrowd": 1}, {"iscrowd": 1}),
        ({"num_keypoints": ...}, {"num_keypoints": 2}),
        ({"num_keypoints": 0}, {"num_keypoints": 0}),
        ({"category_id": ...}, {"instance_id": 1}),
        ({"id": 7.0}, {"instance_id": 7}),
        ({"id": 2**63 - 1}, {"instance_id": 2**63 - 1}),
    ],
)
def test_odd_but_usable_persons_are_kept(
    read: Read, person: Person, changes: dict[str, Any], expected: dict[str, Any]
) -> None:
    raw = read([IMAGE], [person(**changes)])
    assert raw.rejections == []
    (instance,) = raw.images[0].instances
    assert {name: getattr(instance, name) for name in expected} == expected


def test_keypoints_outside_the_image_are_kept(read: Read, person: Person) -> None:
    raw = read([IMAGE], [person(keypoints=[-40.5, 900, 2] * 17)])
    assert raw.images[0].instances[0].keypoints.tolist() == [[-40.5, 900, 2]] * 17


def test_a_person_without_keypoints_is_kept_unlabelled(read: Read, person: Person) -> None:
    (instance,) = read([IMAGE], [person(keypoints=..., num_keypoints=...)]).images[0].instances
    assert not instance.keypoints.any()
    assert instance.num_keypoints == 0


NAN, HUGE = float("nan"), 10**400
BAD_PERSONS: list[tuple[dict[str, Any], str]] = [
    ({"id": ...}, "annotation id"),
    ({"id": "7"}, "annotation id"),
    ({"id": 1.5}, "annotation id"),
    ({"id": True}, "annotation id"),
    ({"id": -1}, "annotation id"),
    ({"id": 2**63}, "annotation id"),
    ({"id": HUGE}, "annotation id"),
    ({"id": [1]}, "annotation id"),
    ({"image_id": ...}, "image_id"),
    ({"image_id": 99}, "image_id 99 is not among"),
    ({"image_id": NAN}, "image_id"),
    ({"bbox": ...}, "bbox"),
    ({"bbox": None}, "bbox"),
    ({"bbox": [1, 2, 3]}, "bbox must be a list of 4 numbers, got 3 values"),
    ({"bbox": [1, 2, 3, NAN]}, "bbox"),
    ({"bbox": [1, 2, 3, float("inf")]}, "bbox"),
    ({"bbox": [1, 2, 3, "4"]}, "bbox"),
    ({"bbox": [1, 2, 3, HUGE]}, "bbox"),
    ({"bbox": [1, 2, 3, 1e300]}, "bbox"),
    ({"bbox": {"x": 1}}, "bbox"),
    ({"area": NAN}, "area"),
    ({"area": "big"}, "area"),
    ({"iscrowd": 2}, "iscrowd must be 0 or 1, got 2"),
    ({"iscrowd": None}, "iscrowd"),
    ({"keypoints": None}, "keypoints"),
    ({"keypoints": [1, 2, 2]}, "keypoints must be a list of 51 numbers, got 3 values"),
    ({"keypoints": [NAN, 2, 2] * 17}, "keypoints"),
    ({"keypoints": [1, 2, 3] * 17}, "visibility must be 0, 1 or 2"),
    ({"keypoints": [1, 2, -1] * 17}, "visibility must be 0, 1 or 2"),
    ({"keypoints": [1, 2, 0.5] * 17}, "visibility must be 0, 1 or 2"),
    ({"num_keypoints": -1}, "num_keypoints"),
    ({"num_keypoints": 3 * 10**9}, "num_keypoints must be at most 17"),
    ({"category_id": 18}, "category 18 is not a person"),
    ({"category_id": [1]}, "category"),
]


@pytest.mark.parametrize(("changes", "reason"), BAD_PERSONS)
def test_a_bad_person_is_listed_and_the_next_one_kept(
    read: Read, person: Person, changes: dict[str, Any], reason: str
) -> None:
    raw = read([IMAGE], [person(**changes), person(id=5)])
    assert [instance.instance_id for instance in raw.images[0].instances] == [5]
    (rejection,) = raw.rejections
    assert rejection.kind == "annotation"
    assert reason in rejection.reason
    json.dumps(rejection.id, allow_nan=False)


@pytest.mark.parametrize("row", [None, 5, "person", [], [1, 2]])
def test_rows_that_are_no_objects_are_listed(read: Read, row: Any) -> None:
    raw = read([IMAGE, row], [row])
    assert [rejection.kind for rejection in raw.rejections] == ["image", "annotation"]
    assert all("must be an object" in rejection.reason for rejection in raw.rejections)
    assert all(rejection.file == "annotations.json" for rejection in raw.rejections)


BAD_IMAGES: list[tuple[dict[str, Any], str]] = [
    ({"id": "2"}, "image id"),
    ({"id": None}, "image id"),
    ({"id": -2}, "image id"),
    ({"id": 1}, "duplicate image id 1, first used by a.jpg"),
    ({"id": [2]}, "image id"),
    ({"file_name": None}, "file_name"),
    ({"file_name": ""}, "file_name"),
    ({"file_name": 7}, "file_name"),
    ({"file_name": "../a.jpg"}, "must stay inside"),
    ({"file_name": "sub/../../a.jpg"}, "must stay inside"),
    ({"file_name": "/etc/passwd"}, "must stay inside"),
    ({"file_name": "a\0.jpg"}, "must stay inside"),
    ({"file_name": "\ud800.jpg"}, "surrogate"),
    ({"width": NAN}, "width"),
    ({"height": -3}, "height"),
    ({"height": "80"}, "height"),
    ({"width": HUGE}, "width"),
    ({"crowdIndex": "0.5"}, "crowdIndex"),
]


@pytest.mark.parametrize(("changes", "reason"), BAD_IMAGES)
def test_a_bad_image_is_listed_and_the_first_one_kept(read: Read, changes: dict[str, Any], reason: str) -> None:
    raw = read([IMAGE, IMAGE | {"id": 2, "file_name": "b.jpg"} | changes], [])
    assert [image.file_name for image in raw.images] == ["a.jpg"]
    (rejection,) = raw.rejections
    assert rejection.kind == "image"
    assert reason in rejection.reason


def test_persons_of_a_refused_image_are_listed_too(read: Read, person: Person) -> None:
    raw = read([IMAGE | {"file_name": "../a.jpg"}], [person()])
    assert [(row.kind, row.id) for row in raw.rejections] == [("image", 1), ("annotation", 1)]


def test_of_two_persons_with_one_id_the_first_stays(read: Read, person: Person) -> None:
    raw = read([IMAGE], [person(area=1), person(area=2)])
    assert [instance.area for instance in raw.images[0].instances] == [1]
    assert raw.rejections[0].reason == "duplicate annotation id 1"


def test_none_and_forty_persons_in_the_files_order(read: Read, person: Person) -> None:
    ids = [int(value) for value in np.random.default_rng(0).permutation(40)]
    images = [IMAGE | {"id": 9}, IMAGE]
    raw = read(images, [person(id=number, image_id=9) for number in ids])
    assert [image.image_id for image in raw.images] == [9, 1]
    assert [instance.instance_id for instance in raw.images[0].instances] == ids
    assert raw.images[1].instances == []


@pytest.mark.parametrize(
    "name", ["a.b.c.jpg", "mit Leerzeichen.jpg", "größe/人.jpg", "x/1.jpg", "..a.jpg", "~/a.jpg", "a\\b.jpg", "%2e.jpg"]
)
def test_unusual_file_names_are_kept(read: Read, name: str) -> None:
    raw = read([IMAGE | {"file_name": name}], [])
    assert [(image.file_name, image.key) for image in raw.images] == [(name, "000000000001")]


def test_one_name_in_two_folders_has_two_keys(read: Read) -> None:
    raw = read([IMAGE | {"id": k, "file_name": f"{k}/a.jpg"} for k in (1, 10**13)], [])
    assert [image.key for image in raw.images] == ["000000000001", "10000000000000"]


def test_the_person_category_may_have_another_number(read: Read, person: Person) -> None:
    categories = [{"id": 1, "name": "dog"}, {"id": 3, "name": "person"}, "nonsense"]
    raw = read([IMAGE], [person(id=1, category_id=3), person(id=2, category_id=1)], categories=categories)
    assert [instance.instance_id for instance in raw.images[0].instances] == [1]
    assert raw.rejections[0].reason == "category 1 is not a person"
    odd = read([IMAGE], [person(category_id=1)], categories=[{"id": [1], "name": "person"}])
    assert odd.rejections[0].reason == "category 1 is not a person"


def test_an_image_list_without_annotations(tmp_path: Path) -> None:
    path = tmp_path / "image_info_test-dev2017.json"
    path.write_text(json.dumps({"images": [IMAGE, {"id": 2, "file_name": "b.jpg"}]}))
    raw = read_raw("coco", path, "test-dev2017")
    assert [(image.width, image.height, image.instances) for image in raw.images] == [(100, 80, []), (None, None, [])]
    assert raw.rejections == []


@pytest.mark.parametrize("dataset", DATASETS)
@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8\xff", b"{", b"null", b"5", b'"a"', b'{"images": 5}', b"[" * 100_000, b"1" * 5000]
)
def test_files_that_are_no_annotations_are_named(tmp_path: Path, dataset: str, content: bytes) -> None:
    path = tmp_path / "broken.json"
    path.write_bytes(content)
    with pytest.raises(AnnotationError, match=r"broken\.json"):
        read_raw(dataset, path, "mini")


@pytest.mark.parametrize("content", ["[]", '{"images": {}}', '{"images": [], "annotations": {}}', "{}"])
def test_another_structure_is_named(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)
    with pytest.raises(AnnotationError, match=r"other\.json"):
        read_raw("coco", path, "mini")


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_missing_file_or_a_folder_is_named(tmp_path: Path, dataset: str) -> None:
    with pytest.raises(AnnotationError, match=r"absent\.json"):
        read_raw(dataset, tmp_path / "absent.json", "mini")
    with pytest.raises(AnnotationError, match=tmp_path.name):
        read_raw(dataset, tmp_path, "mini")


def test_an_unknown_dataset_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match="coco, mpii, crowdpose"):
        read_raw("lsp", tmp_path / "a.json", "mini")


def mask_of(raw: RawDataset) -> np.ndarray:
    (region,) = raw.images[0].crowd_regions
    return coco_mask.decode({"size": [region.height, region.width], "counts": region.counts})


BLOB = np.zeros((80, 100), np.uint8, order="F")
BLOB[10:30, 20:70] = BLOB[60:, 90:] = 1
FLAT = BLOB.T.reshape(-1)
LENGTHS = np.diff(np.concatenate([[0], np.flatnonzero(np.diff(FLAT)) + 1, [FLAT.size]])).tolist()


def test_run_lengths_become_the_same_mask(read: Read, person: Person) -> None:
    compressed = coco_mask.encode(BLOB)["counts"].decode()
    for counts in (LENGTHS, compressed):
        raw = read([IMAGE], [person(iscrowd=1, segmentation={"size": [80, 100], "counts": counts})])
        assert (mask_of(raw) == BLOB).all()
        assert raw.images[0].crowd_regions[0].iscrowd == 1
        assert raw.images[0].crowd_regions[0].instance_id == 1


def test_polygons_become_pycocotools_union(read: Read, person: Person) -> None:
    polygons = [[5, 5, 50.5, 8, 40, 60.25], [45, 50, 120, 50, 99, 90, 45, 79]]
    expected = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, 80, 100)))
    raw = read([IMAGE], [person(segmentation=polygons, num_keypoints=0)])
    assert (mask_of(raw) == expected).all()
    assert expected.any()


def test_a_person_with_keypoints_is_no_crowd_region(read: Read, person: Person) -> None:
    raw = read([IMAGE], [person(segmentation=[[5, 5, 50, 8, 40, 60]])])
    assert raw.images[0].crowd_regions == []


BAD_SEGMENTATIONS: list[Any] = [
    "abc",
    5,
    [1, 2, 3, 4, 5, 6],
    [[]],
    [[1, 2, 3, 4]],
    [[1, 2, 3, 4, 5, 6, 7]],
    [[1, 2, 3, 4, 5, NAN]],
    [[0, 0, 1e12, 0, 1e12, 1e12]],  # crashes the process if it reaches pycocotools
    [{"a": 1}],
    {"size": [80, 100]},
    {"counts": [8000]},
    {"size": [80, 100], "counts": [7999]},
    {"size": [80, 100], "counts": [-1, 8001]},
    {"size": [80, 100], "counts": ["8000"]},
    {"size": [80, 100], "counts": None},
    {"size": [80, 100], "counts": 5},
    {"size": [80, 100], "counts": coco_mask.encode(np.ones((81, 100), np.uint8, order="F"))["counts"].decode()},
    {"size": [80, 100], "counts": "größe"},
    {"size": [80], "counts": [80]},
    {"size": [100, 80], "counts": [8000]},
    {"size": [0, 0], "counts": []},
    {"size": [10**9, 10**9], "counts": [10**18]},
    {"size": "80", "counts": [8000]},
]


@pytest.mark.parametrize("segmentation", BAD_SEGMENTATIONS)
def test_unreadable_masks_are_listed(read: Read, person: Person, segmentation: Any) -> None:
    raw = read([IMAGE], [person(iscrowd=1, segmentation=segmentation), person(id=2)])
    assert [instance.instance_id for instance in raw.images[0].instances] == [2]
    assert "segmentation cannot be read" in raw.rejections[0].reason
    assert raw.images[0].crowd_regions == []


def test_polygons_need_the_images_size(read: Read, person: Person) -> None:
    raw = read([{"id": 1, "file_name": "a.jpg"}], [person(iscrowd=1, segmentation=[[5, 5, 50, 8, 40, 60]])])
    assert "width and height" in raw.rejections[0].reason


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["id", "image_id", "category_id", "bbox", "area", "iscrowd", "keypoints", "num_keypoints", "segmentation"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.sampled_from(KEYS), JSON, min_size=1, max_size=2), image=JSON, size=JSON)
def test_any_json_is_kept_or_listed(read: Read, person: Person, changes: dict[str, Any], image: Any, size: Any) -> None:
    images = [IMAGE, image, {"id": 3, "file_name": "c.jpg", "width": size}]
    raw = read(images, [person(**changes), changes, person(id=77)])
    assert len(raw.images) + sum(row.kind == "image" for row in raw.rejections) == 3
    kept = sum(len(image.instances) for image in raw.images)
    assert kept + sum(row.kind == "annotation" for row in raw.rejections) == 3


@pytest.mark.real_data
def test_the_real_file_is_kept_whole(real_data: Path) -> None:
    raw = read_raw("coco", real_data / "mini/coco/person_keypoints_mini.json", "mini")
    assert raw.rejections == []
    assert (len(raw.images), sum(len(image.instances) for image in raw.images)) == (4, 14)

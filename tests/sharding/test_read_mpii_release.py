"""MPII's release .mat, built small with the structure of the real one: structs of structs, often empty."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from sharding.raw import read_raw
from sharding.records import AnnotationError, RawDataset

Row = dict[str, Any]
EMPTY = np.zeros((0, 0))


def structs(rows: list[Row]) -> np.ndarray:
    """A MATLAB struct array (1, N); a field that a row lacks is empty, as MATLAB has it."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    array = np.empty((1, len(rows)), dtype=[(name, object) for name in names])
    for place, row in enumerate(rows):
        array[0, place] = tuple(row.get(name, EMPTY) for name in names)
    return array


def point(number: Any, x: Any = 100.0, y: Any = 50.0, **flags: Any) -> Row:
    return {"x": x, "y": y, "id": number} | flags


def person(points: list[Row] | None, **changes: Any) -> Row:
    row = {"x1": 10.0, "y1": 20.0, "x2": 40.0, "y2": 60.0, "scale": 2.5, "objpos": structs([{"x": 101.0, "y": 201.0}])}
    row |= {"annopoints": EMPTY if points is None else structs([{"point": structs(points)}])} | changes
    return {key: value for key, value in row.items() if value is not ...}


def picture(name: Any, persons: list[Row] | None) -> Row:
    return {"image": structs([{"name": name}]), "annorect": EMPTY if persons is None else structs(persons)}


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., RawDataset]:
    def from_pictures(pictures: list[Row], training: list[int], split: str = "train") -> RawDataset:
        path = tmp_path / "mpii_human_pose_v1_u12_1.mat"
        release = structs([{"annolist": structs(pictures), "img_train": np.array([training], float), "version": "12"}])
        scipy.io.savemat(path, {"RELEASE": release})
        return read_raw("mpii", path, split)

    return from_pictures


Read = Callable[..., RawDataset]


def test_persons_points_and_heads(read: Read) -> None:
    points = [point(0, 11, 21, is_visible=1.0), point(15, 31.5, 41, is_visible=0.0), point(9, 5, 6, is_visible=EMPTY)]
    raw = read([picture("a.jpg", [person(points), person([point(6)], scale=1.0)])], [1])
    first, second = raw.images[0].instances
    assert raw.rejections == []
    assert first.keypoints[0].tolist() == [10, 20, 2]
    assert first.keypoints[15].tolist() == [30.5, 40, 1]
    assert first.keypoints[9].tolist() == [4, 5, 2]
    assert (first.num_keypoints, first.center, first.scale) == (3, (100, 200), 2.5)
    assert first.head_size == pytest.approx(0.6 * 50)
    assert first.box_xywh == (100 - 250, 200 - 250, 500, 500)
    assert (second.instance_id, second.scale, second.num_keypoints) == (1, 1.0, 1)
    assert second.keypoints[6].tolist() == [99, 49, 2]  # no is_visible at all


@pytest.mark.parametrize(
    ("flag", "visibility"), [("0", 1), ("1", 2), (0, 1), (1, 2), (0.0, 1), (np.uint8(0), 1), (EMPTY, 2), (False, 1)]
)
def test_every_way_to_write_is_visible(read: Read, flag: Any, visibility: int) -> None:
    raw = read([picture("a.jpg", [person([point(3, is_visible=flag), point(4)])])], [1])
    assert raw.images[0].instances[0].keypoints[3, 2] == visibility


def test_splits_share_one_numbering(read: Read) -> None:
    pictures = [
        picture("a.jpg", [person([point(0)])]),
        picture("b.jpg", [person(None, objpos=..., scale=...), person(None)]),
        picture("c.jpg", None),
        picture("d.jpg", [person([point(1)])]),
    ]
    train, test = read(pictures, [1, 0, 0, 1], "train"), read(pictures, [1, 0, 0, 1], "test2015")
    assert [(image.image_id, image.file_name) for image in train.images] == [(0, "a.jpg"), (3, "d.jpg")]
    assert [image.instances[0].instance_id for image in train.images] == [0, 3]
    assert [(image.image_id, image.file_name) for image in test.images] == [(1, "b.jpg"), (2, "c.jpg")]
    assert [[one.instance_id for one in image.instances] for image in test.images] == [[2], []]
    assert [(row.file, row.id) for row in test.rejections] == [("b.jpg", 1)]
    assert train.rejections == []


def test_a_person_without_points_or_head_is_kept(read: Read) -> None:
    raw = read([picture("a.jpg", [person(None, x1=..., y1=..., x2=..., y2=...), person([point(1)])])], [1])
    one, other = raw.images[0].instances
    assert (one.num_keypoints, one.head_size) == (0, None)
    assert other.head_size == pytest.approx(30)


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (person([point(0)], scale=...), "no objpos or no scale"),
        (person([point(0)], scale=float("nan")), "no objpos or no scale"),
        (person([point(0)], objpos=EMPTY), "no objpos or no scale"),
        (person([point(0)], objpos=structs([{"x": float("nan"), "y": 1.0}])), "objpos"),
        (person([point(16)]), "keypoint 16"),
        (person([point(-1)]), "keypoint -1"),
        (person([point(float("inf"))]), "infinity"),
        (person([point(0, float("nan"))]), "keypoint 0"),
        (person([point(0, EMPTY), point(1)]), ""),
        (person([point(EMPTY), point(1)]), ""),
    ],
)
def test_bad_persons_are_listed_with_their_picture(read: Read, bad: Row, reason: str) -> None:
    raw = read([picture("a.jpg", [bad, person([point(2)])])], [1])
    assert [one.instance_id for one in raw.images[0].instances] == [1]
    (rejection,) = raw.rejections
    assert (rejection.kind, rejection.file, rejection.id) == ("annotation", "a.jpg", 0)
    assert reason in rejection.reason


def test_a_bad_picture_is_listed_and_numbers_stay(read: Read) -> None:
    pictures = [
        picture("../a.jpg", [person(None)]),
        {"image": EMPTY, "annorect": EMPTY},
        picture("b.jpg", [person(None)]),
    ]
    raw = read(pictures, [1, 1, 1])
    assert [(row.kind, row.id) for row in raw.rejections] == [("image", 0), ("image", 1)]
    assert [(image.image_id, image.instances[0].instance_id) for image in raw.images] == [(2, 1)]


def test_another_number_of_flags_than_pictures_is_an_error(read: Read) -> None:
    with pytest.raises(AnnotationError, match="2 pictures, but img_train has 3 values"):
        read([picture("a.jpg", None), picture("b.jpg", None)], [1, 1, 0])


@pytest.mark.parametrize(
    "content",
    [{"other": 1.0}, {"RELEASE": 1.0}, {"RELEASE": structs([{"img_train": 1.0}])}, b"", b"MATLAB 5.0" * 30, None],
)
def test_files_of_another_kind_are_named(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "release.mat"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content is not None:
        scipy.io.savemat(path, content)
    with pytest.raises(AnnotationError, match=r"release\.mat is not MPII's release file"):
        read_raw("mpii", path, "train")

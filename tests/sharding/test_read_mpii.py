"""MPII in the field's JSON layout: 1-based, unlabelled joints, head boxes from the gt_valid.mat beside it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from sharding.raw import read_raw
from sharding.records import AnnotationError, RawDataset

Row = dict[str, Any]
Read = Callable[[list[Any]], RawDataset]
NAN = float("nan")


def person(**changes: Any) -> Row:
    row = {
        "image": "015601864.jpg",
        "joints": [[20.5 + k, 30 + k] for k in range(16)],
        "joints_vis": [1] * 16,
        "center": [594, 257],
        "scale": 3.02,
    }
    return {key: value for key, value in (row | changes).items() if value is not ...}


@pytest.fixture
def read(tmp_path: Path) -> Read:
    def from_rows(rows: list[Any]) -> RawDataset:
        path = tmp_path / "valid.json"
        path.write_text(json.dumps(rows))
        return read_raw("mpii", path, "valid")

    return from_rows


def ground_truth(rows: list[Row]) -> dict[str, np.ndarray]:
    """gt_valid.mat's variables for these persons; head boxes of 30 x 40 px, so 50 px diagonals."""
    boxes = np.array([[[10.0, 10], [40, 50]]] * len(rows))
    return {
        "headboxes_src": boxes.transpose(1, 2, 0),
        "pos_gt_src": np.array([row["joints"] for row in rows], float).transpose(1, 2, 0),
        "jnt_missing": 1.0 - np.array([row["joints_vis"] for row in rows]).T,
    }


def test_records_are_zero_based(read: Read) -> None:
    raw = read([person()])
    (instance,) = raw.images[0].instances
    assert instance.keypoints[0].tolist() == [19.5, 29, 2]
    assert (instance.center, instance.scale, instance.head_size) == ((593, 256), 3.02, None)
    assert instance.box_xywh == pytest.approx((593 - 302, 256 - 302, 604, 604))
    assert (raw.images[0].width, raw.images[0].height) == (None, None)
    assert any("no gt_valid.mat" in note for note in raw.notes)


def test_unlabelled_joints_are_zero(read: Read) -> None:
    row = person(joints_vis=[0, 1] * 8, joints=[[-1, -1], [8, 9]] * 8)
    (instance,) = read([row]).images[0].instances
    assert instance.num_keypoints == 8
    assert instance.keypoints[::2].tolist() == [[0, 0, 0]] * 8
    assert instance.keypoints[1::2].tolist() == [[7, 8, 2]] * 8


def test_ids_are_rows_and_persons_of_one_picture_meet(read: Read) -> None:
    raw = read([person(image="b.jpg"), person(image="a.jpg"), person(image="b.jpg"), person(image="c/b.jpg")])
    assert [(image.image_id, image.file_name) for image in raw.images] == [(0, "b.jpg"), (1, "a.jpg"), (2, "c/b.jpg")]
    assert [[one.instance_id for one in image.instances] for image in raw.images] == [[0, 2], [1], [3]]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (None, "must be an object"),
        ([], "must be an object"),
        (person(center=...), "center"),
        (person(center=[1, NAN]), "center"),
        (person(center=[1]), "center"),
        (person(scale=...), "scale"),
        (person(scale="3"), "scale"),
        (person(scale=1e308), "scale"),
        (person(joints=None), "16 pairs"),
        (person(joints=[[1, 2]] * 15), "16 pairs"),
        (person(joints=[[1, 2]] * 15 + [[1]]), "joints"),
        (person(joints=[[1, 2]] * 15 + [[1, NAN]]), "joints"),
        (person(joints=[[1, 2]] * 15 + [[10**400, 1]]), "joints"),
        (person(joints_vis=...), "joints_vis"),
        (person(joints_vis=[1] * 15), "joints_vis"),
        (person(image=None), "file_name"),
        (person(image="../../a.jpg"), "must stay inside"),
        (person(image="/a.jpg"), "must stay inside"),
        (person(image=["a"]), "file_name"),
    ],
)
@pytest.mark.parametrize("with_mat", [False, True])
def test_bad_persons_are_listed_by_row(read: Read, tmp_path: Path, row: Any, reason: str, with_mat: bool) -> None:
    if with_mat:
        scipy.io.savemat(tmp_path / "gt_valid.mat", ground_truth([person(), person(), person()]))
    raw = read([person(), row, person()])
    assert [instance.instance_id for instance in raw.images[0].instances] == [0, 2]
    (rejection,) = raw.rejections
    assert (rejection.kind, rejection.id) == ("annotation", 1)
    assert reason in rejection.reason


@pytest.mark.parametrize("scale", [0, -1])
def test_a_person_without_size_is_kept_without_a_box(read: Read, scale: float) -> None:
    (instance,) = read([person(scale=scale)]).images[0].instances
    assert instance.box_xywh == (593, 256, 0, 0)
    assert instance.scale == scale


def test_test_pictures_without_joints(read: Read) -> None:
    (instance,) = read([person(joints=..., joints_vis=...)]).images[0].instances
    assert not instance.keypoints.any()


def test_head_sizes_come_from_a_fitting_mat(read: Read, tmp_path: Path) -> None:
    rows = [person(), person(joints_vis=[0] * 16, joints=[[-1, -1]] * 16)]
    truth = ground_truth(rows)
    truth["pos_gt_src"][:, :, 1] = 777  # of unlabelled joints nobody asks where they are
    truth["headboxes_src"][1, :, 1] = (16, 18)
    scipy.io.savemat(tmp_path / "gt_valid.mat", truth)
    raw = read(rows)
    assert [one.head_size for one in raw.images[0].instances] == pytest.approx([0.6 * 50, 0.6 * 10])
    assert raw.notes == ["head sizes from gt_valid.mat"]


def test_an_unknown_head_box_is_no_head_size(read: Read, tmp_path: Path) -> None:
    truth = ground_truth([person()])
    truth["headboxes_src"][0, 0, 0] = NAN
    scipy.io.savemat(tmp_path / "gt_valid.mat", truth)
    assert read([person()]).images[0].instances[0].head_size is None


@pytest.mark.parametrize("rows", [[person()], [person(), person(scale=1), person(scale=2)]])
def test_a_mat_of_another_number_of_persons_is_noted(read: Read, tmp_path: Path, rows: list[Row]) -> None:
    scipy.io.savemat(tmp_path / "gt_valid.mat", ground_truth([person(), person()]))
    raw = read(rows)
    assert "describes other persons" in raw.notes[0]
    assert raw.images[0].instances[0].head_size is None


def test_a_mat_of_other_positions_is_noted(read: Read, tmp_path: Path) -> None:
    truth = ground_truth([person(), person()])
    truth["pos_gt_src"][7, 1, 1] += 1.5
    scipy.io.savemat(tmp_path / "gt_valid.mat", truth)
    assert "describes other persons" in read([person(), person()]).notes[0]
    truth["pos_gt_src"][7, 1, 1] -= 1
    scipy.io.savemat(tmp_path / "gt_valid.mat", truth)
    assert read([person(), person()]).notes == ["head sizes from gt_valid.mat"]


DAMAGES: list[Callable[[Path], object]] = [
    lambda path: path.write_bytes(b""),
    lambda path: path.write_bytes(b"<html>404</html>" * 40),
    lambda path: path.write_bytes(path.read_bytes()[:-60]),
    lambda path: path.write_bytes(path.read_bytes()[:140]),
    lambda path: (path.unlink(), path.mkdir()),
    lambda path: scipy.io.savemat(path, {"something": 1}),
    lambda path: scipy.io.savemat(path, ground_truth([person()]) | {"headboxes_src": np.ones((2, 2))}),
    lambda path: scipy.io.savemat(path, ground_truth([person()]) | {"pos_gt_src": np.ones((14, 2, 1))}),
    lambda path: scipy.io.savemat(path, ground_truth([person()]) | {"jnt_missing": "none"}),
]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_mat_is_an_error_that_names_it(read: Read, tmp_path: Path, damage: Callable[[Path], object]) -> None:
    scipy.io.savemat(tmp_path / "gt_valid.mat", ground_truth([person()]))
    damage(tmp_path / "gt_valid.mat")
    with pytest.raises(AnnotationError, match=r"gt_valid\.mat is not MPII's ground-truth file"):
        read([person()])


@pytest.mark.real_data
def test_real_head_boxes_fit_the_real_file(real_data: Path) -> None:
    raw = read_raw("mpii", real_data / "lsp/valid_mpii.json", "valid")
    assert raw.notes == ["head sizes from gt_valid.mat"]
    assert raw.rejections == []
    heads = [one.head_size for image in raw.images for one in image.instances]
    assert len(heads) == 1000
    assert min(size for size in heads if size is not None) > 0


@pytest.mark.real_data
def test_the_real_file_is_kept_whole(real_data: Path) -> None:
    raw = read_raw("mpii", real_data / "mini/mpii/mpii_mini.json", "mini")
    assert raw.rejections == []
    assert (len(raw.images), sum(len(image.instances) for image in raw.images)) == (5, 5)

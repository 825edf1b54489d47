"""Which pictures are worth looking at, and their file."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from evaluation.cases import Case, CasePerson, choose_cases, read_cases, write_cases
from evaluation.stored_json import EvaluationFolderError
from pose.skeletons import COCO_17, Skeleton

PAIR = Skeleton("pair", ("left_end", "right_end"), (1, 0), ((0, 1),), (0.05, 0.05), (), ())


@dataclass
class Went:
    value: float
    counts: dict[str, int]


def case(**changes: Any) -> Case:
    person = CasePerson("predicted", 7, 0.5, None, ((1.0, 2.0, 0.5), (3.0, 4.0, 0.0)), 0.25, {1: "swap"})
    return replace(Case(1, "a.jpg", 64, 48, "0.jpg", None, "worst", (person,), {"swap": 1}, 0.25), **changes)


def test_the_worst_come_first_then_those_with_most_of_each_error_then_the_median() -> None:
    judged = {n: Went(n / 100, {"swap": n} if n in (50, 60, 70) else {"good": 100}) for n in range(1, 101)}
    chosen = choose_cases(judged, worst=3, median=2, of_each_error=2, sample=0)
    assert list(chosen.items()) == [
        (1, "worst"), (2, "worst"), (3, "worst"), (70, "most swap"), (60, "most swap"), (51, "median"), (50, "median"),
    ]  # fmt: skip


def test_a_picture_is_chosen_once_and_ties_go_to_the_smaller_id() -> None:
    judged = {n: Went(0.5, {"miss": 1}) for n in (9, 4, 7, 1)}
    assert choose_cases(judged, worst=2, median=5, of_each_error=1, sample=2) == {
        1: "worst", 4: "worst", 7: "most miss", 9: "median",
    }  # fmt: skip
    assert choose_cases({}) == {}


def test_every_evaluation_of_a_split_shows_some_of_the_same_pictures() -> None:
    first = choose_cases({n: Went(n / 100, {}) for n in range(100)}, worst=3, median=0, sample=4)
    second = choose_cases({n: Went(1 - n / 100, {}) for n in range(100)}, worst=3, median=0, sample=4)
    assert {n for n, rank in first.items() if rank == "sample"} == {12, 37, 62, 87} == first.keys() & second.keys()


def test_cases_come_back_as_they_were_with_a_skeleton_of_ones_own(tmp_path: Path) -> None:
    written = [case(), case(image_id=2, heatmap="0.png", persons=())]
    write_cases(tmp_path / "cases", written, PAIR)
    found = read_cases(tmp_path / "cases")
    assert found is not None
    assert (list(found.cases), found.skeleton) == (written, PAIR)
    assert read_cases(tmp_path) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"picture": "../secret.jpg"}, "no name of a file beside it"),
        ({"heatmap": "/etc/passwd"}, "no name of a file beside it"),
        ({"picture": ".."}, "no name of a file beside it"),
        ({"width": 0}, "cases.0.width"),
        ({"value": "much"}, "cases.0.value"),
    ],
)
def test_a_file_that_would_lead_elsewhere_or_is_damaged_is_refused(tmp_path: Path, change: Any, said: str) -> None:
    write_cases(tmp_path, [case(**change)], PAIR)
    with pytest.raises(EvaluationFolderError, match=r"cases\.json.*" + said):
        read_cases(tmp_path)


def test_persons_of_another_skeleton_are_refused(tmp_path: Path) -> None:
    write_cases(tmp_path, [case()], COCO_17)
    with pytest.raises(
        EvaluationFolderError, match=r"'a\.jpg', person 7: expected the 17 keypoints of coco_17.*found 2"
    ):
        read_cases(tmp_path)
    content = {"skeleton": {"name": "x"}, "cases": []}
    (tmp_path / "cases.json").write_text(json.dumps(content))
    with pytest.raises(EvaluationFolderError, match="keypoint_names"):
        read_cases(tmp_path)

"""Skeletons as JSON: nothing is lost, and every mistake in a user's file is named."""

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from own_skeleton import STAR, write_skeleton

from pose.errors import UserError
from pose.skeleton_file import (
    SkeletonError,
    parse_reference,
    parse_skeleton,
    read_skeleton,
    skeleton_reference,
    skeleton_to_dict,
)
from pose.skeletons import COCO_17, SKELETONS, Skeleton, contrast


def test_a_file_becomes_a_skeleton(tmp_path: Path) -> None:
    path = write_skeleton(tmp_path, upper_body=["tip", "fin_a"], lower_body=["tail_b"])
    assert read_skeleton(path) == Skeleton(
        name="star_5",
        keypoint_names=("tip", "fin_a", "fin_b", "tail_a", "tail_b"),
        flip_indices=(0, 2, 1, 4, 3),
        limbs=((0, 1), (0, 2), (1, 3), (2, 4)),
        oks_sigmas=(0.05, 0.08, 0.08, 0.15, 0.15),
        upper_body=(0, 1),
        lower_body=(4,),
    )


@pytest.mark.parametrize("skeleton", [*SKELETONS.values(), parse_skeleton(STAR, "star")], ids=lambda each: each.name)
def test_nothing_is_lost_in_json(skeleton: Skeleton) -> None:
    assert parse_skeleton(json.loads(json.dumps(skeleton_to_dict(skeleton))), "back") == skeleton
    assert parse_reference(json.loads(json.dumps(skeleton_reference(skeleton))), "back") == skeleton


def test_only_built_in_skeletons_are_referred_to_by_name() -> None:
    assert skeleton_reference(COCO_17) == "coco_17"
    assert parse_reference("coco_17", "x") is COCO_17
    assert skeleton_reference(parse_skeleton(STAR, "star")) == skeleton_to_dict(parse_skeleton(STAR, "star"))
    with pytest.raises(SkeletonError, match="there: unknown skeleton 'star_5'; known: coco_17, mpii_16"):
        parse_reference("star_5", "there")


@given(st.integers(1, 300), st.randoms())
def test_any_number_of_keypoints(count: int, random: Any) -> None:
    names = [f"k{number}" for number in range(count)]
    shuffled = random.sample(names, count)
    pairs = [list(pair) for pair in zip(shuffled[::2], shuffled[1::2], strict=False)]
    content = {"name": "many", "keypoint_names": names, "oks_sigmas": [0.05] * count, "flip_pairs": pairs}
    skeleton = parse_skeleton(content | {"limbs": pairs}, "many")
    assert skeleton.num_keypoints == count
    assert [skeleton.flip_indices[k] for k in skeleton.flip_indices] == list(range(count))
    assert {frozenset(limb) for limb in skeleton.limbs} == {
        frozenset((k, other)) for k, other in enumerate(skeleton.flip_indices) if k != other
    }
    assert parse_skeleton(skeleton_to_dict(skeleton), "back") == skeleton


def test_left_and_right_trade_places_unless_pairs_say_otherwise() -> None:
    content = {"name": "face", "keypoint_names": ["left_eye", "nose", "right_eye"], "oks_sigmas": [0.1, 0.1, 0.1]}
    face = parse_skeleton(content, "face")
    assert (face.flip_indices, face.limbs, face.upper_body, face.lower_body) == ((2, 1, 0), (), (), ())
    assert parse_skeleton(content | {"flip_pairs": []}, "face").flip_indices == (0, 1, 2)


def test_an_entry_of_cocos_categories_needs_only_sigmas() -> None:
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(COCO_17.keypoint_names),
        "skeleton": [[start + 1, end + 1] for start, end in COCO_17.limbs],
    }
    with pytest.raises(
        SkeletonError, match=r'category: oks_sigmas is missing; add a number .* such as {"nose": 0.05, …}'
    ):
        parse_skeleton(category, "category")
    person = parse_skeleton(category | {"oks_sigmas": list(COCO_17.oks_sigmas)}, "category")
    assert (person.limbs, person.flip_indices) == (COCO_17.limbs, COCO_17.flip_indices)
    without_limbs = {key: value for key, value in category.items() if key != "skeleton"}
    assert parse_skeleton(without_limbs | {"oks_sigmas": [0.1] * 17}, "category").limbs == ()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ...}, "name: expected the skeleton's name"),
        ({"name": " "}, "name: expected"),
        ({"name": "a\nb"}, "name: expected"),
        ({"name": "coco_17"}, "coco_17 is the name of a built-in skeleton with another definition; rename it"),
        ({"keypoint_names": ...}, "keypoint_names: expected a list of keypoints' names, got None"),
        ({"keypoint_names": []}, "keypoint_names is empty"),
        ({"keypoint_names": "tip"}, "keypoint_names: expected a list"),
        ({"keypoint_names": ["tip", 3]}, "keypoint_names: expected a list"),
        ({"keypoint_names": ["tip", "fin", "tip"]}, "keypoint_names has 'tip' more than once"),
        ({"limbs": [["tip", "nose"]]}, "limbs: unknown keypoint 'nose'; known: tip, fin_a, fin_b, tail_a, tail_b"),
        ({"limbs": [["tip", "tip"]]}, "limbs has 'tip' more than once"),
        ({"limbs": [["tip", "fin_a"], ["fin_a", "tip"]]}, "limbs has the pair .* more than once"),
        ({"limbs": [["tip", "fin_a", "fin_b"]]}, "limbs: expected a pair"),
        ({"limbs": [[0, 1]]}, "limbs: expected a list of keypoints' names"),
        ({"limbs": "tip"}, "limbs: expected a list of pairs"),
        ({"flip_pairs": [["fin_a", "fin_b"], ["fin_a", "tail_a"]]}, "flip_pairs: 'fin_a' is in two pairs"),
        ({"flip_pairs": [["fin_a", "fin"]]}, "flip_pairs: unknown keypoint 'fin'"),
        ({"upper_body": ["head"]}, "upper_body: unknown keypoint 'head'"),
        ({"lower_body": ["tip", "tip"]}, "lower_body has 'tip' more than once"),
        ({"oks_sigmas": ...}, "oks_sigmas is missing; add a number for every keypoint"),
        ({"oks_sigmas": {"tip": 0.1}}, "oks_sigmas has no number for 'fin_a', 'fin_b', 'tail_a', 'tail_b'"),
        ({"oks_sigmas": STAR["oks_sigmas"] | {"nose": 0.1}}, "oks_sigmas: unknown keypoint 'nose'"),
        ({"oks_sigmas": [0.1] * 4}, "oks_sigmas: expected 5 numbers, one for each keypoint"),
        ({"oks_sigmas": [0.1, 0.1, 0, 0.1, 0.1]}, "expected a number above 0 and up to 1 for 'fin_b', got 0"),
        ({"oks_sigmas": [0.1, 0.1, float("nan"), 0.1, 0.1]}, "for 'fin_b', got nan"),
        ({"oks_sigmas": [0.1, 0.1, True, 0.1, 0.1]}, "for 'fin_b', got True"),
        ({"oks_sigmas": [5, 5, 5, 5, 5]}, "up to 1 for 'tip', got 5"),
        ({"oks_sigmas": 0.1}, "oks_sigmas: expected 5 numbers"),
        ({"sigmas": []}, "unknown key 'sigmas'; known: name, keypoint_names, limbs, oks_sigmas"),
        ({"keypoint_names": ..., "keypoints": ["a"], "skeleton": [[0, 1]]}, "places of keypoints, 1 to 1, got .0, 1."),
        ({"keypoint_names": ..., "keypoints": ["a"], "skeleton": 3}, "skeleton: expected pairs of places"),
        ({"categories": []}, "is a whole annotation file; take one entry"),
        (
            {"keypoint_names": ["left_ear", "tail"], "flip_pairs": ...},
            "'left_ear' has no 'right_ear' to trade places with in a mirror; add \"flip_pairs\"",
        ),
    ],
)
def test_mistakes_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    path = write_skeleton(tmp_path, **changes)
    with pytest.raises(SkeletonError, match=message) as caught:
        read_skeleton(path)
    assert isinstance(caught.value, UserError)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is not the JSON of a skeleton"),
        (b"\xff", "is not the JSON of a skeleton"),
        (b"[" * 100_000, "is not the JSON of a skeleton"),
        (b'{"name": "a", "name": "b"}', "the key 'name' comes twice"),
        (b"[]", "expected a JSON object with name, keypoint_names"),
        (None, "No such file"),
    ],
)
def test_files_that_are_no_json_objects_are_refused(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "own.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SkeletonError, match=message):
        read_skeleton(path)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=3), lambda v: st.lists(v, max_size=3)))
def test_no_value_gives_another_error(value: Any) -> None:
    for key in STAR:
        with suppress(SkeletonError):
            taken = parse_skeleton(STAR | {key: value}, "star")
            assert parse_skeleton(skeleton_to_dict(taken), "again") == taken


def test_contrast_names_what_differs() -> None:
    star, other = parse_skeleton(STAR, "a"), parse_skeleton(STAR | {"limbs": [], "oks_sigmas": [0.1] * 5}, "b")
    assert contrast(star, COCO_17) == "star_5 and coco_17"
    assert contrast(star, other) == "two definitions of star_5, which differ in limbs, oks_sigmas"

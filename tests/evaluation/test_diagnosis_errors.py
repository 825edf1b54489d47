"""Every type of keypoint error, at both sides of its thresholds."""

import math

import numpy as np
import pytest

from evaluation.diagnosis import ERROR_TYPES, diagnose
from pose.skeletons import COCO_17, CROWDPOSE_14

WRIST, OTHER_WRIST, NOSE = COCO_17.index("left_wrist"), COCO_17.index("right_wrist"), COCO_17.index("nose")
AREA = 10_000.0


def distance(similarity, keypoint, area=AREA, skeleton=COCO_17):
    """How far a keypoint of that similarity to its truth lies from it, px."""
    return math.sqrt(-2 * math.log(similarity) * area) * 2 * skeleton.oks_sigmas[keypoint]


def pose(left, skeleton=COCO_17):
    """Keypoints 300 px apart from each other, so that none is near another by chance."""
    columns, rows = np.divmod(np.arange(skeleton.num_keypoints), 4)
    return np.column_stack([left + 300.0 * columns, 300.0 * rows])


def annotation(keypoints, number=1, visibility=2, **changes):
    visibilities = np.broadcast_to(visibility, len(keypoints))
    return {
        "id": number, "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": [0, 0, 100, 100], "area": AREA,
        "num_keypoints": int((visibilities > 0).sum()),
        "keypoints": np.column_stack([keypoints, visibilities]).reshape(-1).tolist(),
    } | changes  # fmt: skip


def truth_of(*annotations):
    return {"images": [{"id": 1}], "annotations": list(annotations), "categories": [{"id": 1, "name": "person"}]}


def answer(keypoints, score=0.9):
    triples = np.column_stack([keypoints, np.ones(len(keypoints))])
    return {"image_id": 1, "category_id": 1, "keypoints": triples.reshape(-1).tolist(), "score": score}


def error_of(keypoint, place, truth):
    """The error of one keypoint at `place`, all others of the first person being right."""
    keypoints = np.array(truth["annotations"][0]["keypoints"]).reshape(-1, 3)[:, :2]
    keypoints[keypoint] = place
    matches = diagnose(truth, [answer(keypoints)], COCO_17).matches
    others = np.delete(matches.errors[0], keypoint)
    assert set(others.tolist()) <= {0, -1}
    number = int(matches.errors[0, keypoint])
    return None if number < 0 else ERROR_TYPES[number]


@pytest.fixture
def one():
    return truth_of(annotation(pose(0)))


@pytest.fixture
def two():
    return truth_of(annotation(pose(0)), annotation(pose(5000), 2))


@pytest.mark.parametrize(
    ("similarity", "expected"),
    [(1.0, "good"), (0.86, "good"), (0.8501, "good"), (0.8499, "jitter"), (0.5001, "jitter"), (0.4999, "miss")],
)
@pytest.mark.parametrize("keypoint", [NOSE, WRIST])
def test_distance_to_the_truth(one, similarity, expected, keypoint):
    place = pose(0)[keypoint] + [distance(similarity, keypoint), 0]
    assert error_of(keypoint, place, one) == expected


@pytest.mark.parametrize(("similarity", "expected"), [(1.0, "inversion"), (0.5001, "inversion"), (0.4999, "miss")])
def test_at_the_mirrored_keypoint(one, similarity, expected):
    place = pose(0)[OTHER_WRIST] + [0, distance(similarity, WRIST)]
    assert error_of(WRIST, place, one) == expected


@pytest.mark.parametrize(("similarity", "expected"), [(1.0, "swap"), (0.5001, "swap"), (0.4999, "miss")])
@pytest.mark.parametrize("of_the_other", [WRIST, OTHER_WRIST])
def test_at_another_person(two, similarity, expected, of_the_other):
    place = pose(5000)[of_the_other] - [distance(similarity, WRIST), 0]
    assert error_of(WRIST, place, two) == expected


def test_the_size_of_the_other_person_sets_what_is_near_it(two):
    two["annotations"][1]["area"] = AREA / 4
    place = pose(5000)[WRIST] - [distance(0.6, WRIST), 0]
    assert error_of(WRIST, place, two) == "miss"


def test_at_another_kind_of_keypoint_it_is_a_miss(one):
    assert error_of(WRIST, pose(0)[COCO_17.index("left_knee")], one) == "miss"


def moved(truth, places):
    """The truth with some keypoints, (person, keypoint), put elsewhere."""
    persons = []
    for number, person in enumerate(truth["annotations"]):
        keypoints = np.array(person["keypoints"]).reshape(-1, 3)
        for (owner, keypoint), place in places.items():
            if owner == number:
                keypoints[keypoint, :2] = place
        persons.append(person | {"keypoints": keypoints.reshape(-1).tolist()})
    return truth | {"annotations": persons}


@pytest.mark.parametrize(
    ("other", "expected"), [((0, OTHER_WRIST), "inversion"), ((1, WRIST), "swap"), ((1, OTHER_WRIST), "swap")]
)
def test_the_most_similar_decides_between_jitter_inversion_and_swap(two, other, expected):
    place = pose(0)[WRIST] + [distance(0.6, WRIST), 0]
    near, far = (place + np.array([0, distance(similarity, WRIST)]) for similarity in (0.7, 0.55))
    assert error_of(WRIST, place, moved(two, {other: near})) == expected
    assert error_of(WRIST, place, moved(two, {other: far})) == "jitter"


def test_what_is_good_stays_good_however_near_others_are(two):
    place = pose(0)[WRIST] + [distance(0.86, WRIST), 0]
    assert error_of(WRIST, place, moved(two, {(1, WRIST): place})) == "good"
    assert error_of(WRIST, place, moved(two, {(0, OTHER_WRIST): place})) == "good"


def test_equals_go_to_the_own_truth_then_to_others_then_to_the_mirror(two):
    here, place = pose(0)[WRIST], pose(0)[WRIST] + [distance(0.6, WRIST), 0]
    away = {(0, WRIST): [9000, 9000]}
    assert error_of(WRIST, place, moved(two, {(1, WRIST): here, (0, OTHER_WRIST): here})) == "jitter"
    assert error_of(WRIST, place, moved(two, away | {(1, WRIST): here, (0, OTHER_WRIST): here})) == "swap"
    assert error_of(WRIST, place, moved(two, away | {(1, OTHER_WRIST): here, (0, OTHER_WRIST): here})) == "inversion"


def test_only_labelled_keypoints_are_told_and_only_labelled_ones_attract(one):
    visibility = np.full(17, 2)
    visibility[[WRIST, NOSE]] = 0, 1
    hidden = truth_of(annotation(pose(0), visibility=visibility))
    assert error_of(WRIST, [9000, 9000], hidden) is None
    assert error_of(NOSE, [9000, 9000], hidden) == "miss"
    assert error_of(OTHER_WRIST, pose(0)[WRIST], one) == "inversion"
    assert error_of(OTHER_WRIST, pose(0)[WRIST], hidden) == "miss"


def test_crowdpose_takes_its_area_from_the_box():
    keypoint = CROWDPOSE_14.index("left_wrist")
    person = annotation(pose(0, CROWDPOSE_14), bbox=[0, 0, 100, 200], area=1.0)
    area = 0.53 * 100 * 200
    for similarity, expected in ((0.8501, "good"), (0.8499, "jitter"), (0.5001, "jitter"), (0.4999, "miss")):
        keypoints = pose(0, CROWDPOSE_14)
        keypoints[keypoint, 1] += distance(similarity, keypoint, area, CROWDPOSE_14)
        errors = diagnose(truth_of(person), [answer(keypoints)], CROWDPOSE_14, "crowdpose").matches.errors
        assert ERROR_TYPES[errors[0, keypoint]] == expected


@pytest.mark.parametrize(("oks", "matched"), [(0.1001, 1), (0.0999, 0)])
def test_matched_from_an_oks_of_a_tenth(one, oks, matched):
    keypoints = pose(0)
    for keypoint in range(17):
        keypoints[keypoint, 0] += distance(oks, keypoint)
    counts = diagnose(one, [answer(keypoints)], COCO_17).counts
    assert (counts["matched"], counts["background"], counts["missed"]) == (matched, 1 - matched, 1 - matched)


def test_who_is_matched_doubled_in_the_background_ignored_and_missed(two):
    crowd = annotation(pose(0), 3, visibility=0, iscrowd=1, bbox=[20000, 0, 400, 400], area=160000)
    crowd["keypoints"] = [0] * 51
    truth = truth_of(*two["annotations"], crowd)
    in_crowd = np.full((17, 2), [20100.0, 100.0])
    results = [
        answer(pose(-40000), 0.99),
        answer(pose(2), 0.3),
        answer(pose(1), 0.7),
        answer(in_crowd, 0.6),
        answer(in_crowd, 0.5),
    ]
    diagnosis = diagnose(truth, results, COCO_17)
    matches = diagnosis.matches
    assert matches.result_rows.tolist() == [2]
    assert matches.annotation_rows.tolist() == [0]
    assert (matches.background.tolist(), matches.duplicates.tolist(), matches.missed.tolist()) == ([0], [1], [1])
    assert diagnosis.counts == {
        "images": 1, "persons": 2, "ignored": 1, "detections": 5, "beyond_limit": 0, "matched": 1, "on_ignored": 2,
        "duplicates": 1, "background": 1, "missed": 1,
    }  # fmt: skip

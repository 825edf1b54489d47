"""The whole diagnosis: right answers, no answers, orders, groups of persons, real annotations."""

import copy
import json
import math

import numpy as np
import pytest

from evaluation.coco import evaluate_coco
from evaluation.crowdpose import MissingToolError, evaluate_crowdpose, require_xtcocotools
from evaluation.diagnosis import ERROR_TYPES, diagnose
from evaluation.diagnosis_errors import GOOD
from pose.skeletons import COCO_17, CROWDPOSE_14, Skeleton


def right_answers(truth, noise=0.0):
    rng = np.random.default_rng(5)
    results = []
    for person in truth["annotations"]:
        keypoints = np.array(person["keypoints"], float).reshape(-1, 3)
        keypoints[:, :2] += rng.normal(0, noise, (len(keypoints), 2)) if noise else 0
        row = {"image_id": person["image_id"], "category_id": 1, "score": float(rng.random())}
        results.append(row | {"keypoints": keypoints.reshape(-1).tolist()})
    return results


def rounded(told):
    return json.loads(json.dumps(told), parse_float=lambda text: round(float(text), 9))


@pytest.mark.parametrize(("skeleton", "kind"), [(COCO_17, "coco"), (CROWDPOSE_14, "crowdpose")])
def test_an_answer_equal_to_the_truth_has_no_errors(make_truth, skeleton, kind):
    truth = make_truth(skeleton.num_keypoints)
    diagnosis = diagnose(truth, right_answers(truth), skeleton, kind)
    assert (diagnosis.ap, diagnosis.mean_oks) == (pytest.approx(1), pytest.approx(1))
    assert diagnosis.overall.shares == {name: float(name == "good") for name in ERROR_TYPES}
    assert {cost.name: cost.changed for cost in diagnosis.costs if cost.changed} == {"score": 9}
    assert [cost.ap for cost in diagnosis.costs] == pytest.approx([1.0] * 8)
    assert [entry.ap for entry in diagnosis.keypoints] == pytest.approx([1.0] * skeleton.num_keypoints)
    assert all(entry.mean_similarity == 1 for entry in diagnosis.keypoints)


def test_arguments_are_not_changed_and_json_holds_no_nan(make_truth):
    truth = make_truth(17)
    results = right_answers(truth, 3.0)
    before = copy.deepcopy((truth, results))
    told = diagnose(truth, results, COCO_17).to_json()
    assert (truth, results) == before
    assert json.loads(json.dumps(told, allow_nan=False)) == told


@pytest.mark.parametrize("kind", ["coco", "crowdpose"])
def test_nobody_annotated_and_nobody_found_are_undefined_not_zero(make_truth, kind):
    skeleton = COCO_17 if kind == "coco" else CROWDPOSE_14
    truth = make_truth(skeleton.num_keypoints)
    nobody = truth | {"annotations": []}
    told = diagnose(nobody, right_answers(truth), skeleton, kind).to_json()
    assert (told["ap"], told["mean_oks"], told["counts"]["background"]) == (None, None, 9)
    assert set(told["errors"]["overall"]["shares"].values()) == {None}
    assert all(cost["ap"] is None and cost["gain"] is None and cost["step"] is None for cost in told["costs"])
    told = diagnose(truth, [], skeleton, kind).to_json()
    assert (told["ap"], told["mean_oks"], told["counts"]["missed"]) == (0, None, 9)
    assert told["costs"][-1]["ap"] is None  # whoever is missed is left out, and nobody is left
    assert diagnose(nobody, [], skeleton, kind).to_json()["ap"] is None


def test_the_order_of_rows_does_not_matter(make_truth):
    truth = make_truth(17, persons=4)
    results = [*right_answers(truth, 4.0), *right_answers(truth, 15.0)]
    results = [row | {"score": float(score)} for row, score in zip(results, np.linspace(0, 1, 24), strict=True)]
    before = diagnose(truth, results, COCO_17)
    rng = np.random.default_rng(1)
    order = rng.permutation(len(results)).tolist()
    people = rng.permutation(len(truth["annotations"])).tolist()
    shuffled = {
        **truth, "images": truth["images"][::-1], "annotations": [truth["annotations"][row] for row in people],
    }  # fmt: skip
    after = diagnose(shuffled, [results[row] for row in order], COCO_17)
    assert rounded(after.to_json()) == rounded(before.to_json())
    named_before = dict(zip(before.matches.result_rows, before.matches.annotation_rows, strict=True))
    named_after = {
        order[row]: people[person]
        for row, person in zip(after.matches.result_rows, after.matches.annotation_rows, strict=True)
    }
    assert named_after == named_before


def test_matches_tell_the_errors_that_are_counted(make_truth):
    truth = make_truth(17)
    diagnosis = diagnose(truth, right_answers(truth, 8.0), COCO_17)
    errors = diagnosis.matches.errors
    assert errors.shape == (diagnosis.counts["matched"], 17)
    counted = {name: int((errors == number).sum()) for number, name in enumerate(ERROR_TYPES)}
    assert counted == diagnosis.overall.counts
    assert 0 < counted["good"] < diagnosis.overall.keypoints
    for number, entry in enumerate(diagnosis.keypoints):
        assert entry.counts["good"] == (errors[:, number] == GOOD).sum()
    assert diagnosis.mean_oks == pytest.approx(diagnosis.matches.oks.mean())


def test_ap_of_a_keypoint_by_hand():
    people = [
        person(1, 1, (0, 0, 100, 100)),
        person(1, 2, (900, 0, 100, 100)),
        person(1, 3, (1800, 0, 100, 100), 16, 16),
    ]
    people.append(person(1, 4, (2700, 0, 100, 100)))
    truth = {"images": [{"id": 1}], "annotations": people, "categories": [{"id": 1, "name": "person"}]}
    results = [row | {"score": score} for row, score in zip(right_answers(truth), (0.9, 0.7, 0.8, 0.6), strict=True)]
    ankle = results[1]["keypoints"]
    ankle[48] += math.sqrt(-2 * math.log(0.76) * 1e4) * 2 * COCO_17.oks_sigmas[16]  # right up to 0.75
    wrong = results[0] | {"keypoints": [9000.0, 9000.0, 1.0] * 17, "score": 0.95}
    diagnosis = diagnose(truth, [*results[:3], wrong], COCO_17)
    # By score: wrong, right, (does not label the ankle), right at 6 of 10 thresholds; one of three is missed.
    at_low, at_high = 67 * (2 / 3) / 101, 34 * 0.5 / 101
    assert diagnosis.keypoints[16].ap == pytest.approx(0.6 * at_low + 0.4 * at_high)
    assert diagnosis.keypoints[15].ap == pytest.approx((26 + 25 + 25) * 0.75 / 101)


def groups_of(diagnosis, name):
    return {group.group: group for dimension in diagnosis.sensitivity if dimension.name == name
            for group in dimension.groups}  # fmt: skip


def test_sizes_are_the_official_ones(make_truth):
    truth = make_truth(17, crowd_indices=(0.1,) * 6)
    results = right_answers(truth, 5.0)
    official, sizes = evaluate_coco(truth, results), groups_of(diagnose(truth, results, COCO_17), "size")
    assert (sizes["medium"].ap, sizes["large"].ap) == (official["APM"], official["APL"])
    assert (sizes["medium"].ar, sizes["large"].ar) == (official["ARM"], official["ARL"])
    assert (sizes["small"].persons, sizes["small"].ap) == (0, None)
    assert sizes["medium"].mean_oks < sizes["large"].mean_oks


def test_crowding_levels_are_the_official_ones(make_truth):
    try:
        require_xtcocotools()
    except MissingToolError as error:
        pytest.skip(str(error))
    truth = make_truth(14, crowd_indices=(0.1, 0.5, 0.6, 0.9))
    results = right_answers(truth, 5.0)
    levels = groups_of(diagnose(truth, results, CROWDPOSE_14, "crowdpose"), "crowd_index")
    official = evaluate_crowdpose(truth, results)
    for level in ("easy", "medium", "hard"):
        assert round(levels[level].ap, 4) == official[f"AP_{level}"]
    assert [levels[level].persons for level in ("easy", "medium", "hard")] == [3, 6, 3]


def person(image_id, number, box, labelled=17, visible=17):
    corner = np.array(box[:2], float)
    places = corner + np.column_stack([np.linspace(0, box[2], 17), np.linspace(0, box[3], 17)])
    visibility = np.where(np.arange(17) < visible, 2, np.where(np.arange(17) < labelled, 1, 0))
    return {
        "id": number, "image_id": image_id, "category_id": 1, "iscrowd": 0, "bbox": list(box),
        "area": float(box[2] * box[3]), "num_keypoints": labelled,
        "keypoints": np.column_stack([places, visibility]).reshape(-1).tolist(),
    }  # fmt: skip


def test_overlaps_count_boxes_of_the_same_image():
    people = [
        person(1, 1, (0, 0, 100, 100)),
        person(1, 2, (80, 0, 100, 100)),  # 2000 / 18000 = 0.11 of both
        person(1, 3, (163, 0, 100, 100)),  # 0.093 with the second
        person(1, 4, (5, 5, 100, 100)),
        person(2, 5, (0, 0, 100, 100)),
    ]
    truth = {"images": [{"id": 1}, {"id": 2}], "annotations": people, "categories": [{"id": 1, "name": "person"}]}
    groups = groups_of(diagnose(truth, right_answers(truth), COCO_17), "overlap")
    assert {name: group.persons for name, group in groups.items()} == {"none": 2, "1-2": 3, "3+": 0}
    people.append(person(1, 6, (6, 5, 100, 100)) | {"iscrowd": 1})
    groups = groups_of(diagnose(truth, right_answers(truth), COCO_17), "overlap")
    assert groups["3+"].persons == 0


def test_labelled_and_visible_keypoints_and_the_missed_of_a_group():
    people = [
        person(number, number, (0, 0, 100, 200), labelled, visible)
        for number, (labelled, visible) in enumerate([(17, 17), (17, 0), (5, 5), (6, 1), (16, 15)], start=1)
    ]
    truth = {
        "images": [{"id": number} for number in range(1, 6)], "annotations": people,
        "categories": [{"id": 1, "name": "person"}],
    }  # fmt: skip
    diagnosis = diagnose(truth, right_answers(truth)[:4], COCO_17)
    labelled, visible = groups_of(diagnosis, "labelled"), groups_of(diagnosis, "visible")
    assert {name: group.persons for name, group in labelled.items()} == {"1-5": 1, "6-10": 1, "11-15": 0, "16-17": 3}
    assert {n: g.persons for n, g in visible.items()} == {"0": 1, "1-5": 2, "6-10": 0, "11-15": 1, "16-17": 1}
    assert {name: group.missed for name, group in labelled.items()} == {"1-5": 0, "6-10": 0, "11-15": 0, "16-17": 1}
    assert labelled["16-17"].ar == pytest.approx(2 / 3)
    assert labelled["11-15"].ap is None


def test_a_skeleton_of_ones_own(make_truth):
    skeleton = Skeleton("animal", ("left_ear", "right_ear", "tail"), (1, 0, 2), ((0, 2),), (0.05, 0.05, 0.1), (), ())
    truth = make_truth(3)
    results = right_answers(truth)
    for result in results:
        flat = result["keypoints"]
        flat[0:2], flat[3:5] = flat[3:5], flat[0:2]
    diagnosis = diagnose(truth, results, skeleton)
    assert [entry.name for entry in diagnosis.keypoints] == ["left_ear", "right_ear", "tail"]
    assert diagnosis.keypoints[0].counts["inversion"] > 0
    assert diagnosis.keypoints[2].counts["inversion"] == 0


def test_unknown_kind(make_truth):
    with pytest.raises(ValueError, match="unknown kind 'mpii'; known: coco, crowdpose"):
        diagnose(make_truth(17), [], COCO_17, "mpii")


@pytest.mark.real_data
def test_real_annotations_with_noisy_answers(real_data):
    truth = json.loads((real_data / "mini" / "coco" / "person_keypoints_mini.json").read_text())
    rng = np.random.default_rng(0)
    results = []
    for person_ in truth["annotations"]:
        keypoints = np.array(person_["keypoints"], float).reshape(17, 3)
        keypoints[:, :2] += rng.normal(0, 0.02 * math.sqrt(person_["area"]), (17, 2))
        results.append({"image_id": person_["image_id"], "category_id": 1, "score": float(rng.random()),
                        "keypoints": keypoints.reshape(-1).tolist()})  # fmt: skip
    diagnosis = diagnose(truth, results, COCO_17)
    assert diagnosis.ap == evaluate_coco(truth, results)["AP"]
    assert (diagnosis.counts["persons"], diagnosis.counts["ignored"]) == (12, 2)
    face = [diagnosis.keypoints[k].mean_similarity for k in range(5)]
    hips = [diagnosis.keypoints[k].mean_similarity for k in (11, 12)]
    assert max(face) < min(hips)

"""Fast scoring equals the official tools to the last bit, on random and on hostile inputs."""

import json

import numpy as np
import pytest

from evaluation.coco import evaluate_coco
from evaluation.crowdpose import MissingToolError, evaluate_crowdpose, require_xtcocotools
from evaluation.diagnosis import diagnose
from evaluation.fast_oks_score import fast_coco, fast_crowdpose
from pose.errors import UserError
from pose.skeletons import COCO_17, CROWDPOSE_14

GOOD = 4  # a seed that gives several annotations and results


def person(rng, num_keypoints, image_id, number):
    """Anything an annotation may hold: crowds, no labels, labels against num_keypoints, areas at the ranges' ends."""
    corner, size = rng.uniform(0, 100, 2), rng.choice([20, 33, 95, 200])
    keypoints = np.rint(corner + rng.uniform(0, size, (num_keypoints, 2)))
    visibility = rng.choice([0, 1, 2], num_keypoints) * (rng.random() > 0.15)
    keypoints[visibility == 0] = 0
    counted = int((visibility > 0).sum()) if rng.random() < 0.8 else int(rng.choice([0, 3]))
    area = rng.choice([0, 1024, 1023.9999, 1024.0001, 9216, 9216.5, 9215.5, 1e10, float(size) ** 2 / 2])
    return {
        "id": number, "image_id": image_id, "category_id": int(rng.choice([1, 1, 1, 1, 2])),
        "iscrowd": int(rng.random() < 0.15),
        "bbox": [*corner.tolist(), float(size), float(size * rng.choice([0, 1, 2]))],
        "area": float(area), "num_keypoints": counted,
        "keypoints": np.column_stack([keypoints, visibility]).reshape(-1).astype(float).tolist(),
    }  # fmt: skip


def answer(rng, annotations, num_keypoints, image_id):
    """A copy of an annotated person, near it, or anywhere; scores tie often, also across images."""
    here = [a for a in annotations if a["image_id"] == image_id]
    if here and rng.random() < 0.8:
        keypoints = np.array(here[rng.integers(len(here))]["keypoints"]).reshape(-1, 3)[:, :2]
        keypoints = keypoints + rng.choice([0, 0, 1, 3, 10]) * rng.normal(size=keypoints.shape)
    else:
        keypoints = rng.uniform(0, rng.choice([30, 300, 3e5]), (num_keypoints, 2))
    return {
        "image_id": image_id, "category_id": int(rng.choice([1] * 9 + [2])),
        "keypoints": np.column_stack([keypoints, rng.choice([0.0, 0.5, 1.0], num_keypoints)]).reshape(-1).tolist(),
        "score": float(rng.choice([-1.0, 0.0, 0.25, 0.5, rng.random()])),
    }  # fmt: skip


def hostile(seed, num_keypoints):
    rng = np.random.default_rng(seed)
    ids = rng.permutation(1000)[: rng.integers(1, 9)].tolist()
    images = [{"id": i, "crowdIndex": float(rng.choice([0, 0.1999, 0.2, 0.5, 0.8, 1.0]))} for i in ids]
    if rng.random() < 0.3:
        images[0]["crowdIndex"] = None
    annotations = []
    for image_id in ids:
        for _ in range(rng.integers(0, 7)):
            annotations.append(person(rng, num_keypoints, image_id, int(rng.integers(0, 5))))
            if rng.random() < 0.2:
                annotations.append(dict(annotations[-1]))  # equally similar to everything
    order = rng.permutation(len(annotations))
    annotations = [annotations[i] for i in order]
    results = []
    for image_id in ids:
        for _ in range(int(rng.choice([0, 1, 5, 25]))):
            results.append(answer(rng, annotations, num_keypoints, image_id))
            if rng.random() < 0.2:
                results.append(dict(results[-1]))
    results = [results[i] for i in rng.permutation(len(results))]
    truth = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    return json.loads(json.dumps(truth)), json.loads(json.dumps(results))


@pytest.mark.parametrize("seed", range(60))
def test_equals_pycocotools(seed):
    truth, results = hostile(seed, 17)
    assert fast_coco(truth, results) == evaluate_coco(truth, results)


@pytest.mark.parametrize("seed", range(40))
def test_equals_xtcocotools(seed):
    try:
        require_xtcocotools()
    except MissingToolError as error:
        pytest.skip(str(error))
    truth, results = hostile(seed, 14)
    if not any(result["category_id"] == 1 for result in results):
        pytest.skip("xtcocotools cannot read an empty list")
    assert fast_crowdpose(truth, results) == evaluate_crowdpose(truth, results)


def test_the_hostile_inputs_hold_what_they_are_meant_to():
    truths, answers = zip(*(hostile(seed, 17) for seed in range(60)), strict=True)
    annotations = [a for truth in truths for a in truth["annotations"]]
    assert any(a["iscrowd"] for a in annotations)
    assert any(a["num_keypoints"] and not any(a["keypoints"][2::3]) for a in annotations)
    assert {0, 1024, 9216} <= {a["area"] for a in annotations}
    assert any(len(results) > 20 * len(truth["images"]) for truth, results in zip(truths, answers, strict=True))
    owners = [
        [{row["image_id"] for row in rows} for rows in (truth["annotations"], results)]
        for truth, results in zip(truths, answers, strict=True)
    ]
    assert any(annotated - answered for annotated, answered in owners)
    assert any(answered - annotated for annotated, answered in owners)
    assert any(not results for results in answers)
    assert len({metrics["AP"] for metrics in map(fast_coco, truths, answers)}) > 30


def test_without_annotations_or_results():
    truth, results = good_files()
    nobody = truth | {"annotations": []}
    for annotated, answers in ((truth, []), (nobody, results), (nobody, [])):
        assert fast_coco(annotated, answers) == evaluate_coco(annotated, answers)


def test_the_order_of_images_does_not_matter_where_no_scores_tie():
    truth, results = hostile(GOOD, 17)
    rng = np.random.default_rng(0)
    results = [
        result | {"score": float(score)} for result, score in zip(results, rng.random(len(results)), strict=True)
    ]
    before = fast_coco(truth, results)
    shuffled = truth | {"images": truth["images"][::-1]}
    assert fast_coco(shuffled, [results[i] for i in rng.permutation(len(results))]) == before


def good_files():
    truth, results = hostile(GOOD, 17)
    return truth, [result | {"category_id": 1} for result in results]


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("score", None, "row 2: 'score' must be a finite number; it is None"),
        ("score", "0.5", "row 2: 'score' must be a finite number; it is '0.5'"),
        ("score", float("inf"), "row 2: 'score' must be a finite number; it is inf"),
        ("keypoints", [0.0] * 42, "row 2: 'keypoints' must hold 51 numbers; it holds 42"),
        ("keypoints", [float("nan")] * 51, "row 2: 'keypoints' must hold 51 finite numbers"),
        ("keypoints", [[0, 0, 0]] * 17, "row 2: 'keypoints' must hold 51 numbers; it holds 17"),
        ("keypoints", "no", "row 2: 'keypoints' must hold 51 finite numbers; it is no"),
        ("image_id", 123456, "row 2 names image_id 123456, which the ground truth does not hold"),
        ("image_id", "7", "row 2: 'image_id' must be a whole number, or a string in all rows; it is '7'"),
        ("image_id", [7], "row 2: 'image_id' must be a whole number"),
    ],
)
def test_bad_results_are_named_by_row_and_key(key, value, told):
    truth, results = good_files()
    results[2] = results[2] | {key: value}
    with pytest.raises(UserError) as caught:
        fast_coco(truth, results)
    assert str(caught.value).startswith("results: ")
    assert told in str(caught.value)


@pytest.mark.parametrize("key", ["score", "keypoints", "image_id", "category_id"])
def test_missing_keys_of_results_are_named(key):
    truth, results = good_files()
    del results[1][key]
    with pytest.raises(UserError, match=f"results: row 1 lacks '{key}'; it has "):
        fast_coco(truth, results)


@pytest.mark.parametrize("key", ["bbox", "area", "keypoints", "num_keypoints", "image_id", "category_id"])
def test_missing_keys_of_annotations_are_named(key):
    truth, results = good_files()
    truth["annotations"][4] |= {"category_id": 1}
    del truth["annotations"][4][key]
    with pytest.raises(UserError, match=rf"ground truth: annotations\[4\] lacks '{key}'"):
        fast_coco(truth, results)


def test_what_is_no_object_is_named():
    truth, results = good_files()
    with pytest.raises(UserError, match="results: row 0: expected an object, found 5"):
        fast_coco(truth, [5, *results])
    with pytest.raises(UserError, match="ground truth: expected a COCO-layout object with a list 'images'"):
        fast_coco({"annotations": []}, results)


@pytest.mark.parametrize("seed", range(15))
@pytest.mark.parametrize(("skeleton", "kind"), [(COCO_17, "coco"), (CROWDPOSE_14, "crowdpose")])
def test_a_diagnosis_of_hostile_inputs_is_whole(seed, skeleton, kind):
    truth, results = hostile(seed, skeleton.num_keypoints)
    told = diagnose(truth, results, skeleton, kind).to_json()
    json.dumps(told, allow_nan=False)
    fast = fast_coco if kind == "coco" else fast_crowdpose
    assert (-1 if told["ap"] is None else told["ap"]) == fast(truth, results)["AP"]
    counts = told["counts"]
    parts = ("matched", "on_ignored", "duplicates", "background")
    assert counts["detections"] == sum(counts[part] for part in parts)
    assert counts["persons"] == counts["matched"] + counts["missed"]
    assert len(results) == counts["detections"] + counts["beyond_limit"]

"""Similarities to the last bit, and who takes whom, as pycocotools has it."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from evaluation.coco import evaluate_coco
from evaluation.fast_oks_arrays import annotated_persons, detected_persons, image_ids_of
from evaluation.fast_oks_pairs import official_sigmas, oks_pairs
from evaluation.fast_oks_score import fast_coco
from evaluation.matching import NOBODY, match
from pose.skeletons import COCO_17

SIGMAS = official_sigmas(COCO_17)


def shifted(keypoints, right):
    return keypoints + np.array([right, 0])


def person(keypoints, number, labelled=None, **changes):
    visibility = np.full(17, 2) if labelled is None else np.where(labelled, 2, 0)
    return {
        "id": number, "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": [0.0, 0.0, 40.0, 50.0], "area": 3000.5,
        "num_keypoints": 17, "keypoints": np.column_stack([keypoints, visibility]).reshape(-1).tolist(),
    } | changes  # fmt: skip


def answer(keypoints, score):
    triples = np.column_stack([keypoints, np.ones(17)])
    return {"image_id": 1, "category_id": 1, "keypoints": triples.reshape(-1).tolist(), "score": score}


def truth_of(*people):
    return {"images": [{"id": 1}], "annotations": list(people), "categories": [{"id": 1, "name": "person"}]}


def taken(truth, results, threshold=0.5):
    persons = annotated_persons(truth, COCO_17, "coco")
    detections = detected_persons(results, image_ids_of(truth), COCO_17)
    pairs = oks_pairs(persons, detections, SIGMAS)
    return match(persons, detections, pairs, np.array([threshold]))[0].tolist()


def test_similarities_are_those_of_pycocotools_to_the_last_bit():
    rng = np.random.default_rng(0)
    people, results = [], []
    for number in range(1, 60):
        keypoints = rng.uniform(0, 60, (17, 2))
        labelled = np.arange(17) >= 17 - number % 18  # 0 to 17 of them
        people.append(person(keypoints, number, rng.permutation(labelled), area=float(rng.uniform(10, 1e4))))
    results = [answer(rng.uniform(0, 60, (17, 2)), float(score)) for score in rng.random(20)]
    truth = truth_of(*people)
    persons = annotated_persons(truth, COCO_17, "coco")
    pairs = oks_pairs(persons, detected_persons(results, [1], COCO_17), SIGMAS)
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluator = COCOeval(coco, coco.loadRes([dict(result) for result in results]), "keypoints")
        evaluator._prepare()
        expected = evaluator.computeOks(1, 1)
    assert len(pairs.oks) == 20 * 59
    assert (pairs.oks.reshape(20, 59) == expected).all()


@pytest.mark.parametrize("second_is_first", [False, True])
def test_of_equally_similar_persons_the_last_is_taken(second_is_first):
    here = np.arange(34.0).reshape(17, 2)
    people = [person(shifted(here, -4), 1), person(shifted(here, 4), 2)]
    people = people[::-1] if second_is_first else people
    results = [answer(here, 0.9), answer(shifted(here, 10), 0.8)]
    # The second detection is near enough only to the person on the right, whom the first may have taken.
    truth = truth_of(*people)
    assert taken(truth, results, 0.5) == ([1, 0] if second_is_first else [1, NOBODY])
    assert fast_coco(truth, results) == evaluate_coco(truth, results)


def test_ignored_persons_are_taken_last_and_crowds_by_many():
    here = np.arange(34.0).reshape(17, 2)
    ignored, near = person(here, 1, num_keypoints=0), person(shifted(here, 5), 2)
    results = [answer(here, score) for score in (0.9, 0.8, 0.7)]
    assert taken(truth_of(ignored, near), results) == [1, 0, NOBODY]
    crowd = person(here, 1, iscrowd=1)
    assert taken(truth_of(crowd, near), results) == [1, 0, 0]


@pytest.mark.parametrize("threshold", [0.5, 1.0])
def test_an_exact_answer_fits_every_threshold(threshold):
    here = np.arange(34.0).reshape(17, 2)
    assert taken(truth_of(person(here, 1)), [answer(here, 0.1)], threshold) == [0]
    assert taken(truth_of(person(here, 1)), [answer(shifted(here, 300), 0.1)], threshold) == [NOBODY]


def test_the_twentieth_of_equal_scores_counts_and_the_next_does_not():
    here = np.arange(34.0).reshape(17, 2)
    results = [answer(shifted(here, 5000), 0.5) for _ in range(19)]
    truth = truth_of(person(here, 1))
    assert taken(truth, [*results, answer(here, 0.5)]) == [NOBODY] * 19 + [0]
    assert taken(truth, [*results, results[0], answer(here, 0.5)]) == [NOBODY] * 20

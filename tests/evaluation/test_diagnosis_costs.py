"""What each kind of error costs, against pycocotools asked with files that are really corrected."""

import json

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from evaluation.coco import evaluate_coco
from evaluation.crowdpose import MissingToolError, evaluate_crowdpose, require_xtcocotools
from evaluation.diagnosis import ERROR_TYPES, diagnose
from evaluation.diagnosis_costs import COSTS
from evaluation.oks import oks_with_annotated
from pose.skeletons import COCO_17, CROWDPOSE_14


def crowded(skeleton, seed=0, images=25):
    """People close together, some of them ignored; answers jittered, mirrored, mixed up, doubled, wrong or missing."""
    rng = np.random.default_rng(seed)
    listed, annotations, results = [], [], []
    for image_id in range(5, 5 + images):
        listed.append({"id": image_id, "crowdIndex": float(rng.random())})
        for _ in range(rng.integers(0, 5)):
            keypoints = rng.uniform(0, 150, 2) + rng.uniform(0, 120, (skeleton.num_keypoints, 2))
            annotations.append(annotated(rng, keypoints, image_id, len(annotations)))
            results += [answered(rng, keypoints, image_id, skeleton) for _ in range(rng.integers(0, 4))]
        elsewhere = rng.uniform(0, 2000, (2, skeleton.num_keypoints, 2))[: rng.integers(0, 3)]
        results += [answered(rng, keypoints, image_id, skeleton) for keypoints in elsewhere]
    truth = {"images": listed, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    return json.loads(json.dumps(truth)), json.loads(json.dumps(results))


def annotated(rng, keypoints, image_id, number):
    visibility = rng.choice([0, 1, 2], len(keypoints), p=[0.2, 0.2, 0.6]) * int(rng.random() < 0.85)
    low, size = keypoints.min(axis=0), np.ptp(keypoints, axis=0)
    keypoints = np.where(visibility[:, None] > 0, keypoints, 0)
    return {
        "id": number, "image_id": image_id, "category_id": 1, "iscrowd": 0, "bbox": [*low.tolist(), *size.tolist()],
        "area": float(size.prod() * 0.6), "num_keypoints": int((visibility > 0).sum()),
        "keypoints": np.column_stack([keypoints, visibility]).reshape(-1).tolist(),
    }  # fmt: skip


def answered(rng, keypoints, image_id, skeleton):
    found = keypoints + rng.normal(0, 1, keypoints.shape) * rng.choice([0.5, 4, 20])
    if rng.random() < 0.3:
        found[: len(found) // 2] = found[list(skeleton.flip_indices)][: len(found) // 2]
    triples = np.column_stack([found, np.ones(len(found))])
    return {
        "image_id": image_id, "category_id": 1, "keypoints": triples.reshape(-1).tolist(),
        "score": float(rng.random()),
    }  # fmt: skip


class Corrected:
    """Truth and results that are corrected as files, one kind of error upon the other."""

    def __init__(self, truth, results, diagnosed):
        self.truth, self.results = json.loads(json.dumps(truth)), json.loads(json.dumps(results))
        self.diagnosed = diagnosed
        self.matches, self.removed = diagnosed(self.truth, self.results).matches, set()

    def correct(self, name):
        if name in ERROR_TYPES:
            self._place(ERROR_TYPES.index(name))
        elif name == "score":
            self._rank()
            self.matches = self.diagnosed(self.truth, self.results).matches
        elif name == "duplicates":
            self.removed |= set(self.matches.duplicates.tolist())
        elif name == "background":
            others = {*self.matches.result_rows.tolist(), *self.matches.duplicates.tolist()}
            self.removed |= set(range(len(self.results))) - others
        else:
            missed = set(self.matches.missed.tolist())
            self.truth["annotations"] = [a for row, a in enumerate(self.truth["annotations"]) if row not in missed]
        return self

    def ap(self, evaluate):
        return evaluate(self.truth, [r for row, r in enumerate(self.results) if row not in self.removed])["AP"]

    def _place(self, error):
        for row, annotation, errors in zip(
            self.matches.result_rows, self.matches.annotation_rows, self.matches.errors, strict=True
        ):
            for keypoint in np.flatnonzero(errors == error).tolist():
                right = self.truth["annotations"][annotation]["keypoints"][3 * keypoint : 3 * keypoint + 2]
                self.results[row]["keypoints"][3 * keypoint : 3 * keypoint + 2] = right

    def _rank(self):
        for result in self.results:
            result["score"] = -1.0
        for image in self.truth["images"]:
            people = [a for a in self.truth["annotations"] if a["image_id"] == image["id"] and a["num_keypoints"]]
            mine = [r for r in self.results if r["image_id"] == image["id"]]
            if not people or not mine:
                continue
            found = np.array([r["keypoints"] for r in mine]).reshape(len(mine), -1, 3)[..., :2]
            wanted = np.array([a["keypoints"] for a in people]).reshape(len(people), -1, 3)
            sigmas = np.array((COCO_17 if found.shape[1] == 17 else CROWDPOSE_14).oks_sigmas)
            boxes = np.array([a["bbox"] for a in people])
            areas = [a["area"] for a in people] if found.shape[1] == 17 else 0.53 * boxes[:, 2] * boxes[:, 3]
            oks = oks_with_annotated(found, wanted, np.array(areas), sigmas)
            for row, column in zip(*linear_sum_assignment(-oks), strict=True):
                mine[row]["score"] = float(oks[row, column])


CASES = [(COCO_17, "coco", evaluate_coco), (CROWDPOSE_14, "crowdpose", evaluate_crowdpose)]


@pytest.fixture(params=CASES, ids=["coco", "crowdpose"])
def case(request):
    skeleton, kind, evaluate = request.param
    if kind == "crowdpose":
        try:
            require_xtcocotools()
        except MissingToolError as error:
            pytest.skip(str(error))
    truth, results = crowded(skeleton)

    def diagnosed(truth, results):
        return diagnose(truth, results, skeleton, kind)

    return truth, results, diagnosed, evaluate


def test_all_kinds_of_error_are_there(case):
    truth, results, diagnosed, _ = case
    diagnosis = diagnosed(truth, results)
    assert min(diagnosis.overall.counts.values()) > 0
    assert min(diagnosis.counts[key] for key in ("duplicates", "background", "missed", "on_ignored", "ignored")) > 0
    assert tuple(cost.name for cost in diagnosis.costs) == COSTS


def test_ap_is_the_official_one(case):
    truth, results, diagnosed, evaluate = case
    diagnosis = diagnosed(truth, results)
    assert 0 < diagnosis.ap < 1
    assert diagnosis.ap == evaluate(truth, results)["AP"]


def test_each_correction_alone_is_what_the_official_tool_says(case):
    truth, results, diagnosed, evaluate = case
    for cost in diagnosed(truth, results).costs:
        corrected = Corrected(truth, results, diagnosed).correct(cost.name)
        assert cost.ap == pytest.approx(corrected.ap(evaluate), abs=1e-12), cost.name


def test_corrections_upon_each_other_are_what_the_official_tool_says(case):
    truth, results, diagnosed, evaluate = case
    corrected = Corrected(truth, results, diagnosed)
    for cost in diagnosed(truth, results).costs:
        assert cost.cumulative_ap == pytest.approx(corrected.correct(cost.name).ap(evaluate), abs=1e-12), cost.name


def test_counts_of_what_a_correction_touches(case):
    truth, results, diagnosed, _ = case
    diagnosis = diagnosed(truth, results)
    told = {cost.name: cost.changed for cost in diagnosis.costs}
    assert {name: told[name] for name in ERROR_TYPES[1:]} == {
        name: diagnosis.overall.counts[name] for name in ERROR_TYPES[1:]
    }
    for name in ("duplicates", "background", "missed"):
        assert told[name] == diagnosis.counts[name]


def test_all_corrected_nothing_is_left_where_good_keypoints_are_exact():
    truth, results = crowded(COCO_17, seed=1)
    exact = Corrected(truth, results, lambda *files: diagnose(*files, COCO_17)).correct("good").results
    assert diagnose(truth, exact, COCO_17).costs[-1].cumulative_ap == pytest.approx(1)

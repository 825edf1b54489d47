"""Files of any framework: told layouts, and errors that name the file, the row and the key."""

import json

import pytest

from evaluation.coco import evaluate_coco
from evaluation.diagnosis_files import diagnose_files, layout_of
from pose.errors import UserError
from pose.skeletons import COCO_17, CROWDPOSE_14, Skeleton


def results_of(truth):
    return [
        {"image_id": a["image_id"], "category_id": 1, "keypoints": a["keypoints"], "score": 0.5}
        for a in truth["annotations"]
    ]


@pytest.fixture
def write(tmp_path):
    def written(name, content):
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return written


@pytest.mark.parametrize(("count", "skeleton", "kind"), [(17, "coco_17", "coco"), (14, "crowdpose_14", "crowdpose")])
def test_the_layout_is_told_from_the_annotations(make_truth, write, count, skeleton, kind):
    truth = make_truth(count)
    diagnosis = diagnose_files([write("results.json", results_of(truth))], write("truth.json", truth))["results"]
    assert (diagnosis.skeleton, diagnosis.kind, diagnosis.ap) == (skeleton, kind, pytest.approx(1))


def test_the_category_that_is_scored_need_not_be_number_1(make_truth, write):
    """As `evaluate_coco` scores it: the one with keypoints."""
    truth = make_truth(17)
    others = [person | {"category_id": 1} for person in truth["annotations"][:2]]
    horses = [person | {"category_id": 5} for person in truth["annotations"]]
    categories = [{"id": 1, "name": "egg"}, {"id": 5, "name": "horse", "keypoints": list(COCO_17.keypoint_names)}]
    results = [row | {"category_id": 5} for row in results_of(truth)]
    truth = truth | {"annotations": horses + others, "categories": categories}
    diagnosis = diagnose_files([write("results.json", results)], write("truth.json", truth))["results"]
    assert diagnosis.ap == pytest.approx(evaluate_coco(truth, results)["AP"]) == pytest.approx(1)
    assert diagnosis.counts["persons"] == len(horses)
    with pytest.raises(UserError, match=r"p.json: results are of category 1, category 5 is scored"):
        diagnose_files([write("p.json", results_of(truth))], write("truth.json", truth))
    with pytest.raises(UserError, match=r"truth.json: 'categories' do not tell"):
        diagnose_files([write("r.json", [])], write("truth.json", truth | {"categories": [{"id": 8}, {"id": 9}]}))


def test_the_category_tells_where_no_annotation_does():
    names = list(CROWDPOSE_14.keypoint_names)
    truth = {"images": [], "annotations": [], "categories": [{"id": 1, "keypoints": names}]}
    assert layout_of(truth, "truth.json") == (CROWDPOSE_14, "crowdpose")
    with pytest.raises(UserError, match=r"truth.json: no category and no annotation tells the number of keypoints"):
        layout_of(truth | {"categories": []}, "truth.json")


def test_what_is_given_goes_first(make_truth):
    assert layout_of(make_truth(14), "", kind="coco") == (COCO_17, "coco")
    assert layout_of(make_truth(14), "", CROWDPOSE_14, "coco") == (CROWDPOSE_14, "coco")
    animal = Skeleton("animal", ("ear", "tail"), (0, 1), (), (0.1, 0.1), (), ())
    assert layout_of(make_truth(2), "", animal) == (animal, "coco")
    with pytest.raises(ValueError, match="unknown layout 'mpii'; known: coco, crowdpose"):
        layout_of(make_truth(14), "", kind="mpii")


def test_unknown_numbers_of_keypoints_ask_for_a_skeleton(make_truth):
    with pytest.raises(UserError, match=r"truth.json has persons of 21 keypoints; 17 .* 14 .* --skeleton FILE"):
        layout_of(make_truth(21), "truth.json")
    with pytest.raises(UserError, match=r"truth.json: 16 keypoints: is in MPII's layout.*posestream evaluate"):
        layout_of(make_truth(16), "truth.json")


@pytest.mark.parametrize(
    ("results", "told"),
    [
        ({"annotations": []}, "results.json: expected a list of results, .* found an object with annotations"),
        ([{"image": "a.jpg", "joints": []}], "results.json is in MPII's layout"),
        ("[1, 2", "results.json is not JSON: "),
        ("[" * 100000, "results.json is not JSON: "),
        ([{"image_id": 10, "category_id": 1, "score": 1}], "results.json: row 0 lacks 'keypoints'"),
        (
            [{"image_id": 77, "category_id": 1, "score": 1, "keypoints": [0] * 51}],
            "results.json: row 0 names image_id 77",
        ),
        (['{"image_id": 1}'], "results.json: row 0: expected an object"),
    ],
)
def test_bad_results_files(make_truth, write, results, told):
    with pytest.raises(UserError, match=told):
        diagnose_files([write("results.json", results)], write("truth.json", make_truth(17)))


@pytest.mark.parametrize(
    ("truth", "told"),
    [
        ([], "truth.json: expected annotations in COCO layout, .* found a list of 0; results come first"),
        ([{"image": "a.jpg", "joints": []}], "truth.json is in MPII's layout"),
        ({"annotations": [], "categories": [{"id": 1, "keypoints": ["a"] * 17}]}, "truth.json: .* list 'images'"),
        (
            {"images": [{}], "annotations": [{"keypoints": [0] * 51}]},
            r"truth.json: images\[0\] lacks 'id'; it has nothing",
        ),
    ],
)
def test_bad_annotation_files(write, truth, told):
    with pytest.raises(UserError, match=told):
        diagnose_files([write("results.json", [])], write("truth.json", truth))


def test_missing_and_binary_files(make_truth, write, tmp_path):
    truth = write("truth.json", make_truth(17))
    with pytest.raises(UserError, match=r"nothing.json: No such file"):
        diagnose_files([tmp_path / "nothing.json"], truth)
    (tmp_path / "pred.mat").write_bytes(b"\x89\xff\x00MATLAB")
    with pytest.raises(UserError, match=r"pred.mat is not JSON: .* A .mat file of predictions is in MPII's layout"):
        diagnose_files([tmp_path / "pred.mat"], truth)


def test_several_files_are_named_by_what_tells_them_apart(make_truth, tmp_path, write):
    truth, paths = make_truth(17), []
    for run in ("a", "b"):
        (tmp_path / run / "evaluation").mkdir(parents=True)
        paths.append(tmp_path / run / "evaluation" / "results.json")
        paths[-1].write_text(json.dumps(results_of(truth)[: 9 if run == "a" else 4]))
    told = diagnose_files(paths, write("truth.json", truth))
    assert {name: one.counts["missed"] for name, one in told.items()} == {
        "a/evaluation/results": 0, "b/evaluation/results": 5,
    }  # fmt: skip
    with pytest.raises(UserError, match="one results file is given twice"):
        diagnose_files([paths[0], paths[0]], tmp_path / "truth.json")

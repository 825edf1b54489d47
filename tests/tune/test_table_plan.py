"""What a table trains, and which score stands in which cell."""

from dataclasses import replace

import pytest

from engine.config import ConfigError
from tune.table_options import AblationOptions, named_files
from tune.table_plan import Plan, plan_table
from tune.tables import find_table

OPTIONS = AblationOptions(("/data/train",), "/data/val", seeds=2)
LEARNED = "bottomup.grouping.scoring=learned"


def plan(name: str, **changes: object) -> Plan:
    return plan_table(find_table(name), replace(OPTIONS, **changes))  # type: ignore[arg-type]


def test_rows_that_only_differ_in_the_test_share_their_trainings() -> None:
    found = plan("bottomup-4")
    assert len(found.trainings) == 4 * OPTIONS.seeds
    assert found.rows[3].trainings == found.rows[4].trainings
    assert found.rows[2].trainings != found.rows[3].trainings


def test_learned_scores_are_measured_once_and_of_the_final_poses_only() -> None:
    found = plan("bottomup-4")
    regression, heatmaps, final = found.rows[4].tests.values()
    assert LEARNED not in (*regression, *heatmaps)
    assert LEARNED in final
    (tests,) = {training.tests for training in found.trainings if training.id in found.rows[4].trainings}
    assert len(tests) == 4  # three qualities, and the final one with learned scores


def test_seeds_are_trained_apart() -> None:
    found = plan("enhancenet-5a", seeds=3)
    assert [training.recipe.train.seed for training in found.trainings[:3]] == [0, 1, 2]
    assert len({training.id for training in found.trainings}) == len(found.trainings) == 9


def test_a_change_of_the_recipe_reaches_the_training() -> None:
    found = plan("efafnet-x", seeds=1)
    assert [training.recipe.model.options.get("hardest") for training in found.trainings] == [7, None, 11, 13, 15, 16]


def test_ids_change_with_what_matters_and_with_nothing_else() -> None:
    ids = {training.id for training in plan("enhancenet-5a").trainings}
    assert ids == {one.id for one in plan("enhancenet-5a", settings=("data.threads=7", "storage.attempts=2")).trainings}
    for change in ({"train": ("/other",)}, {"settings": ("optim.lr=1e-5",)}, {"budget": "smoke"}):
        assert not ids & {one.id for one in plan("enhancenet-5a", **change).trainings}, change


def test_tables_of_the_same_network_share_trainings() -> None:
    ids = [{training.id for training in plan(name).trainings} for name in ("efafnet-x", "efafnet-xi")]
    assert len(ids[0] & ids[1]) == OPTIONS.seeds


def test_rows_wait_for_the_boxes_that_they_compare() -> None:
    found = plan("efafnet-ix", detections={"cpn": "/boxes.json"})
    assert [bool(row.trainings) for row in found.rows] == [False, True, False, False, True]
    assert found.rows[0].why_not == "needs the boxes of the detector faster-rcnn: --detections faster-rcnn=FILE"
    assert found.rows[4].tests == {3: ("evaluate.detections=/boxes.json",)}


def test_one_file_of_boxes_serves_tables_that_compare_none() -> None:
    found = plan("mrnet-i", detections={"": "/boxes.json"})
    assert all("evaluate.detections=/boxes.json" in test for one in found.trainings for test in one.tests)
    with pytest.raises(ConfigError, match="compares no detector 'yolo'"):
        plan("efafnet-ix", detections={"yolo": "/boxes.json"})


def test_bottom_up_rows_take_no_boxes() -> None:
    found = plan("enhancenet-4", detections={"": "/boxes.json"}, seeds=1)
    assert [("evaluate.detections=/boxes.json",) in training.tests for training in found.trainings[:3]] == [
        False, False, True,
    ]  # fmt: skip


def test_weights_go_to_the_networks_whose_name_ends_so() -> None:
    files = {"resnet50": "/r50.pth", "resnet101": "/r101.pth", "efafnet_resnet50": "/res2net.pth"}
    of = {one.recipe.model.name: one.recipe.model.weights for name in ("efafnet-xii", "efafnet-xi") for one in
          plan(name, weights=files).trainings}  # fmt: skip
    assert of["simplebaseline_resnet50"] == "/r50.pth"
    assert of["efafnet_resnet50"] == "/res2net.pth"
    assert of["efafnet_resnet101"] == "/r101.pth"
    assert of["hourglass_8"] is None


def test_several_training_splits_are_mixed() -> None:
    (first, *_) = plan("bottomup-5", train=("/train", "/val")).trainings
    assert first.recipe.data.train == ("/train", "/val")


def test_files_are_given_by_name_or_alone() -> None:
    assert named_files(["cpn=/a/b=c.json", "/d.json"]) == {"cpn": "/a/b=c.json", "": "/d.json"}
    with pytest.raises(ConfigError, match="was given before"):
        named_files(["a=1", "a=2"])
    with pytest.raises(ConfigError, match="not of the form NAME=FILE"):
        named_files(["/r50.pth"], name_needed=True)

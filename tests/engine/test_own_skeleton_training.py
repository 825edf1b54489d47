"""Keypoints of the user's own, the whole way: shards, crops to look at, training, resuming, the official score."""

import io
import json
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_skeleton import STAR, write_stars
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rich.console import Console

from engine.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from engine.config import ConfigError, ModelConfig, Recipe, override
from engine.data import open_training_splits, training_skeleton
from engine.evaluate import evaluate_weights
from engine.evaluation_files import write_evaluation
from engine.inference import Answers, score_split
from engine.pictures import crop_sheet, replayed_crop
from engine.predict import PredictSettings, predict_inputs
from engine.scorer import learn_scoring
from engine.topdown import TopDownTask
from engine.train import train
from engine.trained import OwnWeights
from evaluation.coco import COCO_METRICS
from evaluation.predictions import Predictions
from evaluation.score import Score
from pose.pose_features import NoSticksError
from pose.skeleton_file import parse_skeleton
from pose.skeletons import MPII_16, Skeleton
from sharding.convert import ConversionSettings, convert
from sharding.dataset import open_dataset
from sharding.ground_truth import ground_truth
from sharding.raw import read_raw
from sharding.storage import open_folder
from sharding.synthetic import SyntheticFiles

MakeRecipe = Callable[..., Recipe]
STAR_5 = parse_skeleton(STAR, "star")
EVERYTHING = ("bottomup.grouping.center_threshold=0", "bottomup.grouping.threshold=0")  # untrained maps are faint


@pytest.fixture
def stars(mini_raw: Callable[[str], SyntheticFiles], tmp_path: Path) -> Path:
    return write_stars(mini_raw("coco"), tmp_path, keypoints=None)


@pytest.fixture
def split(mini_raw: Callable[[str], SyntheticFiles], stars: Path, tmp_path: Path) -> Callable[..., Path]:
    """split(skeleton): the stars as shards with the keypoints of that skeleton."""

    def make(skeleton: Skeleton = STAR_5, name: str = "stars") -> Path:
        raw = read_raw("coco", stars, "mini", skeleton, "star")
        settings = ConversionSettings(mini_raw("coco").images, "mini", check_images=False)
        convert(raw, open_folder(tmp_path / name), settings)
        return tmp_path / name

    return make


def by_hand(annotations: Path, score: Score) -> dict[str, float]:
    """The score of what evaluation writes, against the source's own file."""
    with redirect_stdout(io.StringIO()):
        truth = COCO(str(annotations))
        evaluator = COCOeval(truth, truth.loadRes(json.loads(json.dumps(score.results))), "keypoints")
        evaluator.params.kpt_oks_sigmas = np.array(list(STAR["oks_sigmas"].values()))
        evaluator.params.catIds = [5]
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return dict(zip(COCO_METRICS, map(float, evaluator.stats), strict=True))


@pytest.mark.parametrize("kind", ["tiny", "tiny_bottomup"])
def test_the_whole_path(
    request: pytest.FixtureRequest, kind: str, split: Callable[..., Path], stars: Path, console: Console
) -> None:
    shards = split()
    wider = EVERYTHING if kind == "tiny_bottomup" else ("train.batch_size=4",)
    recipe = request.getfixturevalue(kind)(f"data.train={shards}", f"data.val={shards}", *wider)
    dataset = open_dataset(shards)
    assert crop_sheet(recipe, dataset, count=4).std() > 20
    instance_id = int(dataset.instance_column("instance_id").all()[dataset.trainable][0])
    assert replayed_crop(recipe, dataset, instance_id, 1).std() > 20

    train(override(recipe, ["train.epochs=1"]), console)
    resumed = train(recipe, console)
    assert "resuming" in console.file.getvalue()  # type: ignore[attr-defined]
    saved = load_checkpoint(resumed.last)
    assert (saved.skeleton, saved.num_keypoints, saved.validated_epochs) == (STAR_5, 5, 2)
    uninterrupted = train(override(recipe, [f"run_dir={recipe.run_dir}-at-once"]), console)
    weights = load_checkpoint(uninterrupted.last).model
    assert all((weights[name] == tensor).all() for name, tensor in saved.model.items())

    evaluated = evaluate_weights(recipe, OwnWeights(resumed.last), console)
    assert evaluated.predictions.num_keypoints == 5
    assert {row["category_id"] for row in evaluated.score.results} == {5}
    assert evaluated.score.metrics == by_hand(stars, evaluated.score)
    assert resumed.score is not None
    assert evaluated.score.metrics == resumed.score.metrics
    predict_inputs(evaluated.estimator, [str(shards)], stars.parent / "predicted", PredictSettings(), console)
    predicted = json.loads((stars.parent / "predicted" / "predictions.json").read_text())
    assert {row["category_id"] for row in predicted} == {5}
    (category,) = json.loads((stars.parent / "predicted" / "images.json").read_text())["categories"]
    assert (category["id"], category["name"]) == (5, "star")
    diagnosis = write_evaluation(evaluated, shards / "evaluation")
    assert diagnosis is not None
    assert diagnosis.counts["persons"] > 0
    assert diagnosis.ap == pytest.approx(evaluated.score.metrics["AP"], abs=1e-9)


@pytest.mark.parametrize("kind", ["tiny", "tiny_bottomup"])
@pytest.mark.parametrize("count", [1, 130])
def test_one_keypoint_and_hundreds(
    request: pytest.FixtureRequest, kind: str, count: int, split: Callable[..., Path], stars: Path, console: Console
) -> None:
    content = json.loads(stars.read_text())
    for row in content["annotations"]:
        if "keypoints" in row:
            row["keypoints"] = (row["keypoints"] * 26)[: 3 * count]
            row["num_keypoints"] = sum(value > 0 for value in row["keypoints"][2::3])
    stars.write_text(json.dumps(content))
    names = [f"k{k}" for k in range(count)]
    shards = split(parse_skeleton({"name": "own", "keypoint_names": names, "oks_sigmas": [0.1] * count}, "own"))
    wider = EVERYTHING if kind == "tiny_bottomup" else ()
    recipe = request.getfixturevalue(kind)(f"data.train={shards}", f"data.val={shards}", "train.epochs=1", *wider)
    result = train(override(recipe, ["train.batch_size=4"]), console)
    assert result.score is not None
    assert {len(row["keypoints"]) for row in result.score.results} == {3 * count}
    assert crop_sheet(recipe, open_dataset(shards), count=2).std() > 20


def test_the_official_score_is_that_of_the_source(tiny: MakeRecipe, split: Callable[..., Path], stars: Path) -> None:
    dataset = open_dataset(split())
    rows = [row for row in ground_truth(dataset)["annotations"] if not row["iscrowd"]]
    keypoints = np.array([row["keypoints"] for row in rows]).reshape(-1, 5, 3)[:, :, :2]
    predictions = Predictions(
        image_ids=np.array([row["image_id"] for row in rows]),
        instance_ids=np.array([row["id"] for row in rows]),
        keypoints=keypoints + np.random.default_rng(0).normal(0, 8, keypoints.shape),
        keypoint_scores=np.full(keypoints.shape[:2], 0.9),
        box_scores=np.linspace(0.2, 1, len(rows)),
        box_areas=np.array([row["area"] for row in rows]),
    )
    score = score_split(TopDownTask(tiny(), STAR_5), dataset, Answers(predictions, 0))
    assert score.metrics == by_hand(stars, score)
    assert 0.1 < score.metrics["AP"] < 0.9


def test_detected_boxes_are_of_the_splits_category(
    tiny: MakeRecipe, split: Callable[..., Path], tmp_path: Path, console: Console
) -> None:
    shards, boxes = split(), tmp_path / "boxes.json"
    image_id = int(open_dataset(shards).image_column("image_id").all()[0])
    row: dict[str, Any] = {"image_id": image_id, "bbox": [5, 5, 60, 80], "score": 0.9}
    rows = [row | {"category_id": 5}, row | {"category_id": 1}, row]
    boxes.write_text(json.dumps(rows))
    recipe = tiny(f"data.val={shards}", f"evaluate.detections={boxes}", "evaluate.soft_nms_sigma=0.5")
    assert len(evaluate_weights(recipe, None, console).predictions) == 2


def test_two_definitions_of_one_name_do_not_go_together(
    tiny: MakeRecipe, split: Callable[..., Path], console: Console
) -> None:
    shards = split()
    other = split(parse_skeleton(STAR | {"oks_sigmas": [0.1] * 5}, "other"), "others")
    expected = "two definitions of star_5, which differ in oks_sigmas"
    with pytest.raises(ConfigError, match=f"data.train has star_5 .*, data.val has star_5: {expected}"):
        train(tiny(f"data.train={shards}", f"data.val={other}"), console)
    with pytest.raises(ConfigError, match=f"data.train: .*stars and .*others have {expected}: convert both"):
        train(tiny(f'data.train=["{shards}", "{other}"]'), console)


def test_own_keypoints_mix_with_others_of_the_same_name(
    tiny: MakeRecipe, split: Callable[..., Path], mini_shards: Callable[[str], Path], console: Console
) -> None:
    shards, coco = split(), mini_shards("coco")
    with pytest.raises(ConfigError, match="coco_17 and star_5 have no keypoint in common"):
        train(tiny(f'data.train=["{shards}", "{coco}"]'), console)
    names = ["nose", "left_wrist", "right_wrist", "left_ankle", "right_ankle"]
    ends = split(parse_skeleton({"name": "ends", "keypoint_names": names, "oks_sigmas": [0.1] * 5}, "e"), "ends")
    recipe = tiny(f'data.train=["{coco}", "{ends}"]', "data.skeleton=ends", f"data.val={ends}", "train.epochs=1")
    assert training_skeleton(recipe, open_training_splits(recipe)).name == "ends"
    assert load_checkpoint(train(recipe, console).last).skeleton.keypoint_names == tuple(names)
    with pytest.raises(
        ConfigError, match=r"data\.skeleton=horse: unknown; known: coco_17, mpii_16, crowdpose_14, ends"
    ):
        train(override(recipe, ["data.skeleton=horse"]), console)


def test_half_bodies_need_halves(tiny: MakeRecipe, split: Callable[..., Path], console: Console) -> None:
    recipe = tiny(f"data.train={split()}", "augmentation.half_body_probability=0.3", "train.epochs=1")
    with pytest.raises(ConfigError, match=r"star_5 has neither upper_body nor lower_body; set augmentation\.half_body"):
        train(recipe, console)
    halved = split(parse_skeleton(STAR | {"upper_body": ["tip", "fin_a", "fin_b"]}, "star"), "halved")
    train(override(recipe, [f"data.train={halved}", "augmentation.half_body_min_keypoints=1"]), console)


def test_a_checkpoint_is_not_asked_for_other_keypoints(
    tiny: MakeRecipe, split: Callable[..., Path], tmp_path: Path, console: Console
) -> None:
    recipe = tiny(f"data.train={split()}", "train.epochs=1", "train.batch_size=4")
    last = train(recipe, console).last
    renamed = STAR | {"keypoint_names": ["tip", "fin_b", "fin_a", "tail_a", "tail_b"]}
    other = override(recipe, [f"data.val={split(parse_skeleton(renamed, 'star'), 'renamed')}"])
    with pytest.raises(CheckpointError, match="two definitions of star_5, which differ in keypoint_names"):
        evaluate_weights(other, OwnWeights(last), console)
    stricter = parse_skeleton(STAR | {"oks_sigmas": [0.02] * 5}, "star")  # the same keypoints, scored differently
    evaluate_weights(override(recipe, [f"data.val={split(stricter, 'stricter')}"]), OwnWeights(last), console)
    save_checkpoint(replace(load_checkpoint(last), skeleton=MPII_16), tmp_path / "mpii.ckpt")
    with pytest.raises(CheckpointError, match="mpii_16 and star_5; take a split with right_ankle, right_knee"):
        evaluate_weights(override(recipe, [f"data.val={split()}"]), OwnWeights(tmp_path / "mpii.ckpt"), console)


def test_networks_of_body_parts_ask_for_known_keypoints(tiny: MakeRecipe) -> None:
    options = {"channels": 32, "depth": 1}
    recipe = tiny().model_copy(update={"model": ModelConfig(name="dlcm", options=options)})
    with pytest.raises(ConfigError, match="no part hierarchy has 5 keypoints; known: mpii"):
        TopDownTask(recipe, STAR_5).build_model()
    sixteen = replace(MPII_16, name="lobster_16")
    with pytest.raises(ConfigError, match=r"knows none of lobster_16; set model\.options\.hierarchy to one of mpii"):
        TopDownTask(recipe, sixteen).build_model()
    TopDownTask(recipe, MPII_16).build_model()
    chosen = recipe.model_copy(update={"model": ModelConfig(name="dlcm", options=options | {"hierarchy": "mpii"})})
    TopDownTask(chosen, sixteen).build_model()


def test_scoring_networks_ask_for_a_torso(
    tiny_bottomup: MakeRecipe, split: Callable[..., Path], console: Console
) -> None:
    recipe = tiny_bottomup(f"data.train={split()}", "train.epochs=1", "train.batch_size=4")
    last = train(recipe, console).last
    with pytest.raises(NoSticksError, match=r"no left_shoulder, left_hip, right_shoulder, right_hip; set .*naive"):
        learn_scoring(recipe, OwnWeights(last), console)

"""A scoring network learns how right a network's poses are, lies beside its weights, and ranks what it finds."""

from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from rich.console import Console

import engine.scorer
from engine.bottomup import BottomUpTask
from engine.bottomup_persons import FoundPersons
from engine.config import ConfigError, Recipe, override
from engine.evaluate import evaluate_weights
from engine.evaluation_pictures import EvaluationPicture
from engine.scorer import learn_scoring, scorer_path
from engine.train import train
from engine.trained import OwnWeights, PublicWeights
from models.score_net_file import ScoreNetError, load_scorer
from pose.skeletons import COCO_17
from sharding.dataset import ShardedDataset, open_dataset
from sharding.ground_truth import ground_truth

MakeRecipe = Callable[..., Recipe]
Trained = tuple[Recipe, OwnWeights]


@pytest.fixture
def trained(tiny_bottomup: MakeRecipe, mini_shards: Callable[[str], Path], console: Console) -> Trained:
    """A recipe whose network finds somebody although it has hardly learnt anything, and its weights."""
    recipe = tiny_bottomup(
        "bottomup.grouping.center_threshold=0", "bottomup.grouping.threshold=0", "evaluate.flip_test=false",
        "train.epochs=1", "train.batch_size=16", "bottomup.score_net.epochs=3",
    )  # fmt: skip
    return override(recipe, [f"data.val={mini_shards('coco')}"]), OwnWeights(train(recipe, console).last)


def test_it_lies_beside_the_weights_and_ranks_what_they_find(trained: Trained, console: Console) -> None:
    recipe, weights = trained
    learnt = learn_scoring(recipe, weights, console)
    assert learnt.path == weights.path.with_name("last.score-net.pt") == scorer_path(weights.path)
    naive = evaluate_weights(recipe, weights, console).predictions
    assert 0 < learnt.poses <= len(naive)
    assert len(learnt.losses) == 3
    scorer = load_scorer(learnt.path, COCO_17)
    points, heat = torch.from_numpy(naive.keypoints), torch.from_numpy(naive.keypoint_scores)
    alone = scorer.score(points, heat).numpy()
    for scoring, expected in (("learned", alone * naive.box_scores), ("learned_alone", alone)):
        found = evaluate_weights(override(recipe, [f"bottomup.grouping.scoring={scoring}"]), weights, console)
        np.testing.assert_array_equal(found.predictions.keypoints, naive.keypoints)
        np.testing.assert_allclose(found.predictions.box_scores, expected, rtol=1e-5)
        assert not np.allclose(expected, naive.box_scores)
        assert [row["score"] for row in found.score.results] == pytest.approx(expected.tolist())


def test_a_network_that_learnt_from_other_weights_is_refused_unless_it_is_named(
    trained: Trained, console: Console
) -> None:
    recipe, weights = trained
    learnt = learn_scoring(recipe, weights, console)
    saved = torch.load(weights.path, weights_only=True)
    next(iter(saved["model"].values())).add_(1)
    torch.save(saved, weights.path)
    ranked = override(recipe, ["bottomup.grouping.scoring=learned"])
    with pytest.raises(ScoreNetError, match=r"last\.score-net\.pt learnt from the poses of other weights"):
        evaluate_weights(ranked, weights, console)
    evaluate_weights(override(ranked, [f"bottomup.grouping.score_net={learnt.path}"]), weights, console)


def test_it_learns_from_final_poses_whatever_quality_is_asked_for(trained: Trained, console: Console) -> None:
    recipe, weights = trained
    final = learn_scoring(recipe, weights, console).poses
    assert learn_scoring(override(recipe, ["bottomup.grouping.quality=heatmaps"]), weights, console).poses == final


def test_the_same_seed_gives_the_same_bytes(trained: Trained, console: Console) -> None:
    recipe, weights = trained
    files = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(files))
        seeded = override(recipe, [f"bottomup.score_net.seed={seed}"])
        files.append(learn_scoring(seeded, weights, console).path.read_bytes())
    assert files[0] == files[1] != files[2]


@pytest.mark.parametrize("layout", ["coco", "crowdpose"])
def test_targets_are_the_best_oks_as_the_official_evaluator_has_it(
    tiny_bottomup: MakeRecipe, mini_shards: Callable[[str], Path], console: Console, monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path, layout: str,
) -> None:  # fmt: skip
    """Poses are those annotated, moved by some px, and one far away from everybody."""
    recipe = tiny_bottomup("train.epochs=1", "train.batch_size=16", layout=layout)
    dataset = open_dataset(mini_shards(layout))
    found: list[tuple[int, np.ndarray]] = []
    learnt: dict[str, torch.Tensor] = {}

    def moved(task: BottomUpTask, model: object, outputs: object, batch: EvaluationPicture) -> FoundPersons:
        assert batch.persons is not None
        rng = np.random.default_rng(batch.picture.image_id)
        points = batch.persons.keypoints[:, :, :2]
        points = points + rng.normal(0, 4, points.shape) * rng.integers(1, 5, (len(points), 1, 1))
        points = np.concatenate([points, np.full((1, *points.shape[1:]), 5000.0)])
        found.append((batch.picture.image_id, points))
        return FoundPersons(points, np.ones(points.shape[:2]), np.ones(len(points)))

    def remember(features: torch.Tensor, targets: torch.Tensor, *settings: object) -> None:
        learnt.update(features=features, targets=targets)
        raise KeyboardInterrupt

    weights = OwnWeights(train(recipe, console).last)
    monkeypatch.setattr(BottomUpTask, "persons_in", moved)
    monkeypatch.setattr(engine.scorer, "train_score_net", remember)
    with pytest.raises(KeyboardInterrupt):
        learn_scoring(recipe, weights, console)

    expected = np.concatenate([best_oks(dataset, image, points) for image, points in found])
    assert expected.max() > 0.7
    assert (expected == 0).sum() == len(found)
    assert len({image for image, _ in found}) == len(found) > 10
    np.testing.assert_allclose(learnt["targets"].numpy(), expected, atol=1e-6)
    assert learnt["features"].shape == (len(expected), 74 if layout == "coco" else 59)


def best_oks(dataset: ShardedDataset, image: int, points: np.ndarray) -> np.ndarray:
    """pycocotools' best OKS of poses (N, K, 2) in a picture, over those who have labelled keypoints.

    CrowdPose's evaluator takes 0.53 of the box for the area.
    """
    truth = COCO()
    truth.dataset = ground_truth(dataset)
    labelled = [row for row in truth.dataset["annotations"] if any(row["keypoints"][2::3])]
    if dataset.manifest.dataset == "crowdpose":
        labelled = [row | {"area": 0.53 * row["bbox"][2] * row["bbox"][3]} for row in labelled]
    truth.dataset["annotations"] = labelled
    truth.createIndex()
    threes = np.concatenate([points, np.ones((*points.shape[:2], 1))], axis=2).reshape(len(points), -1)
    scores = 1 - np.arange(len(points)) / 100  # detections are sorted by score
    rows = [
        {"image_id": image, "category_id": 1, "keypoints": pose.tolist(), "score": score}
        for pose, score in zip(threes, scores, strict=True)
    ]
    evaluator = COCOeval(truth, truth.loadRes(rows), "keypoints")
    evaluator.params.kpt_oks_sigmas = np.array(dataset.skeleton.oks_sigmas)
    evaluator.params.maxDets = [100]
    evaluator._prepare()
    return np.asarray(evaluator.computeOks(image, 1)).max(axis=1)


def test_an_interrupted_writing_leaves_what_was_there(
    trained: Trained, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe, weights = trained

    def half(content: object, file: BinaryIO) -> None:
        file.write(b"half a file")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("models.score_net_file.torch.save", half)
        with pytest.raises(KeyboardInterrupt):
            learn_scoring(recipe, weights, console)
    assert not scorer_path(weights.path).exists()
    first = learn_scoring(recipe, weights, console).path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("models.score_net_file.torch.save", half)
        with pytest.raises(KeyboardInterrupt):
            learn_scoring(recipe, weights, console)
    assert scorer_path(weights.path).read_bytes() == first
    learn_scoring(recipe, weights, console)
    assert {path.suffix for path in weights.path.parent.glob("*score-net*")} == {".pt"}


def test_what_cannot_be_learnt_or_used_is_said(
    trained: Trained, tiny: MakeRecipe, tiny_bottomup: MakeRecipe, mini_shards: Callable[[str], Path],
    console: Console, tmp_path: Path,
) -> None:  # fmt: skip
    recipe, weights = trained
    ranked = override(recipe, ["bottomup.grouping.scoring=learned"])
    for given, option in ((weights, "--checkpoint"), (PublicWeights(weights.path), "--weights")):
        command = f"needs .*last.score-net.pt.*`posestream score-net RECIPE {option} .*last.ckpt`"
        with pytest.raises(ConfigError, match=command):
            evaluate_weights(ranked, given, console)
    with pytest.raises(ConfigError, match=r"needs gone\.pt, which does not exist"):
        evaluate_weights(override(ranked, ["bottomup.grouping.score_net=gone.pt"]), weights, console)
    with pytest.raises(ConfigError, match="recipe tiny is not bottom-up"):
        learn_scoring(tiny(), weights, console)
    with pytest.raises(ConfigError, match=r"data\.train is not set"):
        learn_scoring(override(recipe, ["data.train=null"]), weights, console)
    with pytest.raises(ConfigError, match=r"last\.ckpt finds nobody in 1 training splits"):
        learn_scoring(override(recipe, ["bottomup.grouping.center_threshold=99"]), weights, console)
    others = f'data.train=["{mini_shards("coco")}","{mini_shards("crowdpose")}"]'
    with pytest.raises(ConfigError, match=r"crowdpose.* has other keypoints than coco_17"):
        learn_scoring(override(recipe, [others]), weights, console)
    assert not scorer_path(weights.path).exists()

    learn_scoring(recipe, weights, console)
    of_coco = scorer_path(weights.path).rename(tmp_path / "coco.pt")
    crowded = tiny_bottomup(
        f"data.val={mini_shards('crowdpose')}", f"bottomup.grouping.score_net={of_coco}", "train.epochs=1",
        "bottomup.grouping.scoring=learned", f"run_dir={tmp_path / 'crowded'}", layout="crowdpose",
    )  # fmt: skip
    trained_there = OwnWeights(train(crowded, console).last)
    with pytest.raises(ScoreNetError, match=r"coco\.pt scores poses of 'coco_17', not of 'crowdpose_14'"):
        evaluate_weights(crowded, trained_there, console)
    found = evaluate_weights(override(ranked, [f"bottomup.grouping.score_net={of_coco}"]), weights, console)
    assert len(found.predictions) > 0

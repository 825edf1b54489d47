"""Inference with a network that knows the truth: whatever is lost on the way is lost by the code under test."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from engine.config import ConfigError, Recipe
from engine.evaluation_boxes import evaluation_samples
from engine.inference import predict_split, score_split
from engine.network_input import network_input
from engine.topdown import TopDownTask
from evaluation.predictions import Predictions
from evaluation.score import Score
from models import OutputMap, create_model
from pipelines.topdown import TopDownBatch
from pose.crop import transform_points
from pose.heatmaps import HeatmapCodec
from sharding.dataset import ShardedDataset, open_dataset
from sharding.ground_truth import ground_truth

CROP = (256, 192)


class Oracle(nn.Module):
    """Answers with the true heatmaps at stride 4 of the crops that it is shown, and of their mirror images.

    A mirrored crop is recognised by its pixels; its keypoints lie at W − 1 − x and have changed sides, as a network
    would see it. `tilt` moves every answer, in crop px, to the left of the picture as it is shown.
    """

    def __init__(self, skeleton: Any, crop_size: tuple[int, int]) -> None:
        super().__init__()
        self.flip = list(skeleton.flip_indices)
        self.codec = HeatmapCodec(crop_size, (crop_size[0] // 4, crop_size[1] // 4), sigma=2, encoding="exact")
        self.shown = torch.empty(0)
        self.keypoints = torch.empty(0)
        self.tilt = 0.0
        self.mirrored_calls = 0

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        keypoints = self.keypoints
        if not torch.equal(crops, self.shown):
            assert torch.equal(crops.flip(3), self.shown)
            self.mirrored_calls += 1
            keypoints = keypoints[:, self.flip].clone()
            keypoints[..., 0] = crops.shape[3] - 1 - keypoints[..., 0]
        keypoints = keypoints - torch.tensor([self.tilt, 0.0])
        return (self.codec.encode(keypoints, torch.ones(keypoints.shape[:2]))[0],)


class OracleTask(TopDownTask):
    """Tells the oracle what is in each batch: the true person around whom a crop is centred, in crop px."""

    def __init__(self, recipe: Recipe, dataset: ShardedDataset) -> None:
        super().__init__(recipe, dataset.skeleton)
        self.oracle = Oracle(dataset.skeleton, recipe.data.crop_size)
        self.persons = [p for p in ground_truth(dataset)["annotations"] if any(p["keypoints"][2::3])]

    def person(self, image_id: int, instance_id: int, center: np.ndarray) -> dict[str, Any]:
        if instance_id >= 0:
            return next(p for p in self.persons if p["id"] == instance_id)
        boxes = [(p, np.array(p["bbox"])) for p in self.persons if p["image_id"] == image_id]
        return min(boxes, key=lambda pb: np.abs(pb[1][:2] + pb[1][2:] / 2 - center).sum())[0]

    def predict(self, model: nn.Module, outputs: tuple[OutputMap, ...], batch: TopDownBatch) -> Predictions:
        matrices = batch.image_to_crop.numpy()
        middle = np.array([[CROP[1] / 2, CROP[0] / 2]])
        centers = [np.linalg.solve(m[:, :2], middle[0] - m[:, 2]) for m in matrices]
        truth = [
            np.array(self.person(int(image), int(instance), center)["keypoints"], float).reshape(-1, 3)
            for image, instance, center in zip(batch.image_ids, batch.instance_ids, centers, strict=True)
        ]
        points = transform_points(matrices, np.array(truth)[..., :2])
        self.oracle.keypoints = torch.from_numpy(points.astype(np.float32))
        self.oracle.shown = network_input(self.recipe.data, batch.crops)
        return super().predict(model, outputs, batch)


@pytest.fixture
def ask(
    tiny: Callable[..., Recipe], mini_shards: Callable[[str], Path]
) -> Callable[..., tuple[Predictions, Score, OracleTask]]:
    def run(layout: str, *settings: str, tilt: float = 0.0) -> tuple[Predictions, Score, OracleTask]:
        size = "256,256" if layout == "mpii" else "256,192"
        recipe = tiny(f"data.crop_size={size}", "evaluate.batch_size=8", *settings, layout=layout)
        dataset = open_dataset(mini_shards(layout))
        task = OracleTask(recipe, dataset)
        task.oracle.tilt = tilt
        network = create_model("simplebaseline_resnet18", dataset.skeleton.num_keypoints, width=4)
        samples = evaluation_samples(recipe, dataset)
        answers = predict_split(task, task.oracle, network, samples, torch.device("cpu"))
        return answers.predictions, score_split(task, dataset, answers), task

    return run


def errors(predictions: Predictions, task: OracleTask) -> np.ndarray:
    """Signed error of every labelled keypoint, heatmap px of a 256x192 crop."""
    found = []
    for instance, keypoints in zip(predictions.instance_ids.tolist(), predictions.keypoints, strict=True):
        person = next(p for p in task.persons if p["id"] == instance)
        truth = np.array(person["keypoints"], float).reshape(-1, 3)
        shown_width = 1.25 * max(person["bbox"][2], 0.75 * person["bbox"][3])
        found.append((keypoints - truth[:, :2])[truth[:, 2] > 0] * 48 / shown_width)
    return np.concatenate(found)


@pytest.mark.parametrize("flip_test", ["true", "false"])
@pytest.mark.parametrize("layout", ["coco", "crowdpose"])
def test_a_perfect_network_gets_perfect_average_precision(ask: Any, layout: str, flip_test: str) -> None:
    predictions, score, task = ask(layout, f"evaluate.flip_test={flip_test}")
    assert score.metrics["AP"] > 0.99
    assert score.metrics["AR"] > 0.99
    assert len(predictions) == len(set(predictions.instance_ids.tolist()))
    # A few annotated keypoints lie outside their crop.
    assert np.quantile(np.abs(errors(predictions, task)), 0.99) < 0.4
    assert predictions.keypoint_scores.max() == pytest.approx(1, abs=0.05)
    assert (task.oracle.mirrored_calls > 0) == (flip_test == "true")


@pytest.mark.parametrize("flip_test", ["true", "false"])
def test_a_perfect_network_gets_perfect_pckh(ask: Any, flip_test: str) -> None:
    _, score, _ = ask("mpii", f"evaluate.flip_test={flip_test}")
    assert score.primary == "PCKh@0.5"
    assert score.value == 100
    assert score.metrics["PCKh@0.1"] > 97


def test_annotated_persons_come_in_the_splits_order_with_score_one(ask: Any, mini_coco: ShardedDataset) -> None:
    predictions, _, _ = ask("coco")
    expected = mini_coco.instance_column("instance_id").all()[mini_coco.trainable]
    assert predictions.instance_ids.tolist() == expected.tolist()
    assert set(predictions.box_scores.tolist()) == {1.0}


def test_the_shift_of_the_flip_test_brings_the_two_answers_together(ask: Any) -> None:
    """Without it the mirrored maps lie 0.75 px left, with the public one 0.25 px right; the average shows half."""
    bias = {}
    for shift in ("public", "exact", "none"):
        predictions, _, task = ask(
            "coco", f"evaluate.flip_shift={shift}", "heatmap.decoding=dark", "heatmap.encoding=exact"
        )
        bias[shift] = float(np.median(errors(predictions, task)[:, 0]))
    assert bias["public"] == pytest.approx(0.125, abs=0.03)
    assert bias["exact"] == pytest.approx(0, abs=0.03)
    assert bias["none"] == pytest.approx(-0.375, abs=0.03)


def test_the_flip_test_cancels_an_error_that_does_not_mirror(ask: Any) -> None:
    """A network that answers 4 px too far left, whatever it is shown, is right on average."""
    settings = ("heatmap.decoding=dark", "heatmap.encoding=exact")
    one, _, task = ask("coco", "evaluate.flip_test=false", *settings, tilt=4.0)
    both, _, _ = ask("coco", "evaluate.flip_test=true", *settings, tilt=4.0)
    assert np.median(errors(one, task)[:, 0]) == pytest.approx(-1, abs=0.03)
    assert np.median(errors(both, task)[:, 0]) == pytest.approx(0.125, abs=0.03)


def test_the_unbiased_convention_needs_no_shift(ask: Any, tiny: Any, mini_coco: ShardedDataset) -> None:
    task = TopDownTask(tiny("data.convention=unbiased", "data.crop_size=256,192"), mini_coco.skeleton)
    codec = task.codec(OutputMap("heatmaps", 4))
    assert codec.crop_px_per_heatmap_px == pytest.approx((191 / 47, 255 / 63))
    assert (codec.heatmap_size, codec.sigma) == ((64, 48), 2.0)
    assert task.codec(OutputMap("finer", 1, sigma_scale=4)).sigma == 8


def detections(dataset: ShardedDataset) -> list[dict[str, Any]]:
    persons = [p for p in ground_truth(dataset)["annotations"] if any(p["keypoints"][2::3])]
    return [
        {"image_id": p["image_id"], "category_id": 1, "bbox": p["bbox"], "score": 0.5 + 0.4 * (n % 2)}
        for n, p in enumerate(persons)
    ]


@pytest.mark.parametrize("layout", ["coco", "crowdpose"])
def test_detected_boxes_are_scored_with_their_detectors_score(
    ask: Any, tmp_path: Path, mini_shards: Any, layout: str
) -> None:
    rows = detections(open_dataset(mini_shards(layout)))
    other = [rows[0] | {"category_id": 2}, rows[0] | {"bbox": [5, 5, 0, 9]}]
    (tmp_path / "boxes.json").write_text(json.dumps(rows[::-1] + other))
    predictions, score, _ = ask(layout, f"evaluate.detections={tmp_path / 'boxes.json'}")
    assert score.metrics["AP"] > 0.99
    assert len(predictions) == len(rows)
    assert set(predictions.instance_ids.tolist()) == {-1}
    assert sorted(predictions.box_scores.tolist()) == sorted(row["score"] for row in rows)


def test_detections_on_too_few_persons_cost_recall(ask: Any, tmp_path: Path, mini_coco: ShardedDataset) -> None:
    (tmp_path / "boxes.json").write_text(json.dumps(detections(mini_coco)[::3]))
    _, score, _ = ask("coco", f"evaluate.detections={tmp_path / 'boxes.json'}")
    assert 0.1 < score.metrics["AR"] < 0.6


def test_boxes_found_twice_leave_by_suppression(ask: Any, tmp_path: Path, mini_coco: ShardedDataset) -> None:
    rows = detections(mini_coco)
    (tmp_path / "boxes.json").write_text(json.dumps(rows + [row | {"score": 0.1} for row in rows]))
    predictions, score, _ = ask("coco", f"evaluate.detections={tmp_path / 'boxes.json'}")
    assert len(predictions) == 2 * len(rows)
    assert len(score.results) == len(rows)
    assert score.metrics["AP"] > 0.99
    assert f"removed {len(rows)} of {2 * len(rows)}" in score.notes[0]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        ("{", "Expecting property name"),
        ("[]", "holds no person's box"),
        ('[{"image_id": 987654321, "bbox": [1, 1, 5, 5], "score": 1}]', "holds no person's box"),
        ('[{"image_id": 1, "score": 1}]', "bbox"),
        ("\udcff", "evaluate.detections"),
    ],
)
def test_a_detection_file_that_cannot_be_used_is_named(
    tiny: Any, tmp_path: Path, mini_coco: ShardedDataset, content: str | None, message: str
) -> None:
    path = tmp_path / "boxes.json"
    if content is not None:
        path.write_text(content, errors="surrogateescape")
    with pytest.raises(ConfigError) as error:
        evaluation_samples(tiny(f"evaluate.detections={path}"), mini_coco)
    assert message in str(error.value)
    assert str(path) in str(error.value)


def test_predicting_leaves_the_networks_mode_as_it_was(tiny: Any, mini_coco: ShardedDataset) -> None:
    task = TopDownTask(tiny(), mini_coco.skeleton)
    network = task.build_model()
    modes: list[bool] = []
    network.register_forward_hook(lambda *arguments: modes.append(network.training))
    statistics = network.base.backbone.bn1.running_mean.clone()
    samples = evaluation_samples(task.recipe, mini_coco)
    counted: list[int] = []
    for training in (True, False):
        network.train(training)
        one = predict_split(task, network, network, samples, torch.device("cpu"), counted.append).predictions
        assert network.training is training
    assert not any(modes)
    assert torch.equal(network.base.backbone.bn1.running_mean, statistics)
    assert len(one) == len(samples)
    assert sum(counted) == 2 * len(samples)  # rows that fill up the last batch are not counted


def test_batches_of_another_size_give_the_same_answers(tiny: Any, mini_coco: ShardedDataset) -> None:
    answers = []
    for batch in (3, 64):
        task = TopDownTask(tiny(f"evaluate.batch_size={batch}"), mini_coco.skeleton)
        network = task.build_model()
        samples = evaluation_samples(task.recipe, mini_coco)
        answers.append(predict_split(task, network, network, samples, torch.device("cpu")).predictions)
    assert np.array_equal(answers[0].instance_ids, answers[1].instance_ids)
    np.testing.assert_allclose(answers[0].keypoint_scores, answers[1].keypoint_scores, rtol=1e-3, atol=1e-7)

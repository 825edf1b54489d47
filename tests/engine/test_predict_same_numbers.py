"""Prediction on pictures of any origin says what evaluation says of the same pictures, boxes and settings."""

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from rich.console import Console

from engine.config import Recipe
from engine.estimator import Estimator, make_estimator
from engine.heatmap_panels import heatmaps_on_picture, located_heatmaps
from engine.inference import predict_split, score_split
from engine.predict import PredictSettings, predict_inputs
from pipelines.reader import PictureReader
from pose.crop import transform_points
from pose.drawing import decode_picture
from sharding.dataset import ShardedDataset
from sharding.ground_truth import ground_truth

# An untrained network is sure of nobody.
EVERYBODY = ("bottomup.grouping.center_threshold=0", "bottomup.grouping.threshold=0", "train.seed=3")


def console() -> Console:
    return Console(file=StringIO(), width=200)


def estimator_of(recipe: Recipe, dataset: ShardedDataset) -> Estimator:
    """Untrained, but loud enough that keypoints count in a person's score."""
    estimator = make_estimator(recipe, dataset.skeleton, None, "cpu")
    if estimator.takes_boxes:
        with torch.no_grad():
            for name, parameter in estimator.network.named_parameters():
                parameter.mul_(5e8 if ".final_layer." in f".{name}" else 1)
    return estimator


def written(dataset: ShardedDataset, folder: Path) -> Path:
    """The split's pictures as files, and its annotations beside the folder."""
    encoded = PictureReader(dataset).encoded(np.arange(dataset.num_images))
    for name, data in zip(dataset.file_names(), encoded, strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data.tobytes())
    truth = ground_truth(dataset)
    truth["annotations"] = [one for one in truth["annotations"] if any(one["keypoints"][2::3])]
    path = folder.parent / "boxes.json"
    path.write_text(json.dumps(truth))
    return path


def expected(estimator: Estimator, dataset: ShardedDataset) -> list[dict[str, Any]]:
    """The rows that evaluation would submit."""
    task = estimator.task
    samples = task.evaluation_samples(dataset)
    answers = predict_split(task, estimator.model, estimator.network, samples, torch.device("cpu"))
    return score_split(task, dataset, answers).results


def ordered(rows: list[dict[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Image ids (N,); keypoints and scores (N, 3 K + 1), in an order of their own."""
    values = np.array([[row["image_id"], *row["keypoints"], row["score"]] for row in rows])
    values = values[np.lexsort(np.round(values[:, ::-1], 2).T)]
    return values[:, 0], values[:, 1:]


def assert_same(found: list[dict[str, Any]], wanted: list[dict[str, Any]]) -> None:
    assert len(found) == len(wanted) > 0
    found_ids, found_values = ordered(found)
    wanted_ids, wanted_values = ordered(wanted)
    assert (found_ids == wanted_ids).all()
    assert np.median(wanted_values[:, -1]) > 0
    np.testing.assert_allclose(found_values, wanted_values, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("batch", [5, 64])
@pytest.mark.parametrize("as_split", [True, False])
def test_files_and_splits_get_the_numbers_of_evaluation(
    tiny: Callable[..., Recipe], mini_coco: ShardedDataset, tmp_path: Path, batch: int, as_split: bool
) -> None:
    estimator = estimator_of(tiny(f"evaluate.batch_size={batch}", "data.crop_size=64,64"), mini_coco)
    boxes = written(mini_coco, tmp_path / "pictures")
    settings = PredictSettings(overlays=False) if as_split else PredictSettings(boxes=boxes, overlays=False)
    inputs = [mini_coco.folder.uri if as_split else str(tmp_path / "pictures")]
    predicted = predict_inputs(estimator, inputs, tmp_path / "out", settings, console())
    rows = json.loads((tmp_path / "out" / "predictions.json").read_text())
    assert_same(rows, expected(estimator, mini_coco))
    assert predicted.pictures == mini_coco.num_images
    assert predicted.damaged == {}
    images = json.loads((tmp_path / "out" / "images.json").read_text())["images"]
    truth = {image["id"]: image for image in ground_truth(mini_coco)["images"]}
    assert {image["id"]: (image["file_name"], image["width"], image["height"]) for image in images} == {
        number: (image["file_name"], image["width"], image["height"]) for number, image in truth.items()
    }


@pytest.mark.parametrize("softened", [(), ("evaluate.soft_nms_sigma=0.5",)])
def test_a_detectors_boxes_get_the_numbers_of_evaluation(
    tiny: Callable[..., Recipe], mini_coco: ShardedDataset, tmp_path: Path, softened: tuple[str, ...]
) -> None:
    written(mini_coco, tmp_path / "pictures")
    rng, rows = np.random.default_rng(0), []
    for person in ground_truth(mini_coco)["annotations"]:
        for score in rng.uniform(0.1, 1, 2).tolist():
            box = (np.array(person["bbox"]) + rng.uniform(-4, 4, 4)).clip(1).tolist()
            rows.append({"image_id": person["image_id"], "category_id": 1, "bbox": box, "score": score})
    (tmp_path / "detections.json").write_text(json.dumps(rows))
    recipe = tiny(f"evaluate.detections={tmp_path / 'detections.json'}", "data.crop_size=64,64", *softened)
    estimator = estimator_of(recipe, mini_coco)
    settings = PredictSettings(boxes=tmp_path / "detections.json", overlays=False)
    predict_inputs(estimator, [str(tmp_path / "pictures")], tmp_path / "out", settings, console())
    assert_same(json.loads((tmp_path / "out" / "predictions.json").read_text()), expected(estimator, mini_coco))


def test_mpii_splits_are_looked_at_where_their_protocol_says(
    tiny: Callable[..., Recipe], mini_mpii: ShardedDataset, tmp_path: Path
) -> None:
    estimator = estimator_of(tiny("data.crop_size=64,64", layout="mpii"), mini_mpii)
    answers = predict_split(
        estimator.task,
        estimator.model,
        estimator.network,
        estimator.task.evaluation_samples(mini_mpii),
        torch.device("cpu"),
    )
    settings = PredictSettings(overlays=False)
    predict_inputs(estimator, [mini_mpii.folder.uri], tmp_path, settings, console())
    rows = json.loads((tmp_path / "predictions.json").read_text())
    points = np.array([row["keypoints"] for row in rows]).reshape(len(rows), -1, 3)[:, :, :2]
    known = answers.predictions.keypoints
    assert len(rows) > 0
    for person in points:
        assert np.abs(known - person).max(axis=(1, 2)).min() < 1e-3


def test_bottom_up_networks_say_the_same_of_files(
    tiny_bottomup: Callable[..., Recipe], mini_coco: ShardedDataset, tmp_path: Path
) -> None:
    estimator = estimator_of(tiny_bottomup(*EVERYBODY), mini_coco)
    written(mini_coco, tmp_path / "pictures")
    settings = PredictSettings(overlays=False)
    predict_inputs(estimator, [str(tmp_path / "pictures")], tmp_path / "out", settings, console())
    rows = json.loads((tmp_path / "out" / "predictions.json").read_text())
    images = json.loads((tmp_path / "out" / "images.json").read_text())["images"]
    names = {image["id"]: image["file_name"] for image in images}
    own = {image["file_name"]: image["id"] for image in ground_truth(mini_coco)["images"]}
    assert_same([row | {"image_id": own[names[row["image_id"]]]} for row in rows], expected(estimator, mini_coco))


@pytest.mark.parametrize("bottomup", [False, True])
def test_arrays_get_the_same_numbers_as_files(
    tiny: Callable[..., Recipe],
    tiny_bottomup: Callable[..., Recipe],
    mini_coco: ShardedDataset,
    bottomup: bool,
) -> None:
    estimator = estimator_of(tiny_bottomup(*EVERYBODY) if bottomup else tiny(), mini_coco)
    samples = estimator.task.evaluation_samples(mini_coco)
    wanted = predict_split(estimator.task, estimator.model, estimator.network, samples, torch.device("cpu")).predictions
    pictures = [decode_picture(data) for data in PictureReader(mini_coco).encoded(np.arange(4))]
    boxes = None
    if not bottomup:
        column = mini_coco.instance_column("box_xywh").all()
        boxes = [column[(mini_coco.instance_images == row) & mini_coco.trainable] for row in range(4)]
    poses = estimator.predict(pictures, boxes)
    ids = mini_coco.image_column("image_id").all()
    seen = 0
    for row, one in enumerate(poses):
        own = wanted.select(wanted.image_ids == ids[row])
        for person, scores in zip(one.keypoints, one.keypoint_scores, strict=True):
            nearest = np.abs(own.keypoints - person).max(axis=(1, 2)).argmin()
            np.testing.assert_allclose(own.keypoints[nearest], person, atol=1e-4)
            np.testing.assert_allclose(own.keypoint_scores[nearest], scores, rtol=1e-4)
            seen += 1
    assert seen > 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_stored_turned_is_seen_upright(
    tiny: Callable[..., Recipe], mini_coco: ShardedDataset, tmp_path: Path, orientation: int
) -> None:
    """Written as a phone would, it gets the very numbers of the upright picture, in px of the upright picture."""
    estimator = estimator_of(tiny(), mini_coco)
    upright = Image.fromarray(decode_picture(PictureReader(mini_coco).encoded(np.arange(1))[0])).crop((0, 0, 90, 61))
    turns = {
        1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }  # fmt: skip
    turn = turns[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = upright if turn is None else upright.transpose(turn)
    stored.save(tmp_path / "phone.png", exif=exif)
    settings = PredictSettings(whole_image=True)
    predict_inputs(estimator, [str(tmp_path / "phone.png")], tmp_path / "out", settings, console())
    (row,) = json.loads((tmp_path / "out" / "predictions.json").read_text())
    (poses,) = estimator.predict([np.asarray(upright)])
    found = np.array(row["keypoints"]).reshape(-1, 3)
    np.testing.assert_allclose(found[:, :2], poses.keypoints[0], atol=1e-3)
    with Image.open(tmp_path / "out" / "overlays" / "phone.png.jpg") as overlay:
        assert overlay.size == (90, 61)
        assert np.abs(np.asarray(overlay, int) - np.asarray(upright, int)).mean() < 20

    predict_inputs(
        estimator,
        [str(tmp_path / "phone.png")],
        tmp_path / "raw",
        PredictSettings(whole_image=True, as_stored=True),
        console(),
    )
    (image,) = json.loads((tmp_path / "raw" / "images.json").read_text())["images"]
    assert (image["width"], image["height"]) == stored.size


@pytest.mark.parametrize("bottomup", [False, True])
def test_located_heatmaps_peak_where_keypoints_are_read(
    tiny: Callable[..., Recipe], tiny_bottomup: Callable[..., Recipe], mini_coco: ShardedDataset, bottomup: bool
) -> None:
    estimator = estimator_of(tiny_bottomup() if bottomup else tiny("heatmap.decoding=argmax"), mini_coco)
    task = estimator.task
    loader = task.evaluation_loader(task.evaluation_samples(mini_coco), torch.device("cpu"))
    batch: Any = next(iter(loader))
    located = located_heatmaps(task, estimator.model, estimator.network.outputs, batch)
    if not bottomup:
        with torch.no_grad():
            predictions = task.predict(estimator.model, estimator.network.outputs, batch)
        assert len(located) == len(predictions)
        for one, keypoints, scores in zip(located, predictions.keypoints, predictions.keypoint_scores, strict=True):
            places = transform_points(one.image_to_heatmap[None], keypoints[None])[0].round().astype(int)
            seen = scores > 0
            heat = one.heatmaps[np.arange(len(places)), places[:, 1], places[:, 0]]
            np.testing.assert_allclose(heat[seen], scores[seen], rtol=1e-5)
    loader.close()
    height, width = (int(mini_coco.image_column(name).all()[0]) for name in ("height", "width"))
    whole = heatmaps_on_picture(located[:1], (height, width))
    assert whole.shape == (17, height, width)
    half = heatmaps_on_picture(located[:1], (height, width), 0.5)
    assert half.shape == (17, round(height / 2), round(width / 2))
    assert 0 <= whole.min() <= whole.max() <= 1

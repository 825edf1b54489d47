"""What an evaluation leaves on disk, and what others can read of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from rich.console import Console
from scipy.io import loadmat

from engine import evaluation_files
from engine.checkpoint import CheckpointError
from engine.config import ConfigError, Recipe
from engine.evaluate import Evaluated, evaluate_weights
from engine.evaluation_files import write_evaluation
from engine.pictures import crop_sheet
from engine.train import train
from engine.trained import OwnWeights
from evaluation.score import Score
from models.crop_size import CropSizeError
from sharding.dataset import ShardedDataset, open_dataset
from sharding.ground_truth import ground_truth

LAYOUTS = ("coco", "mpii", "crowdpose")


def no_constants(name: str) -> None:
    raise AssertionError(f"{name} is not JSON")


@pytest.fixture
def evaluated(
    tiny: Callable[..., Recipe], mini_shards: Callable[[str], Path], console: Console
) -> Callable[[str], Evaluated]:
    def make(layout: str) -> Evaluated:
        return evaluate_weights(tiny(f"data.val={mini_shards(layout)}", layout=layout), None, console)

    return make


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_file_is_written_and_can_be_read(evaluated: Any, tmp_path: Path, layout: str) -> None:
    answer: Evaluated = evaluated(layout)
    out = tmp_path / "new" / "folder"
    write_evaluation(answer, out)
    analysis = {"pred.mat", "curves.json"} if layout == "mpii" else {"diagnosis.json"}
    assert {path.name for path in out.iterdir()} == {"metrics.json", "recipe.json", "results.json", "cases"} | analysis

    metrics = json.loads((out / "metrics.json").read_text(), parse_constant=no_constants)
    assert metrics["primary"] == answer.score.primary
    assert metrics["metrics"].keys() == answer.score.metrics.keys()
    assert metrics["weights"] == "untrained"
    assert metrics["dataset digest"] == answer.dataset.manifest.digest()
    assert {"recipe", "model", "split", "torch", "python", "posestream"} <= metrics.keys()

    results = json.loads((out / "results.json").read_text(), parse_constant=no_constants)
    truth = ground_truth(answer.dataset)
    if layout == "mpii":
        preds = loadmat(out / "pred.mat")["preds"]
        assert preds.shape == (len(truth["annotations"]), 16, 2)
        assert len(results) == len(answer.predictions)
        row = next(n for n, a in enumerate(truth["annotations"]) if a["id"] == results[0]["instance_id"])
        np.testing.assert_allclose(preds[row], results[0]["joints"])
    else:
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        assert len(coco.loadRes(str(out / "results.json")).anns) == len(results) > 0


def test_undefined_metrics_become_null(evaluated: Any, tmp_path: Path) -> None:
    answer: Evaluated = evaluated("coco")
    score = Score({"AP": float("nan"), "AR": -1.0, "AP50": float("inf")}, "AP", [], ["n"])
    write_evaluation(replace(answer, score=score), tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text(), parse_constant=no_constants)
    assert metrics["metrics"] == {"AP": None, "AR": -1.0, "AP50": None}
    assert metrics["notes"] == ["n"]


def test_the_analysis_is_of_the_results_beside_it(evaluated: Any, tmp_path: Path) -> None:
    write_evaluation(evaluated("crowdpose"), tmp_path / "crowds")
    diagnosis = json.loads((tmp_path / "crowds" / "diagnosis.json").read_text())
    metrics = json.loads((tmp_path / "crowds" / "metrics.json").read_text())["metrics"]
    assert diagnosis["ap"] == pytest.approx(metrics["AP"], abs=1e-9)
    write_evaluation(evaluated("mpii"), tmp_path / "single")
    curves = json.loads((tmp_path / "single" / "curves.json").read_text())
    metrics = json.loads((tmp_path / "single" / "metrics.json").read_text())["metrics"]
    assert curves["groups"]["Mean"][curves["thresholds"].index(0.5)] == pytest.approx(metrics["PCKh@0.5/Mean"])
    assert curves["groups"]["Head"][curves["thresholds"].index(0.1)] == pytest.approx(metrics["PCKh@0.1/Head"])


def test_a_folder_is_of_one_evaluation(evaluated: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What an evaluation before left is gone, and one that was cut off has no metrics.json."""
    write_evaluation(evaluated("mpii"), tmp_path)
    write_evaluation(evaluated("coco"), tmp_path)
    assert not (tmp_path / "curves.json").exists()
    answer = evaluated("coco")
    for step, scored in (("write_evaluation_cases", True), ("diagnose", False)):
        monkeypatch.setattr(evaluation_files, step, lambda *given: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_evaluation(answer, tmp_path)
        assert (tmp_path / "metrics.json").exists() == scored
        assert not (tmp_path / "cases").exists()


def test_a_training_is_recorded_with_its_evaluation(
    tiny: Callable[..., Recipe], mini_coco: ShardedDataset, console: Console, tmp_path: Path
) -> None:
    recipe = tiny(f"data.val={mini_coco.folder.uri}", "train.epochs=2", "train.verdict_seconds=0.1")
    result = train(recipe, console)
    write_evaluation(evaluate_weights(recipe, OwnWeights(result.last), console), tmp_path)
    training = json.loads((tmp_path / "training.json").read_text())
    assert [step for step, _ in training["curves"]["val/AP"]] == [result.steps // 2, result.steps]
    assert training["verdict"]["limit"] in ("loader", "network")


def test_a_damaged_verdict_does_not_cost_the_evaluation(evaluated: Any, tmp_path: Path) -> None:
    (tmp_path / "verdict.json").write_text('{"achi')
    write_evaluation(replace(evaluated("coco"), run_dir=tmp_path), tmp_path / "out")
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert any("verdict.json cannot be read" in note for note in metrics["notes"])
    assert not (tmp_path / "out" / "training.json").exists()


def test_a_checkpoint_scores_as_it_did_in_training(
    tiny: Callable[..., Recipe], mini_coco: ShardedDataset, console: Console
) -> None:
    recipe = tiny(f"data.val={mini_coco.folder.uri}", "train.epochs=1")
    result = train(recipe, console)
    answer = evaluate_weights(recipe, OwnWeights(result.last), console)
    assert result.score is not None
    assert answer.score.metrics == result.score.metrics
    assert answer.weights == str(result.last)
    untrained = evaluate_weights(recipe, None, console)
    assert not np.array_equal(untrained.predictions.keypoint_scores, answer.predictions.keypoint_scores)


def test_names_with_brackets_are_names(tiny: Callable[..., Recipe], mini_coco: ShardedDataset, tmp_path: Path) -> None:
    """Rich reads [/b] as markup where it is not told otherwise."""
    console = Console(file=StringIO(), force_terminal=True, width=200)
    common = (f"data.val={mini_coco.folder.uri}", f"run_dir={tmp_path / '[b' / ']run'}", "train.batch_size=64")
    train(tiny(*common, "train.epochs=1"), console)
    result = train(tiny(*common, "train.epochs=2"), console)
    odd = result.best.rename(result.best.with_name("[b].ckpt"))
    answer = evaluate_weights(tiny(*common), OwnWeights(odd), console)
    write_evaluation(answer, tmp_path / "out")
    output = console.file.getvalue()  # type: ignore[attr-defined]
    assert f"resuming {tmp_path}/[b/]run in epoch 2" in output
    assert "evaluating [b].ckpt" in output


def test_what_cannot_be_evaluated_is_refused_in_words(
    tiny: Callable[..., Recipe],
    mini_coco: ShardedDataset,
    mini_crowdpose: ShardedDataset,
    console: Console,
    tmp_path: Path,
) -> None:
    recipe = tiny(f"data.val={mini_coco.folder.uri}", "train.epochs=1", "train.batch_size=64")
    with pytest.raises(ConfigError, match=r"data\.val is not set"):
        evaluate_weights(tiny(), None, console)
    with pytest.raises(CheckpointError, match=r"gone\.ckpt does not exist"):
        evaluate_weights(recipe, OwnWeights(tmp_path / "gone.ckpt"), console)
    last = train(recipe, console).last
    with pytest.raises(CheckpointError, match=r"last\.ckpt holds another network than recipe tiny"):
        evaluate_weights(tiny(f"data.val={mini_crowdpose.folder.uri}"), OwnWeights(last), console)
    with pytest.raises(CheckpointError, match=r"'width': 8.* for 17 keypoints, not .*'width': 4.* for 17 keypoints$"):
        evaluate_weights(tiny(f"data.val={mini_coco.folder.uri}", "model.options.width=4"), OwnWeights(last), console)
    with pytest.raises(CropSizeError, match="multiples of 32"):
        evaluate_weights(tiny(f"data.val={mini_coco.folder.uri}", "data.crop_size=64,48"), None, console)


def test_a_sheet_shows_augmented_crops_in_rows(tiny: Callable[..., Recipe], mini_coco: ShardedDataset) -> None:
    sheet = crop_sheet(tiny(), mini_coco, count=7, columns=3)
    assert sheet.shape == (3 * 68 + 4, 3 * 36 + 4, 3)
    assert torch.is_grad_enabled()
    assert (crop_sheet(tiny(), mini_coco, count=7, columns=3) == sheet).all()
    assert (crop_sheet(tiny("augmentation.scale_factor=0.5"), mini_coco, count=7, columns=3) != sheet).any()


def test_a_dataset_opens_where_the_sheet_is_larger_than_it(tiny: Callable[..., Recipe], mini_shards: Any) -> None:
    dataset = open_dataset(mini_shards("mpii"))
    persons = int(dataset.trainable.sum())
    sheet = crop_sheet(tiny(layout="mpii"), dataset, count=persons + 5, columns=6)
    assert sheet.shape[0] == -(-persons // 6) * 68 + 4

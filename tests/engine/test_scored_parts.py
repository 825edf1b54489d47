"""What is scored, and what is said when it is not the whole benchmark."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.checkpoint import Checkpoint, CheckpointError, require_same_run
from engine.config import ConfigError, Recipe, override
from engine.evaluation_boxes import evaluation_samples
from engine.inference import Answers, score_split
from engine.topdown import TopDownTask
from evaluation.predictions import Predictions
from pose.skeletons import COCO_17
from sharding.convert import ConversionError, ConversionSettings, convert
from sharding.dataset import ShardedDataset, open_dataset
from sharding.raw import read_raw
from sharding.storage import open_folder
from sharding.synthetic import SyntheticFiles

MakeRecipe = Callable[..., Recipe]


@pytest.fixture
def incomplete(mini_raw: Callable[[str], SyntheticFiles], tmp_path: Path) -> Callable[..., ShardedDataset]:
    """A split one of whose pictures is missing; keyword arguments go to the conversion."""
    files = mini_raw("coco")
    content = json.loads(files.annotations.read_bytes())
    content["images"][0]["file_name"] = "gone.jpg"
    (tmp_path / "annotations.json").write_text(json.dumps(content))

    def make(**how: Any) -> ShardedDataset:
        settings = ConversionSettings(files.images, "split", **how)
        convert(read_raw("coco", tmp_path / "annotations.json", "split"), open_folder(tmp_path / "split"), settings)
        return open_dataset(tmp_path / "split")

    return make


def test_a_score_without_the_refused_pictures_says_so(
    tiny: MakeRecipe, incomplete: Callable[..., ShardedDataset], mini_coco: ShardedDataset
) -> None:
    task, nobody = TopDownTask(tiny(), mini_coco.skeleton), Answers(Predictions.empty(17), left_out=0)
    notes = score_split(task, incomplete(), nobody).notes
    assert any("1 pictures or annotations of the split were refused" in note for note in notes)
    assert not any("refused" in note for note in score_split(task, mini_coco, nobody).notes)


def test_strict_is_not_satisfied_by_an_earlier_conversion_with_refusals(
    incomplete: Callable[..., ShardedDataset],
) -> None:
    assert incomplete().manifest.rejected == 1
    with pytest.raises(ConversionError, match=r"converted before with 1 refused, see .*rejects\.jsonl"):
        incomplete(strict=True)


def test_mpii_persons_without_keypoints_are_estimated_but_not_trained_on(
    tiny: MakeRecipe, mini_raw: Callable[[str], SyntheticFiles], tmp_path: Path
) -> None:
    files = mini_raw("mpii")
    rows = [
        {name: row[name] for name in ("image", "center", "scale")} for row in json.loads(files.annotations.read_bytes())
    ]
    (tmp_path / "test.json").write_text(json.dumps(rows))
    settings = ConversionSettings(files.images, "test")
    convert(read_raw("mpii", tmp_path / "test.json", "test"), open_folder(tmp_path / "test"), settings)
    dataset = open_dataset(tmp_path / "test")
    assert len(evaluation_samples(tiny(), dataset)) == len(rows)
    assert not dataset.trainable.any()


def test_mpii_takes_no_detected_boxes(tiny: MakeRecipe, mini_mpii: ShardedDataset) -> None:
    with pytest.raises(ConfigError, match=r"evaluate\.detections=boxes\.json: MPII gives every person's place"):
        evaluation_samples(tiny("evaluate.detections=boxes.json"), mini_mpii)


@pytest.mark.parametrize(
    "option", ["width=0", "width=wide", "blocks=[1,1,1,1,1]", "blocks=[1,0]", "deconv_channels=[8,0]"]
)
def test_options_that_build_no_sound_network_are_refused(
    tiny: MakeRecipe, mini_coco: ShardedDataset, option: str
) -> None:
    task = TopDownTask(tiny(f"model.options.{option}"), mini_coco.skeleton)
    with pytest.raises(ConfigError, match=f"simplebaseline_resnet18: .*{option.partition('_')[0].partition('=')[0]}"):
        task.build_model()


def test_a_cosine_schedule_fixes_the_number_of_epochs(tiny: MakeRecipe) -> None:
    def changed(schedule: str) -> None:
        recipe = tiny(f"optim.schedule={schedule}")
        checkpoint = Checkpoint({}, {}, {}, 0, 0, None, None, recipe, "d", None, COCO_17)  # type: ignore[arg-type]
        require_same_run(checkpoint, override(recipe, ["train.epochs=99"]), "d", Path("last.ckpt"))

    changed("multistep")
    with pytest.raises(CheckpointError, match=r"train\.epochs was 2, is 99"):
        changed("cosine")

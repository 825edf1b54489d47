"""What `inspect` draws of bottom-up training: all persons, what is ignored, and the very crop that training saw."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import posestream
from engine.bottomup import BottomUpTask
from engine.config import ConfigError, Recipe
from engine.data import open_training_splits
from engine.pictures import crop_sheet, replayed_crop
from pipelines.bottomup import BottomUpBatch
from sharding.dataset import ShardedDataset

MakeRecipe = Callable[..., Recipe]
SIDE, GAP = 64, 4


def batches(recipe: Recipe, epochs: int = 1) -> Iterator[BottomUpBatch]:
    """As training gets them."""
    datasets = open_training_splits(recipe)
    task = BottomUpTask(recipe, recipe.bottomup, datasets[0].skeleton)  # type: ignore[arg-type]
    loader = task.training_loader(task.training_samples(datasets), torch.device("cpu"), 0, 1)
    for _ in range(epochs):
        yield from loader
    loader.close()


def crop(batch: BottomUpBatch, row: int) -> np.ndarray:
    return batch.crops[row].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("layout", ["coco", "crowdpose"])
def test_a_sheet_shows_all_persons_and_darkens_what_is_ignored(
    tiny_bottomup: MakeRecipe, mini_shards: Callable[[str], Path], layout: str
) -> None:
    count = 16
    recipe = tiny_bottomup(f"train.batch_size={count}", "bottomup.pictures=all", layout=layout)
    (dataset,) = open_training_splits(recipe)
    sheet = crop_sheet(recipe, dataset, count, columns=4)
    batch = next(batches(recipe))
    assert sheet.shape == (4 * (SIDE + GAP) + GAP, 4 * (SIDE + GAP) + GAP, 3)
    persons, dark = 0, 0
    for row in range(count):
        top, left = (GAP + place * (SIDE + GAP) for place in divmod(row, 4))
        tile, plain, ignored = sheet[top : top + SIDE, left : left + SIDE], crop(batch, row), batch.ignore[row] > 0
        expected = np.where(ignored[..., None].numpy(), plain // 3, plain)
        untouched = np.ones((SIDE, SIDE), bool)
        for person in np.flatnonzero(batch.person_image.numpy() == row):
            labelled = batch.visibility[person].numpy() > 0
            points = batch.keypoints[person].numpy()[labelled]
            for x, y in np.round(points).astype(int):
                if 0 <= x < SIDE and 0 <= y < SIDE:
                    persons += 1
                    assert (tile[y, x] != expected[y, x]).any(), "no keypoint drawn there"
            if len(points):
                (x0, y0), (x1, y1) = np.floor(points.min(0)).astype(int) - 3, np.ceil(points.max(0)).astype(int) + 4
                untouched[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)] = False
        np.testing.assert_array_equal(tile[untouched], expected[untouched])
        dark += int((ignored.numpy() & untouched & (plain.max(axis=2) > 3)).sum())
    assert persons > 50
    assert dark > 20 or layout == "crowdpose"  # it has no crowds


@pytest.mark.parametrize("layout", ["coco", "crowdpose"])
@pytest.mark.parametrize("settings", [["data.shuffle=image"], ["data.shuffle=instance", "bottomup.fit=long"]])
def test_every_crop_of_two_epochs_can_be_drawn_again(
    tiny_bottomup: MakeRecipe, layout: str, settings: list[str]
) -> None:
    recipe = tiny_bottomup("bottomup.augmentation.translation_factor=0.2", "train.seed=7", *settings, layout=layout)
    (dataset,) = open_training_splits(recipe)
    seen = {}
    for number, batch in enumerate(found := list(batches(recipe, epochs=2))):
        for instance, row in zip(batch.instance_ids.tolist(), batch.person_image.tolist(), strict=True):
            seen[2 * number // len(found), instance] = crop(batch, row)
    assert len(seen) > 40
    for (epoch, instance), pixels in list(seen.items())[::5]:
        picture = replayed_crop(recipe, dataset, instance, epoch)
        assert picture.shape == (SIDE, 2 * SIDE, 3)
        np.testing.assert_array_equal(picture[:, :SIDE], pixels)
    assert any((seen[0, instance] != seen[1, instance]).any() for epoch, instance in seen if epoch == 0)


def test_crops_of_mixed_splits_can_be_drawn_from_each_alone(
    tiny_bottomup: MakeRecipe, mini_shards: Callable[[str], Path]
) -> None:
    both = json.dumps([str(mini_shards("coco")), str(mini_shards("crowdpose"))])
    recipe = tiny_bottomup(f"data.train={both}", "train.seed=3")
    seen = {crop(batch, row).tobytes() for batch in batches(recipe) for row in range(len(batch.valid))}
    for dataset in open_training_splits(recipe):
        instances = dataset.instance_column("instance_id").all()[dataset.trainable].tolist()
        for instance in instances[:6]:
            picture = replayed_crop(recipe, dataset, instance, 0)
            assert picture[:, :SIDE].tobytes() in seen
            assert (picture[:, :SIDE] != picture[:, SIDE:]).any()


def test_instances_that_training_never_sees_are_named(tiny_bottomup: MakeRecipe, mini_coco: ShardedDataset) -> None:
    recipe = tiny_bottomup()
    crowds = mini_coco.instance_column("instance_id").all()[mini_coco.instance_column("iscrowd").all() > 0]
    assert len(crowds)
    for instance in [987654321, int(crowds[0])]:
        with pytest.raises(ConfigError, match=f"never sees an instance {instance} of {mini_coco.folder.uri}"):
            replayed_crop(recipe, mini_coco, instance, 0)


def test_the_command_draws_both(tiny_bottomup: MakeRecipe, tmp_path: Path) -> None:
    recipe = tiny_bottomup("train.seed=11")
    (dataset,) = open_training_splits(recipe)
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    batch = next(batches(recipe))
    instance = int(batch.instance_ids[0])
    given = ["inspect", dataset.folder.uri, "--recipe", str(tmp_path / "recipe.json"), "--sheet"]
    sheet = CliRunner().invoke(posestream.app, [*given, str(tmp_path / "sheet.png")])
    assert sheet.exit_code == 0, sheet.output
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "sheet.png")), crop_sheet(recipe, dataset))
    one = CliRunner().invoke(posestream.app, [*given, str(tmp_path / "one.png"), "--instance", str(instance)])
    assert one.exit_code == 0, one.output
    drawn = np.asarray(Image.open(tmp_path / "one.png"))
    np.testing.assert_array_equal(drawn[:, :SIDE], crop(batch, int(batch.person_image[0])))

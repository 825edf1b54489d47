"""`inspect --instance` draws the very pixels that training saw."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import posestream
from engine.config import ConfigError, override
from engine.data import open_training_splits, training_persons, training_skeleton
from engine.network_input import network_input
from engine.pictures import replayed_crop
from engine.topdown import TopDownTask

AUGMENTED = (
    "augmentation.rotation_factor=60", "augmentation.scale_factor=0.4", "augmentation.half_body_probability=0.7",
    "augmentation.translation_factor=0.1",
)  # fmt: skip


def seen_by_training(recipe, epochs):
    """(epoch, instance id) → pixels."""
    datasets = open_training_splits(recipe)
    samples = training_persons(recipe, datasets, training_skeleton(recipe, datasets))
    loader = TopDownTask(recipe, samples.skeleton).training_loader(samples, torch.device("cpu"), 0, 1)
    seen = {}
    for epoch in range(epochs):
        for batch in loader:
            for row in np.flatnonzero(batch.valid.numpy()):
                pixels = batch.crops[row].permute(1, 2, 0).contiguous().numpy()
                seen[epoch, int(batch.instance_ids[row])] = pixels
    loader.close()
    return datasets, seen


@pytest.mark.parametrize("layout", ["coco", "mpii", "crowdpose"])
@pytest.mark.parametrize("shuffle", ["image", "instance"])
def test_every_crop_of_two_epochs_can_be_drawn_again(tiny, layout, shuffle):
    recipe = tiny(*AUGMENTED, f"data.shuffle={shuffle}", "train.seed=7", layout=layout)
    (dataset,), seen = seen_by_training(recipe, epochs=2)
    assert len(seen) > 40
    for (epoch, instance), pixels in list(seen.items())[::7]:
        picture = replayed_crop(recipe, dataset, instance, epoch)
        np.testing.assert_array_equal(picture[:, : pixels.shape[1]], pixels)


def test_colours_are_drawn_as_the_network_saw_them(tiny):
    recipe = tiny("augmentation.channel_gain=0.5", "data.channel_order=bgr")
    datasets = open_training_splits(recipe)
    samples = training_persons(recipe, datasets, training_skeleton(recipe, datasets))
    task = TopDownTask(recipe, samples.skeleton)
    loader = task.training_loader(samples, torch.device("cpu"), 0, 1)
    batch = next(iter(loader))
    loader.close()
    black, white = (network_input(recipe.data, torch.full((1, 3, 64, 32), v, dtype=torch.uint8)) for v in (0, 255))
    fed = (network_input(recipe.data, batch.crops, batch.channel_gains) - black) / (white - black) * 255
    for row in range(3):
        picture = replayed_crop(recipe, datasets[0], int(batch.instance_ids[row]), 0)[:, :32]
        np.testing.assert_allclose(picture, fed[row].flip(0).permute(1, 2, 0).numpy(), atol=0.51)
        assert np.abs(picture.astype(int) - batch.crops[row].permute(1, 2, 0).numpy()).mean() > 1


@pytest.mark.parametrize("skeleton", [(), ("data.skeleton=crowdpose_14",)])
def test_crops_of_mixed_splits_can_be_drawn_from_each_alone(tiny, mini_shards, skeleton):
    """Half-body crops depend on the keypoints that are trained: the first split's, unless the recipe names others."""
    both = json.dumps([str(mini_shards("coco")), str(mini_shards("mpii"))])
    recipe = tiny(*AUGMENTED, "augmentation.half_body_probability=1", f"data.train={both}", *skeleton, "train.seed=3")
    datasets = open_training_splits(recipe)
    samples = training_persons(recipe, datasets, training_skeleton(recipe, datasets))
    loader = TopDownTask(recipe, samples.skeleton).training_loader(samples, torch.device("cpu"), 0, 1)
    crops = torch.cat([batch.crops[batch.valid] for batch in loader]).permute(0, 2, 3, 1).numpy()
    loader.close()
    seen = {crop.tobytes() for crop in crops}  # by pixels: both splits may have an instance of the same id
    for dataset in datasets:
        instances = dataset.instance_column("instance_id").all()[dataset.trainable].tolist()
        assert len(instances) > 20
        for instance in instances[:8]:
            assert replayed_crop(recipe, dataset, instance, 0)[:, :32].tobytes() in seen


def test_with_weights_the_pass_takes_the_place_of_the_epoch(tiny, tmp_path):
    recipe = tiny(*AUGMENTED, "data.weights=[0.5]", "train.seed=3")
    (dataset,), seen = seen_by_training(recipe, epochs=4)
    for (epoch, instance), pixels in list(seen.items())[::9]:
        picture = replayed_crop(recipe, dataset, instance, epoch // 2)  # two epochs make a pass
        np.testing.assert_array_equal(picture[:, :32], pixels)
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    arguments = ["inspect", dataset.folder.uri, "--sheet", str(tmp_path / "crop.png"), "--instance", "1"]
    arguments += ["--recipe", str(tmp_path / "recipe.json")]
    refused = CliRunner().invoke(posestream.app, [*arguments, "--epoch", "1"])
    assert refused.exit_code == 2
    assert "--pass" in refused.output
    instance = str(next(iter(seen))[1])
    drawn = CliRunner().invoke(posestream.app, [*arguments[:5], instance, *arguments[6:], "--pass", "1"])
    assert drawn.exit_code == 0, drawn.output
    assert f"instance {instance} in pass 1" in drawn.output


def test_the_command_draws_it_from_the_run_folders_recipe(tiny, tmp_path):
    recipe = tiny(*AUGMENTED)
    (dataset,), seen = seen_by_training(override(recipe, ["train.seed=11"]), epochs=1)
    (tmp_path / "recipe.json").write_text(recipe.to_json())
    (_, instance), pixels = next(iter(seen.items()))
    arguments = ["inspect", dataset.folder.uri, "--sheet", str(tmp_path / "crop.png"), "--instance", str(instance)]
    arguments += ["--epoch", "0", "--seed", "11", "--recipe", str(tmp_path / "recipe.json")]
    result = CliRunner().invoke(posestream.app, arguments)
    assert result.exit_code == 0, result.output
    drawn = np.asarray(Image.open(tmp_path / "crop.png"))
    assert drawn.shape == (pixels.shape[0], 2 * pixels.shape[1], 3)
    np.testing.assert_array_equal(drawn[:, : pixels.shape[1]], pixels)


def test_without_a_file_name_it_lies_in_the_current_folder(tiny, tmp_path, monkeypatch):
    """`posestream inspect URI --instance ID --epoch E --seed S` alone, with the recipe of the split's benchmark."""
    (dataset,) = open_training_splits(tiny())
    instance = int(dataset.instance_column("instance_id").all()[dataset.trainable][0])
    monkeypatch.chdir(tmp_path)
    arguments = ["inspect", dataset.folder.uri, "--instance", str(instance), "--epoch", "3", "--seed", "5"]
    result = CliRunner().invoke(posestream.app, arguments)
    assert result.exit_code == 0, result.output
    drawn = Image.open(tmp_path / f"instance-{instance}-epoch-3.png")
    assert drawn.size == (2 * 192, 256)


def test_instances_that_training_never_sees_are_named(tiny):
    recipe = tiny()
    (dataset,) = open_training_splits(recipe)
    never = dataset.instance_column("instance_id").all()[~dataset.trainable]
    for instance in [987654321, *never[:1].tolist()]:
        with pytest.raises(ConfigError, match=f"never sees an instance {instance}"):
            replayed_crop(recipe, dataset, instance, 0)

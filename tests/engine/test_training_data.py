"""What a recipe's data settings do: mixed splits, pictures that cannot be used, windows, and resuming with them."""

import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from engine.checkpoint import CheckpointError, load_checkpoint
from engine.config import ConfigError, override
from engine.data import open_training_splits, training_persons, training_skeleton
from engine.run_folder import BAD_SAMPLES
from engine.train import train
from pipelines.bad_samples import TooManyBadSamplesError
from sharding.dataset import BrokenShardError, open_dataset


def mixed(mini_shards, *layouts: str) -> str:
    return f"data.train={json.dumps([str(mini_shards(layout)) for layout in layouts])}"


def test_mixed_splits_train_on_the_keypoints_of_the_first(tiny, mini_shards, console: Console, seen):
    recipe = tiny(mixed(mini_shards, "coco", "mpii"), f"data.val={mini_shards('coco')}", "train.epochs=1")
    result = train(recipe, console)
    counts = [int(open_dataset(mini_shards(layout)).trainable.sum()) for layout in ("coco", "mpii")]
    assert result.steps == -(-sum(counts) // 8)
    checkpoint = load_checkpoint(result.last)
    assert checkpoint.num_keypoints == 17
    with pytest.raises(CheckpointError, match="the training split is another one"):
        train(tiny("train.epochs=2"), console)  # one of the two alone
    train(override(recipe, ["train.epochs=2"]), console)


def test_weights_change_how_often_a_split_comes(tiny, mini_shards, console: Console):
    recipe = tiny(mixed(mini_shards, "coco", "crowdpose"), "data.weights=[0.5,2]", "data.skeleton=crowdpose_14")
    datasets = open_training_splits(recipe)
    persons = training_persons(recipe, datasets, training_skeleton(recipe, datasets))
    counts = [part.count for part in persons.parts]
    assert [part.quota for part in persons.parts] == [round(counts[0] / 2), 2 * counts[1]]
    assert persons.skeleton.name == "crowdpose_14"
    result = train(override(recipe, ["train.epochs=1"]), console)
    assert result.steps == -(-(round(counts[0] / 2) + 2 * counts[1]) // 8)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["data.weights=[1,2]"], "data.weights has 2 entries, data.train has 1 splits"),
        (["data.skeleton=smpl"], "data.skeleton=smpl: unknown; known: coco_17"),
        (["data.train=[]"], "data.train is empty"),
        (["data.train=a,b"], r"several splits are given as JSON: 'data.train=\["),
        (["storage.cache=s3://bucket/cache"], "the cache is a folder on a local disk"),
    ],
)
def test_impossible_mixtures_are_refused(tiny, console: Console, settings, message):
    with pytest.raises(ConfigError, match=message):
        train(tiny(*settings), console)


def test_a_split_that_is_named_twice_is_refused(tiny, mini_shards, console: Console):
    with pytest.raises(ConfigError, match=r"names a split twice; data\.weights"):
        train(tiny(mixed(mini_shards, "coco", "coco")), console)


def test_what_is_refused_leaves_no_run_folder(tiny, console: Console, tmp_path: Path):
    with pytest.raises(ConfigError, match=r"data\.weights"):
        train(tiny("data.weights=[1,2]", f"run_dir={tmp_path / 'never'}"), console)
    assert not (tmp_path / "never").exists()


def test_validation_needs_the_keypoints_that_are_trained(tiny, mini_shards, console: Console):
    with pytest.raises(ConfigError, match=r"data.train has mpii_16 keypoints, data.val has coco_17"):
        train(tiny(mixed(mini_shards, "mpii", "coco"), f"data.val={mini_shards('coco')}"), console)


@pytest.fixture
def damaged(mini_shards, tmp_path: Path) -> Path:
    """A split in which a byte of one picture is flipped."""
    shutil.copytree(mini_shards("coco"), tmp_path / "damaged")
    split = open_dataset(tmp_path / "damaged")
    row = int(split.instance_images[split.trainable][5])
    offset = int(split.image_column("offset").all()[row])
    shard = int(split.image_column("offset").shard_of(split.instance_images[split.trainable][5:6])[0])
    tar = Path(split.folder.path) / split.tar_name(shard)
    data = bytearray(tar.read_bytes())
    data[offset + 900] ^= 255
    tar.write_bytes(data)
    return tmp_path / "damaged"


def test_by_default_damage_stops_training(tiny, damaged: Path, console: Console):
    with pytest.raises(BrokenShardError, match=r"damaged/.*\.tar: \d{12}: the picture does not match its crc32"):
        train(tiny(f"data.train={damaged}"), console)


def test_skipped_pictures_are_counted_and_listed(tiny, damaged: Path, console: Console, tmp_path: Path):
    skip = (f"data.train={damaged}", "data.on_bad_sample=skip", "data.max_bad_share=0.5")
    train(tiny(*skip), console)
    rows = [json.loads(line) for line in (tmp_path / "run" / BAD_SAMPLES).read_text().splitlines()]
    assert len(rows) == 1
    assert "crc32" in rows[0]["reason"]
    assert ".tar: " in rows[0]["picture"]
    said = console.file.getvalue()  # type: ignore[attr-defined]
    assert "instances left out, their pictures cannot be used" in said
    assert BAD_SAMPLES in said
    train(tiny(*skip, "train.epochs=3"), console)
    assert len((tmp_path / "run" / BAD_SAMPLES).read_text().splitlines()) == 1  # listed once, resumed or not
    with pytest.raises(TooManyBadSamplesError, match=r"data\.max_bad_share=0\.001 allows; mend the split"):
        train(tiny(*skip, "data.max_bad_share=0.001", f"run_dir={tmp_path / 'other'}"), console)
    assert "crc32" in (tmp_path / "other" / BAD_SAMPLES).read_text()
    assert not (tmp_path / "clean" / BAD_SAMPLES).exists()


def test_how_data_is_read_may_change_when_a_run_is_resumed_but_not_its_order(tiny, console: Console, mini_shards):
    train(tiny("train.epochs=1"), console)
    changed = ("train.epochs=2", "data.on_bad_sample=skip", "storage.connections=3", "storage.cache_gb=1")
    train(tiny(*changed), console)
    for order in ("data.shuffle_window=8", "data.shuffle=instance", "data.weights=[2]"):
        with pytest.raises(CheckpointError, match=order.partition("=")[0]):
            train(tiny(*changed, "train.epochs=3", order), console)


def test_a_checkpoint_keeps_the_window_that_it_began_with(tiny, console: Console, monkeypatch, tmp_path: Path):
    """Begun where the shards are remote, resumed where they are local: the same order goes on."""
    from sharding.storage import Folder

    with monkeypatch.context() as patch:
        patch.setattr(Folder, "local", property(lambda folder: None))
        result = train(tiny("train.epochs=1"), console)
    assert load_checkpoint(result.last).loader["window"] == 2048
    result = train(tiny("train.epochs=2"), console)
    assert load_checkpoint(result.last).loader["window"] == 2048


def test_evaluation_says_what_it_could_not_look_at(tiny, damaged: Path, console: Console, tmp_path: Path):
    recipe = tiny(f"data.val={damaged}", "data.on_bad_sample=skip", "data.max_bad_share=0.5", "train.epochs=1")
    result = train(recipe, console)
    assert result.score is not None
    assert any("boxes lie in pictures that could not be read or decoded" in note for note in result.score.notes)
    clean = train(tiny(f"data.val={recipe.data.train}", f"run_dir={tmp_path / 'clean'}", "train.epochs=1"), console)
    assert clean.score is not None
    assert not any("could not be read" in note for note in clean.score.notes)

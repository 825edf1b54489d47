"""Checkpoints: whole or absent, read without running code, resumed only by the same run."""

import os
import random
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from engine.checkpoint import Checkpoint, CheckpointError, load_checkpoint, require_same_run, save_checkpoint
from engine.config import Recipe, override, parse_recipe
from pose.errors import UserError
from pose.skeleton_file import skeleton_to_dict
from pose.skeletons import COCO_17


@pytest.fixture
def recipe() -> Recipe:
    return parse_recipe(
        {"name": "r", "run_dir": "runs/r", "data": {"train": "/a"}, "model": {"name": "net", "options": {"width": 8}}}
    )


@pytest.fixture
def checkpoint(recipe: Recipe) -> Checkpoint:
    network = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(network.parameters())
    network(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return Checkpoint(
        model=network.state_dict(),
        optimizer=optimizer.state_dict(),
        loader={"step": 17},
        step=17,
        validated_epochs=2,
        best=0.25,
        rng_state=torch.get_rng_state(),
        recipe=recipe,
        dataset_digest="d" * 64,
        val_digest="v" * 64,
        skeleton=COCO_17,
    )


def assert_same(left: Any, right: Any) -> None:
    if isinstance(left, torch.Tensor):
        assert left.dtype == right.dtype
        assert torch.equal(left, right)
    elif isinstance(left, dict):
        assert left.keys() == right.keys()
        for key in left:
            assert_same(left[key], right[key])
    else:
        assert left == right


def test_everything_comes_back(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(checkpoint, tmp_path / "last.ckpt")
    loaded = load_checkpoint(tmp_path / "last.ckpt")
    for field in fields(Checkpoint):
        assert_same(getattr(checkpoint, field.name), getattr(loaded, field.name))
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_first_checkpoint_without_a_score_comes_back(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(replace(checkpoint, best=None), tmp_path / "last.ckpt")
    assert load_checkpoint(tmp_path / "last.ckpt").best is None


@pytest.mark.parametrize("moment", ["before a byte", "half-way", "at the rename"])
def test_a_death_while_saving_leaves_the_previous_checkpoint(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    path = tmp_path / "last.ckpt"
    save_checkpoint(checkpoint, path)
    before = path.read_bytes()

    def die(*arguments: Any) -> None:
        if moment == "half-way":
            arguments[1].write(before[: len(before) // 2])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*((os, "replace") if moment == "at the rename" else (torch, "save")), die)
        with pytest.raises(KeyboardInterrupt):
            save_checkpoint(replace(checkpoint, step=99), path)
    assert path.read_bytes() == before
    assert load_checkpoint(path).step == 17
    save_checkpoint(replace(checkpoint, step=99), path)
    assert load_checkpoint(path).step == 99
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_checkpoint_is_on_disk_before_it_takes_its_name(
    checkpoint: Checkpoint, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    fsync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (order.append("fsync"), fsync(fd))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (order.append("replace"), rename(a, b))[1])
    save_checkpoint(checkpoint, tmp_path / "last.ckpt")
    assert order == ["fsync", "replace"]


def test_missing_truncated_and_foreign_files_are_named(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "last.ckpt"
    with pytest.raises(CheckpointError, match=r"last\.ckpt does not exist"):
        load_checkpoint(path)
    with pytest.raises(CheckpointError, match="does not exist"):
        load_checkpoint(tmp_path)
    save_checkpoint(checkpoint, path)
    whole = path.read_bytes()
    for size in (0, 1, 50, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(CheckpointError, match=r"last\.ckpt is not a readable checkpoint") as error:
            load_checkpoint(path)
        assert isinstance(error.value, UserError)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_random_and_flipped_bytes_never_surface_as_another_error(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path, generator = tmp_path / "last.ckpt", random.Random(3)
    torch.save({"format": 1, "step": torch.zeros(2)}, path, _use_new_zipfile_serialization=False)
    old_format = path.read_bytes()
    for number in range(300):
        data = bytearray(old_format if number % 2 else generator.randbytes(generator.randrange(1, 200)))
        data[generator.randrange(len(data))] = generator.randrange(256)
        path.write_bytes(data)
        with pytest.raises(CheckpointError):
            load_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list, expected a dictionary"),
        ({"state_dict": {}}, "not a posestream checkpoint of format 2"),
        ({"format": 1}, "not a posestream checkpoint of format 2"),
        ({"format": 2}, "not a posestream checkpoint of format 2"),
        ({"format": 1, "learnt_from": ""}, "holds a scoring network; it is given as bottomup.grouping.score_net"),
        (
            {"format": 1, "recipe": "{}", "num_keypoints": 17},
            "is a checkpoint of format 1, this posestream reads 2: train",
        ),
        ({"format": 2, "recipe": "{}"}, "lacks 'skeleton'"),
        ({"format": 2, "recipe": "{}", "skeleton": {"name": "x"}}, "skeleton: keypoint_names: expected a list"),
        ({"format": 2, "recipe": "{}", "skeleton": skeleton_to_dict(COCO_17)}, "name: Field required"),
    ],
)
def test_other_contents_are_refused(tmp_path: Path, content: Any, message: str) -> None:
    torch.save(content, tmp_path / "x.ckpt")
    with pytest.raises(CheckpointError, match=r"x\.ckpt") as error:
        load_checkpoint(tmp_path / "x.ckpt")
    assert message in str(error.value)


def test_missing_and_additional_entries_are_refused(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    save_checkpoint(checkpoint, path)
    content = torch.load(path, weights_only=True)
    torch.save({k: v for k, v in content.items() if k != "rng_state"}, path)
    with pytest.raises(CheckpointError, match=r"x\.ckpt.*rng_state"):
        load_checkpoint(path)
    torch.save(content | {"surprise": 1}, path)
    with pytest.raises(CheckpointError, match=r"x\.ckpt.*surprise"):
        load_checkpoint(path)


class _Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.target),)


def test_code_in_a_checkpoint_is_not_run(checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "x.ckpt"
    save_checkpoint(replace(checkpoint, model={"weight": _Payload(tmp_path / "pwned")}), path)
    with pytest.raises(CheckpointError, match="not a readable checkpoint") as refused:
        load_checkpoint(path)
    assert not (tmp_path / "pwned").exists()
    assert "weights_only" not in str(refused.value)  # torch advises to run the code
    torch.load(path, weights_only=False)  # the payload is live
    assert (tmp_path / "pwned").exists()


def test_the_same_run_may_go_on(checkpoint: Checkpoint, recipe: Recipe) -> None:
    require_same_run(checkpoint, recipe, "d" * 64, Path("last.ckpt"))


@pytest.mark.parametrize(
    "setting",
    [
        "name=other", "run_dir=elsewhere", "data.train=/moved", "data.val=/v", "data.threads=7", "data.prefetch=5",
        "train.epochs=200", "train.validate_every=3", "train.checkpoint_every_steps=5", "evaluate.flip_test=false",
        "train.keep_step_checkpoints=true", "model.weights=/gone.pth", "evaluate.detections=/boxes.json",
        "train.verdict_seconds=0", "data.on_bad_sample=skip", "data.max_bad_share=0.5", "storage.cache=/nvme",
        "storage.connections=3", "storage.attempts=9",
    ],
)  # fmt: skip
def test_settings_that_change_no_weight_may_change(checkpoint: Checkpoint, recipe: Recipe, setting: str) -> None:
    require_same_run(checkpoint, override(recipe, [setting]), "d" * 64, Path("last.ckpt"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("optim.lr=0.5", "optim.lr was 0.001, is 0.5"),
        ("train.batch_size=4", "train.batch_size was 128, is 4"),
        ("train.seed=1", "train.seed was 0, is 1"),
        ("train.accumulate=2", "train.accumulate was 1, is 2"),
        ("train.precision=32-true", "train.precision was 'auto', is '32-true'"),
        ("model.name=other", "model.name was 'net', is 'other'"),
        ("model.options.width=9", "model.options.width was 8, is 9"),
        ("model.options.depth=2", "model.options.depth was None, is 2"),
        ("data.crop_size=64,64", "data.crop_size was [256, 192], is [64, 64]"),
        ("data.shuffle=none", "data.shuffle was 'image', is 'none'"),
        ("data.shuffle_window=64", "data.shuffle_window was None, is 64"),
        ("data.weights=[2]", "data.weights was None, is [2.0]"),
        ("data.skeleton=mpii_16", "data.skeleton was None, is 'mpii_16'"),
        ("augmentation.scale_factor=0.1", "augmentation.scale_factor was 0.0, is 0.1"),
        ("heatmap.sigma=1", "heatmap.sigma was 2.0, is 1.0"),
    ],
)
def test_other_settings_are_another_run(checkpoint: Checkpoint, recipe: Recipe, setting: str, message: str) -> None:
    with pytest.raises(CheckpointError, match=r"last\.ckpt is of a different run") as error:
        require_same_run(checkpoint, override(recipe, [setting]), "d" * 64, Path("last.ckpt"))
    assert message in str(error.value)
    assert "run_dir" in str(error.value)


def test_every_change_is_listed_and_another_split_is_noticed(checkpoint: Checkpoint, recipe: Recipe) -> None:
    changed = override(recipe, ["optim.lr=0.5", "train.seed=9", "name=free"])
    with pytest.raises(CheckpointError) as error:
        require_same_run(checkpoint, changed, "e" * 64, Path("last.ckpt"))
    assert "optim.lr was 0.001, is 0.5; train.seed was 0, is 9; the training split is another one" in str(error.value)

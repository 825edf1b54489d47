"""A public checkpoint on the command line: scored as our own with the same weights, trained from, or refused."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from typer.testing import CliRunner

import posestream
from engine.checkpoint import load_checkpoint
from pose.errors import UserError

NETWORK = ("data.crop_size=64,32", "model.options.width=8", "model.options.deconv_channels=[8,8,8]")


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("COLUMNS", "300")
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def invoke(*arguments: object) -> tuple[int, str]:
    """Exit status and output, or the message of an error that a person can mend."""
    result = CliRunner().invoke(posestream.app, [str(argument) for argument in arguments])
    if isinstance(result.exception, UserError):
        return 1, str(result.exception)
    return result.exit_code, result.output


@pytest.fixture
def trained(mini_shards: Callable[[str], Path], tmp_path: Path) -> Path:
    """A network that a tiny training has moved away from its first weights."""
    shards = mini_shards("coco")
    status, output = invoke(
        "train", "memorise", f"data.train={shards}", f"data.val={shards}", f"run_dir={tmp_path / 'run'}", *NETWORK,
        "train.epochs=1", "train.batch_size=16", "data.threads=1", "train.verdict_seconds=0", "optim.warmup_steps=0",
    )  # fmt: skip
    assert status == 0, output
    return tmp_path / "run" / "last.ckpt"


def as_public(checkpoint: Path, path: Path, **beside: Any) -> Path:
    """The same weights as SimpleBaseline's public code would have saved them."""
    state = load_checkpoint(checkpoint).model
    names = {name: re.sub(r"^base\.(backbone|head)\.", "module.", name) for name in state}
    torch.save({"state_dict": {names[name]: tensor for name, tensor in state.items()}} | beside, path)
    return path


def metrics(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "metrics.json").read_text()))


def test_it_predicts_and_is_exported_as_our_own(
    trained: Path, mini_shards: Callable[[str], Path], tmp_path: Path
) -> None:
    public = as_public(trained, tmp_path / "pose_resnet.pth")
    theirs = ("--recipe", "memorise", "--weights", public, "data.skeleton=coco_17", *NETWORK)
    for name, given in (("ours", (trained,)), ("theirs", theirs)):
        inputs = (mini_shards("coco"), "--no-overlays", "--out", tmp_path / name)
        status, output = invoke("predict", *given, *inputs)
        assert status == 0, output
        status, output = invoke("export", *given, "--onnx", tmp_path / f"{name}.onnx")
        assert status == 0, output
    found = [json.loads((tmp_path / name / "predictions.json").read_text()) for name in ("ours", "theirs")]
    assert found[0] == found[1] != []
    crops = np.random.default_rng(0).normal(size=(2, 3, 64, 32)).astype(np.float32)
    answers = [
        onnxruntime.InferenceSession(tmp_path / f"{name}.onnx").run(None, {"crops": crops})[0]
        for name in ("ours", "theirs")
    ]
    assert np.array_equal(*answers)


def test_a_public_checkpoint_scores_as_our_own_with_the_same_weights(
    trained: Path, mini_shards: Callable[[str], Path], tmp_path: Path
) -> None:
    val = f"data.val={mini_shards('coco')}"
    public = as_public(trained, tmp_path / "pose_resnet.pth", model="pose_resnet", perf=np.float64(0.7))
    for option, path in (("--checkpoint", trained), ("--weights", public)):
        status, output = invoke("evaluate", "memorise", option, path, val, *NETWORK, "--out", tmp_path / option)
        assert status == 0, output
    ours, theirs = metrics(tmp_path / "--checkpoint"), metrics(tmp_path / "--weights")
    assert ours["metrics"] == theirs["metrics"]
    assert theirs["weights"] == str(public)
    results = [json.loads((tmp_path / option / "results.json").read_text()) for option in ("--checkpoint", "--weights")]
    assert results[0] == results[1]
    assert results[0]


def test_by_default_the_results_lie_in_the_recipes_run_folder(
    trained: Path, mini_shards: Callable[[str], Path], tmp_path: Path
) -> None:
    public = as_public(trained, tmp_path / "pose_resnet.pth")
    run = f"run_dir={tmp_path / 'other'}"
    status, output = invoke(
        "evaluate", "memorise", "--weights", public, f"data.val={mini_shards('coco')}", run, *NETWORK
    )
    assert status == 0, output
    assert (tmp_path / "other" / "evaluation-pose_resnet" / "report.html").exists()


def test_training_starts_from_a_public_checkpoint(
    trained: Path, mini_shards: Callable[[str], Path], tmp_path: Path
) -> None:
    shards, public = mini_shards("coco"), as_public(trained, tmp_path / "pose_resnet.pth")
    run = tmp_path / "tuned"
    status, output = invoke(
        "train", "memorise", f"data.train={shards}", f"run_dir={run}", f"model.weights={public}", *NETWORK,
        "train.epochs=1", "optim.lr=1e-12", "data.threads=1", "train.verdict_seconds=0",
    )  # fmt: skip
    assert status == 0, output
    before, after = (
        load_checkpoint(path).model["base.head.deconv_layers.3.weight"] for path in (trained, run / "last.ckpt")
    )
    torch.testing.assert_close(after, before, rtol=0, atol=1e-8)


def test_what_cannot_be_scored_is_said(trained: Path, mini_shards: Callable[[str], Path], tmp_path: Path) -> None:
    coco, public = f"data.val={mini_shards('coco')}", as_public(trained, tmp_path / "pose_resnet.pth")
    state = torch.load(public)["state_dict"]
    backbone = {name: tensor for name, tensor in state.items() if "deconv" not in name and "final" not in name}
    torch.save(backbone | {"module.fc.weight": torch.zeros(2)}, tmp_path / "imagenet.pth")
    for arguments, message in (
        (("--weights", public, f"data.val={mini_shards('mpii')}"), "its last layer has 17 channels, not 16"),
        (("--weights", public, coco, "model.plugin=enhancenet"), "such as plugin."),
        (("--weights", tmp_path / "imagenet.pth", coco), "such as base.head."),
        (("--weights", trained, coco), f"evaluate RECIPE --checkpoint {trained}"),
        (("--checkpoint", public, coco), f"evaluate RECIPE --weights {public}"),
    ):
        status, output = invoke("evaluate", "memorise", *arguments, *NETWORK, "--out", tmp_path / "out")
        assert status == 1
        assert message in output
        assert not (tmp_path / "out").exists()

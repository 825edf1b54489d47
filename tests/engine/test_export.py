"""What is exported, what it says of itself, and what happens where it cannot be."""

import errno
import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from random_weights import RandomWeights, small_recipe

import engine.export
from engine.checkpoint import Checkpoint, CheckpointError, save_checkpoint
from engine.config import ConfigError, Recipe
from engine.estimator import load
from engine.export import export_checkpoint, export_network
from engine.export_error import ExportError
from engine.export_input import example_pictures
from engine.export_network import ExportedNetwork, ExportSettings
from engine.tasks import make_task
from engine.trained import Weights
from pose.errors import UserError
from pose.skeleton_file import parse_skeleton
from pose.skeletons import COCO_17, Skeleton

DEPLOY = """
import json, sys
import cv2, numpy as np, onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
facts = session.get_modelmeta().custom_metadata_map
given, crop = json.loads(facts["input"]), json.loads(facts["crop"])
(height, width), one = given["size"], crop["convention"] == "unbiased"
picture, (x, y, w, h) = cv2.imread(sys.argv[2])[:, :, ::-1], json.loads(sys.argv[3])
scale = (width - one) / (max(w, h * width / height) * crop["box_padding"])
offset = np.array([width - one, height - one]) / 2 - scale * np.array([x + w / 2, y + h / 2])
pixels = cv2.warpAffine(picture, np.array([[scale, 0, offset[0]], [0, scale, offset[1]]]), (width, height))
pixels = (pixels[..., ::-1 if given["channel_order"] == "bgr" else 1] - np.array(given["mean"])) / given["std"]
crops = pixels.transpose(2, 0, 1)[None].astype(given["dtype"])
keypoints, scores = session.run(["keypoints", "scores"], {given["name"]: crops})
"""
ALONE = """
print(json.dumps(((keypoints[0] - offset) / scale).tolist()))
assert not {"torch", "posestream", "engine", "pose", "models"} & set(sys.modules), sorted(sys.modules)
"""
COMPLETE = ("posestream", "recipe", "network", "skeleton", "input", "crop", "outputs", "flip_test")


def session_of(file: Path) -> Any:
    return onnxruntime.InferenceSession(file)


def exported_module(recipe: Recipe, settings: ExportSettings, skeleton: Skeleton = COCO_17) -> ExportedNetwork:
    """What the file is made from, in PyTorch."""
    module = ExportedNetwork(make_task(recipe, skeleton), settings)
    RandomWeights().load_into(module.network, recipe, skeleton)
    return module.eval()


def save_random(recipe: Recipe, path: Path) -> None:
    """As a training run would."""
    weights = exported_module(recipe, ExportSettings()).network.state_dict()
    save_checkpoint(Checkpoint(weights, {}, {}, 0, 0, None, torch.get_rng_state(), recipe, "", None, COCO_17), path)


@pytest.fixture
def once_traced(monkeypatch: pytest.MonkeyPatch, program: Any) -> None:
    """Exports of the plain small recipe without the tracing, which takes seconds."""
    monkeypatch.setattr(engine.export, "traced", lambda *_: program)


@pytest.fixture(scope="module")
def program() -> Any:
    from engine.export_input import input_sizes
    from engine.export_trace import traced

    recipe = small_recipe()
    return traced(exported_module(recipe, ExportSettings()), input_sizes(recipe), 18)


@pytest.fixture
def export(tmp_path: Path) -> Callable[..., Path]:
    def make(recipe: Recipe | None = None, weights: Weights | RandomWeights | None = None, **settings: Any) -> Path:
        file = tmp_path / "out" / "network.onnx"
        recipe = small_recipe() if recipe is None else recipe
        export_network(
            recipe, COCO_17, RandomWeights() if weights is None else weights, file, ExportSettings(**settings)
        )
        return file

    return make


@pytest.mark.usefixtures("once_traced")
def test_a_file_says_all_that_a_deployer_needs(export: Callable[..., Path]) -> None:
    recipe = small_recipe()
    facts = session_of(export()).get_modelmeta().custom_metadata_map
    assert set(facts) == set(COMPLETE)
    assert facts["recipe"] == "small_coco"
    assert parse_skeleton(json.loads(facts["skeleton"]), "file") == COCO_17
    assert json.loads(facts["crop"]) == {"of": "one person's box", "box_padding": 1.25, "convention": "hrnet"}
    assert json.loads(facts["outputs"]) == [{"name": "heatmaps", "kind": "heatmaps", "stride": 4, "peak": 1.0}]
    given = json.loads(facts["input"])
    assert (given["size"], given["multiple"], given["channel_order"]) == ([64, 64], None, "rgb")
    pictures = example_pictures(2, recipe.data.crop_size)
    mean, std = (np.array(given[name])[:, None, None] for name in ("mean", "std"))
    fed = exported_module(recipe, ExportSettings()).input_of(pictures).numpy()
    np.testing.assert_allclose((pictures.numpy() - mean) / std, fed, atol=1e-4)


@pytest.mark.parametrize(
    ("heatmap", "data"),
    [
        ({"decoding": "argmax"}, {"convention": "unbiased"}),
        ({"decoding": "quarter"}, {"channel_order": "bgr"}),
        ({"decoding": "dark", "encoding": "exact"}, {"normalisation": "unit"}),
        pytest.param({"decoding": "quarter", "encoding": "truncated"}, {}, marks=pytest.mark.slow),
        pytest.param({"decoding": "argmax"}, {}, marks=pytest.mark.slow),
        pytest.param({"decoding": "dark", "sigma": 3}, {"convention": "unbiased"}, marks=pytest.mark.slow),
    ],
)
def test_pixels_go_in_and_keypoints_come_out(
    export: Callable[..., Path], heatmap: dict[str, Any], data: dict[str, Any]
) -> None:
    recipe = small_recipe(heatmap=heatmap, data={"crop_size": [64, 96], **data})
    session = session_of(export(recipe, decode=True, uint8=True))
    pictures = example_pictures(5, recipe.data.crop_size)
    keypoints, scores = session.run(["keypoints", "scores"], {"crops": pictures.numpy()})
    module = exported_module(recipe, ExportSettings(decode=True, uint8=True))
    with torch.no_grad():
        wanted, peaks = (one.numpy() for one in module(pictures))
    np.testing.assert_allclose(scores, peaks, atol=1e-4 * peaks.max())
    # Where two px of a heatmap are alike, float arithmetic decides which of them wins.
    assert (np.abs(keypoints - wanted).max(axis=2) < 0.02).mean() > 0.9
    other = replace(module.codec, decoding="dark" if heatmap["decoding"] == "quarter" else "quarter")
    with torch.no_grad():
        others, _ = other.decode(module.maps(pictures)[-1])
    assert (np.abs(keypoints - others.numpy()).max(axis=2) > 0.1).mean() > 0.5


def test_whole_pictures_of_any_size_go_in(export: Callable[..., Path]) -> None:
    recipe = small_recipe("ae_hourglass_4")
    session = session_of(export(recipe, uint8=True))
    pictures = example_pictures(2, (320, 128))
    with torch.no_grad():
        wanted = exported_module(recipe, ExportSettings(uint8=True))(pictures)
    given = session.run(None, {"crops": pictures.numpy()})
    assert [one.name for one in session.get_outputs()] == ["tags_4", "heatmaps_4"]
    for ours, theirs in zip(wanted, given, strict=True):
        np.testing.assert_allclose(theirs, ours.numpy(), atol=1e-4 * float(ours.abs().max()))
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["input"])["multiple"] == 64
    assert json.loads(facts["crop"])["short_side"] == 64


def test_a_file_is_used_without_posestream_and_pytorch(tmp_path: Path) -> None:
    """The guide's script finds what posestream finds, through a crop of its own."""
    recipe = small_recipe(data={"crop_size": [96, 64], "channel_order": "bgr"})
    save_random(recipe, tmp_path / "best.ckpt")
    file = tmp_path / "people.onnx"
    exported = export_checkpoint(tmp_path / "best.ckpt", file, ExportSettings(decode=True), ["heatmap.decoding=argmax"])
    assert [one.name for one in exported.differences] == ["keypoints", "scores"]
    picture, box = example_pictures(1, (120, 160))[0].permute(1, 2, 0).numpy(), [30.0, 10.0, 70.0, 90.0]
    Image.fromarray(picture).save(tmp_path / "a.png")
    words = [sys.executable, "-I", "-c", DEPLOY + ALONE, file, tmp_path / "a.png", json.dumps(box)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    estimator = load(tmp_path / "best.ckpt", "cpu", ["heatmap.decoding=argmax"])
    (wanted,) = estimator.predict([picture], [np.array([box])])
    off = np.abs(np.array(json.loads(done.stdout)) - wanted.keypoints[0]).max(axis=1)
    # DALI and OpenCV round pixels differently, which a random network's flat maps notice.
    assert (off < 0.5).mean() > 0.7, off


@pytest.mark.usefixtures("once_traced")
def test_a_file_that_answers_otherwise_is_not_kept(
    export: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = export()
    before = file.read_bytes()
    monkeypatch.setattr(ExportedNetwork, "maps", lambda self, crops: tuple(1.01 * one for one in self.network(crops)))
    with pytest.raises(ExportError, match=r"heatmaps are up to .* off PyTorch's"):
        export()
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_wrong_decoding_is_not_kept(export: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    from engine import export_check

    right = export_check._session

    def shifted(file: Path) -> Callable[[torch.Tensor], list[torch.Tensor]]:
        run = right(file)

        def wrong(crops: torch.Tensor) -> list[torch.Tensor]:
            keypoints, scores = run(crops)
            return [keypoints + 0.5, scores]

        return wrong

    monkeypatch.setattr(export_check, "_session", shifted)
    with pytest.raises(ExportError, match=r"keypoints are up to 0\.5"):
        export(decode=True)


@pytest.mark.usefixtures("once_traced")
@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_full_disk_or_a_death_leaves_the_previous_file(
    export: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    file = export()
    before = file.read_bytes()

    class Killed(BaseException):
        """Nothing catches it."""

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device") if moment == "fsync" else Killed

    monkeypatch.setattr(os, moment, full)
    with pytest.raises((ExportError, Killed)) as caught:
        export()
    if moment == "fsync":
        assert str(file) in str(caught.value)
        assert "No space left" in str(caught.value)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_kill_while_writing_leaves_nothing_under_the_name(tmp_path: Path) -> None:
    script = f"""
import os, signal, sys
sys.path[:0] = [{str(Path(__file__).parents[2])!r}, {str(Path(__file__).parent)!r}]
from random_weights import RandomWeights, small_recipe
import engine.export
from pose.skeletons import COCO_17
os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
engine.export.export_network(small_recipe(), COCO_17, RandomWeights(), {str(tmp_path / "a.onnx")!r})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=120, check=False)
    assert done.returncode == -9, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a.onnx.partial"]


def test_missing_packages_are_named(export: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "onnxscript" else find(name))
    with pytest.raises(UserError, match=r"onnxscript.*pip install -c constraints\.txt -e '\.\[export\]'"):
        export()


@pytest.mark.parametrize("name", ["guided_hrnet_w32", "higherhrnet_w32", "ae_hourglass_4"])
def test_persons_are_not_grouped_inside(export: Callable[..., Path], name: str) -> None:
    with pytest.raises(ExportError, match=r"finds all persons.*leave --decode out"):
        export(small_recipe(name), decode=True)


def test_what_cannot_be_a_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place, said in (("s3://bucket/a.onnx", "written to a disk"), (str(tmp_path), "is a folder")):
        with pytest.raises(ExportError, match=said):
            export_network(small_recipe(), COCO_17, RandomWeights(), place)
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(engine.export, "traced", lambda *_: pytest.fail("this late"))
    with pytest.raises(ExportError, match="cannot be written"):
        export_network(small_recipe(), COCO_17, RandomWeights(), tmp_path / "file" / "a.onnx")


def test_what_cannot_be_a_network_is_refused(
    export: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(ExportError, match="opset 11 is not known; take 18"):
        export(opset=11)
    with pytest.raises(UserError, match="multiples of 32"):
        export(small_recipe(data={"crop_size": [72, 64]}), decode=True)
    monkeypatch.setattr(engine.export, "_MOST_BYTES", 1000)
    with pytest.raises(ExportError, match="at most 2 GB"):
        export()
    with pytest.raises(CheckpointError, match="does not exist"):
        export_checkpoint(tmp_path / "none.ckpt", tmp_path / "a.onnx")


class Damaged(RandomWeights):
    def load_into(self, network: Any, recipe: Recipe, skeleton: Skeleton) -> None:
        super().load_into(network, recipe, skeleton)
        torch.nn.init.constant_(network.base.head.final_layer.bias, torch.nan)


@pytest.mark.usefixtures("once_traced")
def test_damaged_weights_are_refused(export: Callable[..., Path]) -> None:
    with pytest.raises(ExportError, match="no numbers"):
        export(weights=Damaged())


def test_a_setting_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    save_random(small_recipe(), tmp_path / "best.ckpt")
    with pytest.raises(ConfigError, match=r"heatmap\.decoding"):
        export_checkpoint(tmp_path / "best.ckpt", tmp_path / "a.onnx", overrides=["heatmap.decode=dark"])

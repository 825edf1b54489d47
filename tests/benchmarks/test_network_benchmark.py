"""The benchmarks of networks and of targets, loss and decoding run and store what they promise."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import codec, networks
from benchmarks.network_systems import SYSTEMS, System
from engine.config import ModelConfig
from models import create_model

_SMALL = {"width": 4, "deconv_channels": [4, 4, 4]}
_HRNET = {"width": 4, "stem": 4, "modules": [1, 1, 1], "blocks": 1}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ModelConfig(name="simplebaseline_resnet18", options=_SMALL)
    guided, higher = (ModelConfig(name=name, options=_HRNET) for name in ("guided_hrnet_w32", "higherhrnet_w32"))
    systems = {
        "SimpleBaseline-50": System(model),
        "+ PoseReNet": System(
            model.model_copy(update={"plugin": "poserenet"}), SYSTEMS["SimpleBaseline-50 + PoseReNet"].heatmap
        ),
        "HigherHRNet": System(higher, side=32),
        "Guided": System(guided, side=96),
    }
    monkeypatch.setattr(networks, "SYSTEMS", systems)


def run(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    few = ("--device", "cpu", "--batch", "2", "--crop", "64x32", "--rounds", "2")
    networks.main([*few, "--out", str(tmp_path / "networks.json"), *arguments])
    found: dict[str, Any] = json.loads((tmp_path / "networks.json").read_text())
    return found


@pytest.mark.usefixtures("tiny")
def test_every_system_is_measured_relative_to_simplebaseline(tmp_path: Path) -> None:
    found = run(tmp_path, "--systems", "SimpleBaseline-50", "+ PoseReNet")
    assert {"command", "machine", "versions", "device", "precision", "threads"} <= set(found)
    assert (found["batch"], found["crop"]) == (2, "64x32")
    assert set(found["systems"]) == {"SimpleBaseline-50", "+ PoseReNet"}
    assert found["systems"]["SimpleBaseline-50"]["relative"] == {"forward": 1, "training step": 1}
    for row in found["systems"].values():
        assert set(row["ms"]) == {"forward", "training step", "targets, loss, gradient", "decoding"}
        assert all(time > 0 for time in row["ms"].values())
        assert set(row["share_of_step"]) == {"targets, loss, gradient", "decoding"}
        assert all(share > 0 for share in row["share_of_step"].values())
        assert row["peak_gb"] is None


@pytest.mark.usefixtures("tiny")
def test_bottom_up_networks_are_measured_on_pictures_with_as_many_px(tmp_path: Path) -> None:
    found = run(tmp_path, "--systems", "SimpleBaseline-50", "HigherHRNet", "Guided")["systems"]
    batches = {name: (row["batch"], row["crop"]) for name, row in found.items()}
    # Two crops of 64x32 px; of the larger picture half a one would do.
    assert batches == {"SimpleBaseline-50": (2, "64x32"), "HigherHRNet": (4, "32x32"), "Guided": (1, "96x96")}
    for name, more in (("HigherHRNet", 1), ("Guided", 2.25)):
        row, reference = found[name], found["SimpleBaseline-50"]
        ratio = row["ms"]["training step"] / reference["ms"]["training step"] / more
        assert row["relative"]["training step"] == pytest.approx(ratio, abs=0.02)
        # How long it takes to find persons depends on the maps: another benchmark measures that.
        assert set(row["share_of_step"]) == {"targets, loss, gradient"}
        assert row["share_of_step"]["targets, loss, gradient"] > 0


def test_every_system_is_one_that_there_is() -> None:
    for name, system in SYSTEMS.items():
        with torch.device("meta"):
            model = create_model(system.model.name, 17, plugin=system.model.plugin)
        together = {output.kind for output in model.outputs} != {"heatmaps"}
        assert together == (system.side is not None), name
        assert system.side in (None, 512, 640)


@pytest.mark.usefixtures("tiny")
def test_compiled_networks_are_measured_beside_plain_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[object] = []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda module: compiled.append(module))
    found = run(tmp_path, "--compile", "--systems", "+ PoseReNet")
    assert set(found["systems"]) == {"+ PoseReNet", "+ PoseReNet, compiled"}
    assert len(compiled) == 1


def test_the_codec_is_measured_against_loops_that_do_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "milliseconds", lambda work, calls: (work(), 1.0)[1])
    for size, sigma in ((64, 48), 2.0), ((128, 96), 4.0):
        found = codec.measure(codec.Case(size, sigma, instances=2, keypoints=3), rounds=1)
        assert found["ratio_to_loops"] == {
            "targets + loss": 1,
            "targets + loss + gradient": 1,
            "decode quarter": 1,
            "decode dark": 1,
        }
        assert set(found) == {"ratio_to_loops", "ms_loops_and_ours", "ms_channels_last"}

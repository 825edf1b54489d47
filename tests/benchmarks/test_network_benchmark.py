"""The benchmarks of networks and of targets, loss and decoding run and store what they promise."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks import codec, networks
from engine.config import HeatmapConfig, ModelConfig

_SMALL = {"width": 4, "deconv_channels": [4, 4, 4]}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    model = ModelConfig(name="simplebaseline_resnet18", options=_SMALL)
    systems = {
        "SimpleBaseline-50": (model, HeatmapConfig()),
        "+ PoseReNet": (model.model_copy(update={"plugin": "poserenet"}), networks._DARK),
    }
    monkeypatch.setattr(networks, "SYSTEMS", systems)


def run(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    few = ("--device", "cpu", "--batch", "2", "--crop", "64x32", "--rounds", "2")
    networks.main([*few, "--out", str(tmp_path / "networks.json"), *arguments])
    found: dict[str, Any] = json.loads((tmp_path / "networks.json").read_text())
    return found


@pytest.mark.usefixtures("tiny")
def test_every_system_is_measured_relative_to_simplebaseline(tmp_path: Path) -> None:
    found = run(tmp_path)
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

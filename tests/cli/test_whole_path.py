"""The whole path as a user walks it, with training that takes minutes: `make slow`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import posestream

pytestmark = pytest.mark.slow


def invoke(*arguments: object) -> str:
    result = CliRunner().invoke(posestream.app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.timeout(900)
def test_the_demo_learns(tmp_path: Path) -> None:
    """What `make demo` shows: the trained network is clearly better than the untrained one on people it never saw."""
    output = invoke("demo", "--out", tmp_path)
    trained = json.loads((tmp_path / "trained" / "metrics.json").read_text())["metrics"]["AP"]
    untrained = json.loads((tmp_path / "untrained" / "metrics.json").read_text())["metrics"]["AP"]
    assert untrained < 0.01
    assert trained > untrained + 0.08
    assert f"AP {100 * trained:.1f} after" in output
    assert (tmp_path / "report.html").stat().st_size > 100_000
    assert (tmp_path / "crops.png").stat().st_size > 100_000


@pytest.mark.real_data
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    ("dataset", "annotations", "settings", "metric", "least"),
    [
        ("coco", "person_keypoints_mini.json", [], "AP", 0.9),
        ("crowdpose", "crowdpose_mini.json", [], "AP", 0.9),
        ("mpii", "mpii_mini.json", ["data.crop_size=256,256"], "PCKh@0.5", 95),
    ],
)
def test_a_few_real_pictures_can_be_learned_by_heart(
    real_data: Path,
    tmp_path: Path,
    dataset: str,
    annotations: str,
    settings: list[str],
    metric: str,
    least: float,
) -> None:
    """The commands of docs/training.md."""
    raw, shards, run = real_data / "mini" / dataset, tmp_path / "shards", tmp_path / "run"
    invoke("convert", dataset, "--images", raw / "images", "--annotations", raw / annotations, "--out", shards)
    invoke("verify", shards)
    invoke("inspect", shards, "--sheet", tmp_path / "crops.png")
    splits = [f"data.train={shards}", f"data.val={shards}", f"run_dir={run}", *settings]
    invoke("train", "memorise", *splits)
    invoke("evaluate", "memorise", "--checkpoint", run / "best.ckpt", *splits, "--out", tmp_path / "evaluation")
    assert json.loads((tmp_path / "evaluation" / "metrics.json").read_text())["metrics"][metric] >= least

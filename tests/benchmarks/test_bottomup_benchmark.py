"""The bottom-up benchmark runs on little data; both its sides are checked to do the same there."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def test_ratios_of_targets_and_losses_are_stored(tmp_path: Path) -> None:
    few = ("--images", "2", "--persons", "4", "--side", "32", "--rounds", "1")
    command = [sys.executable, "-m", "benchmarks.bottomup_targets", *few, "--out", str(tmp_path / "stored.json")]
    subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    stored = json.loads((tmp_path / "stored.json").read_text())
    ratios = stored["32x32, 1 thread"]["ratio_to_loops"]
    assert {"heatmaps: targets + loss", "offsets: targets + loss + gradient", "tag loss"} <= set(ratios)
    assert all(ratio > 0 for ratio in ratios.values())
    assert {"command", "machine", "versions"} <= set(stored)

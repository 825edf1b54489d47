"""The conversion benchmark runs and stores its ratios."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_ratios_are_stored(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.convert", "--megabytes", "20", "--rounds", "1"]
    subprocess.run([*command, "--out", str(tmp_path / "convert.json")], cwd=ROOT, capture_output=True, check=True)
    stored = json.loads((tmp_path / "convert.json").read_text())
    ratios = {"ratio_to_tar", "ratio_to_tar_with_image_check", "check_scaling"}
    assert all(stored[name] > 0 for name in ratios)
    assert {"mb_per_s", "workers", "data", "command", "machine", "versions"} <= set(stored)

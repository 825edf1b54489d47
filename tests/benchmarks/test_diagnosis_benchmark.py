"""The benchmark of the diagnosis runs, and finds both evaluators equal."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_small_run(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.diagnosis", "--images", "60", "--persons", "120", "--rounds", "1"]
    subprocess.run([*command, "--out", str(tmp_path / "diagnosis.json")], cwd=ROOT, capture_output=True, check=True)
    stored = json.loads((tmp_path / "diagnosis.json").read_text())
    assert stored["equal"] is True
    assert stored["data"]["results"] == 480
    assert {"diagnosis_s", "scoring_ratio_to_pycocotools", "command", "machine", "versions"} <= set(stored)

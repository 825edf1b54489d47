"""The benchmarks run and print what they promise; how fast anything is, they tell and no test asserts."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_the_loaders_ratios_are_printed_alone(tmp_path: Path) -> None:
    few = ("--pictures", "12", "--batch", "16", "--rounds", "1", "--seconds", "0.3")
    command = [sys.executable, "benchmarks/loader.py", "--json", *few, "--out", str(tmp_path / "loader.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    printed = json.loads(done.stdout)
    assert set(printed) == {"ratio_to_classical", "ratio_to_decode_once"}
    assert all(ratio > 0 for ratio in printed.values())
    stored = json.loads((tmp_path / "loader.json").read_text())
    assert stored.items() >= printed.items()
    assert {"command", "machine", "versions"} <= set(stored)
    assert {"loader, persons shuffled", "decode per instance"} <= set(stored["instances_per_s"])
    assert sum(name.endswith("threads") for name in stored["instances_per_s"]) >= 2
    stages = stored["cpu_us_per_instance"]
    assert {"read and check", "decode", "fan out and warp", "normalise", "heatmaps"} <= set(stages)
    assert stages["loader"] > stages["decode"] > 0

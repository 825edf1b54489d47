"""The grouping benchmark runs; it checks by itself that the loops and ours do the same."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(300)
def test_ratios_and_milliseconds_are_stored(tmp_path: Path) -> None:
    few = ("--persons", "2", "--rounds", "1", "--out", str(tmp_path / "grouping.json"))
    subprocess.run([sys.executable, "-m", "benchmarks.grouping", *few], cwd=ROOT, capture_output=True, check=True)
    stored = json.loads((tmp_path / "grouping.json").read_text())
    for name in ("128x176, 2 persons", "512x704, 2 persons"):
        assert set(stored[name]) == {"ratio_to_loops", "ms_loops_and_ours"}
        assert {"candidates", "grouping", "refinement", "whole"} <= set(stored[name]["ratio_to_loops"])
    assert {"command", "machine", "versions"} <= set(stored)

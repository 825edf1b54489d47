"""What docs/shuffling.md says of windows holds: how they mix, and what ranks read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def test_the_default_window_mixes_better_than_a_stream_and_ranks_read_their_share(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.shuffle", "--windows", "0", "2048", "--seeds", "3"]
    subprocess.run([*command, "--out", str(tmp_path / "shuffle.json")], cwd=ROOT, capture_output=True, check=True)
    result = json.loads((tmp_path / "shuffle.json").read_text())
    assert {"split", "command", "machine", "versions"} <= set(result)
    whole, window = (result["windows"][name] for name in ("0", "2048"))
    for label in ("drift", "shard", "block", "clip"):
        assert whole["posestream"][f"spread {label}"] == pytest.approx(1, abs=0.1)
        assert window["posestream"][f"spread {label}"] < 1.3
    assert window["buffer"]["spread shard"] > 2.5
    assert window["posestream"]["spread_10 shard"] < 0.4 * window["buffer"]["spread_10 shard"]
    assert window["posestream"]["rank_correlation"] < 0.1
    for ranks in ("1", "2", "4", "8"):
        assert window["ranks"][ranks]["read"] < 1.05
        assert window["ranks"][ranks]["read_with_cache"] < 1.1
        assert window["ranks"][ranks]["range_kb"] > 2500
        assert window["ranks"][ranks]["held_mb"] < 1.3 * window["window_mb"] / int(ranks)

"""The benchmark of the adaptive convolution compares ways that agree, and stores what it prints."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from benchmarks import adaptive_convolution as benchmark


def once(case: benchmark.Case, work: Callable[[], object]) -> float:
    work()
    return 2.0


def test_it_stores_every_way_at_every_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(benchmark, "SIZES", {"small": (4, 12)})
    monkeypatch.setattr(benchmark.Case, "milliseconds", once)
    threads = torch.get_num_threads()
    try:
        benchmark.main(["--device", "cpu", "--batch", "2", "--rounds", "1", "--out", str(tmp_path / "r.json")])
    finally:
        torch.set_num_threads(threads)
    stored = json.loads((tmp_path / "r.json").read_text())
    assert stored["command"].startswith("python -m benchmarks.adaptive_convolution --device cpu --batch 2")
    assert stored["sizes"]["small"].keys() == benchmark.WAYS.keys()
    assert stored["sizes"]["small"]["ordinary"]["forward_ratio"] == 1
    assert "corners" in capsys.readouterr().out


def test_ways_that_differ_are_not_compared() -> None:
    x_like = (2, 4, 12, torch.device("cpu"))
    cases = {name: benchmark.Case(way, *x_like) for name, way in benchmark.WAYS.items()}
    cases["corners"] = benchmark.Case(benchmark.WAYS["ordinary"], *x_like)
    with pytest.raises(AssertionError):
        benchmark.require_agreement(cases)


def test_peak_memory_counts_what_is_alive_at_once() -> None:
    with benchmark._Allocated() as allocated:
        for _ in range(3):
            first = torch.ones(1000)
            second = first + 1
            del first, second
        kept = torch.ones(500)
        kept.add_(1)
    assert allocated.peak == 8000
    assert allocated.now == 2000

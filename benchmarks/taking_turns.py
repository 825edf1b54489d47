"""Rates of contenders that take turns, so that each round compares what ran within the same minute."""

import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version

import torch

Measure = Callable[[float], float]
"""seconds → things per second."""
Rates = dict[str, list[float]]


def take_turns(contenders: Mapping[str, Measure], rounds: int, seconds: float) -> Rates:
    """The rates of each contender, one a round; said on stderr as they come."""
    rates: Rates = {name: [] for name in contenders}
    for number in range(rounds):
        for name, measure in contenders.items():
            rates[name].append(measure(seconds))
            print(f"round {number + 1} {name}: {rates[name][-1]:.0f}/s", file=sys.stderr)
    return rates


def rate(counts: Iterator[float], seconds: float) -> float:
    """How much is counted per second; the first count is not, it warms up."""
    next(counts)
    total, started = 0.0, time.perf_counter()
    for count in counts:
        total += count
        if time.perf_counter() - started > seconds:
            break
    return total / (time.perf_counter() - started)


def median_ratio(rates: Rates, name: str, to: str) -> float:
    """The median of the rounds' ratios: on a shared machine rounds differ more than ratios do."""
    return round(statistics.median(a / b for a, b in zip(rates[name], rates[to], strict=True)), 2)


def describe_run(cores: int) -> dict[str, object]:
    """Command, machine and versions, for a result file."""
    machine: dict[str, object] = {
        "cpu": str(torch.cpu.get_capabilities().get("cpu_name", platform.machine())),
        "cores": cores,
        "python": platform.python_version(),
    }
    if torch.cuda.is_available():
        machine["gpu"] = torch.cuda.get_device_name()
    packages = ("torch", "nvidia-dali-cuda120", "opencv-python-headless", "numpy", "pyarrow")
    return {
        "command": "python -m benchmarks.loader " + " ".join(sys.argv[1:]),
        "machine": machine,
        "versions": {name: version(name) for name in packages},
    }

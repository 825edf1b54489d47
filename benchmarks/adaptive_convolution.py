"""What the bottom-up paper's adaptive convolution costs beside the ordinary one of the same width.

    python -m benchmarks.adaptive_convolution                     # one thread, one picture of 512 px
    python -m benchmarks.adaptive_convolution --device cuda --batch 12

Ways to compute it, in channels-last memory, the transforms spread by 0.3 around the identity:

    bags            models.adaptive_convolution
    grid_sample     F.grid_sample of all taps at once, then a 1x1 convolution
    corners         four look-ups of rows for each tap, weighted and added, then a product

All are first checked to give the same, then take turns; the fastest call of each counts. Backward is the gradient of
all operands. Peak memory is what a forward and a backward pass allocate at once, beyond the operands; on the CPU
without what operators use within themselves.
"""

import argparse
import math
import time
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from benchmarks.adaptive_convolution_ways import by_corners, by_grid_sample
from benchmarks.result_file import RESULTS, store
from models.adaptive_convolution import adaptive_convolution

SIZES = {"heatmap head": (32, 128), "regression head": (256, 128)}
"""Channels, and height and width, px: of W32's heads for 512 px."""

Way = Callable[[Tensor, Tensor, Tensor], Tensor]
WAYS: dict[str, Way] = {
    "ordinary": lambda x, transforms, weight: F.conv2d(x, weight, padding=1),
    "bags": adaptive_convolution,
    "grid_sample": by_grid_sample,
    "corners": by_corners,
}


class Case:
    """One way at one size."""

    def __init__(self, way: Way, batch: int, channels: int, side: int, device: torch.device) -> None:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(batch, channels, side, side, generator=generator)
        transforms = torch.eye(2).view(4, 1, 1) + 0.3 * torch.randn(batch, 4, side, side, generator=generator)
        weight = torch.randn(channels, channels, 3, 3, generator=generator) / (9 * channels) ** 0.5
        self.way, self.device = way, device
        self.operands = [
            operand.to(device, memory_format=torch.channels_last).requires_grad_()
            for operand in (x, transforms, weight)
        ]
        self.result = self.forward()
        self.upstream = torch.randn(self.result.shape, generator=generator).to(self.result)

    def forward(self) -> Tensor:
        return self.way(*self.operands)

    def inference(self) -> None:
        with torch.no_grad():
            self.forward()

    def backward(self) -> Sequence[Tensor | None]:
        return torch.autograd.grad(
            self.result, self.operands, self.upstream, retain_graph=True, allow_unused=self.way is WAYS["ordinary"]
        )

    def milliseconds(self, work: Callable[[], object]) -> float:
        """Of the fastest call within about a third of a second."""
        times: list[float] = []
        while not times or (sum(times) < 300 and len(times) < 50):
            self._synchronise()
            started = time.perf_counter()
            work()
            self._synchronise()
            times.append(1000 * (time.perf_counter() - started))
        return min(times)

    def peak_mb(self) -> float:
        del self.result
        if self.device.type == "cuda":
            held = torch.cuda.memory_allocated(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            self._both()
            return (torch.cuda.max_memory_allocated(self.device) - held) / 1e6
        with _Allocated() as allocated:
            self._both()
        return allocated.peak / 1e6

    def _both(self) -> None:
        self.result = self.forward()
        self.backward()

    def _synchronise(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


class _Allocated(TorchDispatchMode):
    """Counts the bytes of the tensors that are made and alive."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {leaf.untyped_storage()._cdata for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, Tensor) and tensor.untyped_storage()._cdata not in given | self.known:
                self._count(tensor.untyped_storage())
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self.known.add(key)
        self.now += size
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._freed, key, size)

    def _freed(self, key: int, size: int) -> None:
        self.known.discard(key)
        self.now -= size


def take_turns(cases: Mapping[str, Case], rounds: int) -> dict[str, dict[str, float]]:
    """Milliseconds of each way, the best of all rounds."""
    best = {name: {"forward": math.inf, "backward": math.inf} for name in cases}
    for _ in range(rounds):
        for name, case in cases.items():
            for kind, work in (("forward", case.inference), ("backward", case.backward)):
                best[name][kind] = min(best[name][kind], case.milliseconds(work))
    return best


def require_agreement(cases: Mapping[str, Case]) -> None:
    """Every way but the ordinary one gives the same, and the same gradients."""
    expected, *others = (case for name, case in cases.items() if name != "ordinary")
    for other in others:
        torch.testing.assert_close(other.result, expected.result, rtol=1e-3, atol=1e-3)
        # Differences at the places that one way or another rounds to the next pixel: compared on average.
        for found, gradient in zip(other.backward(), expected.backward(), strict=True):
            if found is None or gradient is None or (found - gradient).norm() > 0.02 * gradient.norm():
                raise ValueError("two ways to compute the adaptive convolution have other gradients")


def measured(batch: int, channels: int, side: int, device: torch.device, rounds: int) -> dict[str, dict[str, float]]:
    cases = {name: Case(way, batch, channels, side, device) for name, way in WAYS.items()}
    require_agreement(cases)
    best = take_turns(cases, rounds)
    return {
        name: {
            **{f"{kind}_ms": round(ms, 2) for kind, ms in best[name].items()},
            **{f"{kind}_ratio": round(ms / best["ordinary"][kind], 2) for kind, ms in best[name].items()},
            "peak_mb": round(case.peak_mb(), 1),
        }
        for name, case in cases.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS / "adaptive_convolution.json")
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    sizes = {}
    for name, (channels, side) in SIZES.items():
        sizes[name] = measured(args.batch, channels, side, torch.device(args.device), args.rounds)
        print(f"{name}: {args.batch} x {channels} x {side} x {side}")
        for way, row in sizes[name].items():
            print(f"  {way:<12}" + "".join(f"{key:>16} {value:<8}" for key, value in row.items()))
    setting = {name: getattr(args, name) for name in ("device", "batch", "threads", "rounds")}
    command = "python -m benchmarks.adaptive_convolution " + " ".join(f"--{k} {v}" for k, v in setting.items())
    store(args.out, {**setting, "sizes": sizes}, command, packages=("torch",))


if __name__ == "__main__":
    main()

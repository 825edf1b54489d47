"""What each network costs: forward pass, training step, and the part of targets, loss and decoding in it.

    python -m benchmarks.networks                                  # this machine's GPU, else the CPU with small batches
    python -m benchmarks.networks --device cuda --batch 128 --compile
    python -m benchmarks.networks --systems SimpleBaseline-50 HRNet-W32 --crop 384x288
    python -m benchmarks.networks --systems SimpleBaseline-50 HigherHRNet-W32 "Guided HRNet-W32"

A training step is the loop's (engine/learner.py): normalising, forward, targets and loss, backward, Adam, no loader.
Precision and memory layout are those that training takes on the device. All systems take turns, and the fastest call of
each counts: on a shared machine the others measure what else runs there. Ratios are to SimpleBaseline-50, or to the
first system if that is not measured, for equally many px. Shares are of the training step; decoding is no part of it,
but is given in the same measure.

Bottom-up networks see pictures of their paper's size, as many as have the px of the batch of crops, at least one. How
long it takes to find persons in their maps depends on who is there: benchmarks/grouping.py measures that.

With --compile each network is measured once more as torch.compile makes it. Peak memory, on a GPU, is what is allocated
during a training step beyond what other networks hold.
"""

import argparse
import math
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from benchmarks.network_systems import SYSTEMS, System
from benchmarks.result_file import RESULTS, store
from engine.fabric import resolved_precision
from engine.learner import Learner
from engine.tasks import make_task
from engine.topdown import TopDownTask
from pipelines.bottomup import BottomUpBatch
from pipelines.topdown import TopDownBatch
from pose.skeletons import COCO_17

_REFERENCE = "SimpleBaseline-50"
_RELATIVE = ("forward", "training step")
_SHARES = ("targets, loss, gradient", "decoding")

Times = dict[str, float]
"""Milliseconds of each kind of work."""


class Contender:
    """One network with its optimiser, and what is done with it."""

    def __init__(
        self, system: System, batch: TopDownBatch | BottomUpBatch, device: torch.device, compiled: bool
    ) -> None:
        recipe = system.recipe((batch.crops.shape[2], batch.crops.shape[3]))
        self.task, self.batch, self.device = make_task(recipe, COCO_17), batch, device
        network = self.task.build_model(pretrained=False)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if compiled:
            network.compile()
        self.precision = resolved_precision(recipe.train.precision)
        fabric = Fabric(accelerator=device.type, devices=1, precision=self.precision)
        self.learner = Learner(recipe, self.task, network, fabric, steps_per_epoch=1)
        maps = self.forward()
        self.outputs = network.outputs
        self.decoded = maps[-1].float()
        self.maps = tuple(one.clone().requires_grad_() for one in maps)
        self.learned = tuple(m for m, output in zip(self.maps, self.outputs, strict=True) if output.loss_weight)

    @torch.no_grad()
    def forward(self) -> tuple[torch.Tensor, ...]:
        self.learner.model.eval()
        maps: tuple[torch.Tensor, ...] = self.learner.model(self.task.training_input(self.batch))
        return maps

    def training_step(self) -> None:
        self.learner.model.train()
        self.learner.learn(self.batch, step=1)

    def loss(self) -> None:
        torch.autograd.grad(self.task.loss(self.maps, self.outputs, self.batch), self.learned)

    @property
    def work(self) -> dict[str, Callable[[], object]]:
        work: dict[str, Callable[[], object]] = {
            "forward": self.forward,
            "training step": self.training_step,
            "targets, loss, gradient": self.loss,
        }
        if isinstance(self.task, TopDownTask):
            work["decoding"] = partial(self.task.codec(self.outputs[-1]).decode, self.decoded)
        return work

    def milliseconds(self, work: Callable[[], object]) -> float:
        """Of the fastest call; of several, if they are short."""
        times: list[float] = []
        while not times or (sum(times) < 300 and len(times) < 20):
            self._synchronise()
            started = time.perf_counter()
            work()
            self._synchronise()
            times.append(1000 * (time.perf_counter() - started))
        return min(times)

    def peak_gb(self) -> float | None:
        if self.device.type != "cuda":
            return None
        self._synchronise()
        held = torch.cuda.memory_allocated(self.device)
        torch.cuda.reset_peak_memory_stats(self.device)
        self.training_step()
        self._synchronise()
        return round((torch.cuda.max_memory_allocated(self.device) - held) / 1e9, 2)

    def _synchronise(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)


def take_turns(contenders: Mapping[str, Contender], rounds: int) -> dict[str, Times]:
    """Every contender's times, the best of all rounds."""
    for contender in contenders.values():
        for work in contender.work.values():
            work()  # compiles, and chooses algorithms
    found: dict[str, Times] = {name: {} for name in contenders}
    for _ in range(rounds):
        for name, contender in contenders.items():
            for kind, work in contender.work.items():
                found[name][kind] = min(contender.milliseconds(work), found[name].get(kind, math.inf))
    return found


def summary(ms: Times, reference: Times, crops: torch.Tensor, reference_crops: torch.Tensor) -> dict[str, Any]:
    """What is stored of a system that takes `crops` (B, 3, H, W), beside one that takes `reference_crops`."""
    more = crops.numel() / reference_crops.numel()
    return {
        "batch": len(crops),
        "crop": f"{crops.shape[2]}x{crops.shape[3]}",
        "ms": {kind: round(time, 2) for kind, time in ms.items()},
        "samples_per_s": {kind: round(1000 * len(crops) / ms[kind], 1) for kind in _RELATIVE},
        "relative": {kind: round(ms[kind] / reference[kind] / more, 2) for kind in _RELATIVE},
        "share_of_step": {kind: round(ms[kind] / ms["training step"], 4) for kind in _SHARES if kind in ms},
    }


def print_table(systems: Mapping[str, dict[str, Any]]) -> None:
    print(f"{'':<42}{'ms':>10}{'relative':>10}{'ms':>10}{'relative':>10}{'share':>10}{'share':>10}{'GB':>8}")
    print(f"{'':<42}{'forward':>10}{'':>10}{'step':>10}{'':>10}{'loss':>10}{'decoding':>10}{'peak':>8}")
    for name, row in systems.items():
        times = "".join(f"{row['ms'][kind]:>10.1f}{row['relative'][kind]:>10.2f}" for kind in _RELATIVE)
        found = row["share_of_step"]
        shares = "".join(f"{found[kind]:>10.2%}" if kind in found else f"{'':>10}" for kind in _SHARES)
        print(f"{name:<42}{times}{shares}{row['peak_gb'] or '':>8}")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--batch", type=int, help="persons; 64 on a GPU, 8 on a CPU")
    parser.add_argument("--crop", default="256x192", help="of one person, height x width, px")
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), metavar="NAME")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS / "networks.json")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    args = parse(arguments)
    device, batch_size = torch.device(args.device), args.batch or (64 if args.device == "cuda" else 8)
    height, width = (int(side) for side in args.crop.split("x"))
    contenders = {
        name + ", compiled" * compiled: Contender(
            system, system.batch(batch_size, (height, width), device), device, compiled
        )
        for name, system in ((name, SYSTEMS[name]) for name in args.systems)
        for compiled in ([False, True] if args.compile else [False])
    }
    found = take_turns(contenders, args.rounds)
    reference = _REFERENCE if _REFERENCE in found else next(iter(found))
    crops = contenders[reference].batch.crops
    systems = {name: summary(ms, found[reference], contenders[name].batch.crops, crops) for name, ms in found.items()}
    for name, contender in contenders.items():
        systems[name]["peak_gb"] = contender.peak_gb()
    print_table(systems)
    setting = {
        "device": args.device,
        "batch": batch_size,
        "crop": args.crop,
        "precision": next(iter(contenders.values())).precision,
        "threads": torch.get_num_threads(),
    }
    words = " ".join(f"--{name} {value}" for name, value in setting.items() if name in ("device", "batch", "crop"))
    command = f"python -m benchmarks.networks {words} --rounds {args.rounds}" + " --compile" * args.compile
    store(args.out, {**setting, "systems": systems}, command)


if __name__ == "__main__":
    main()

"""Where the loader's time goes: CPU time of each stage by itself, on the same batches.

CPU time of all threads does not depend on what else runs on the machine, and adds up. Reading, planning, cutting and
decoding are run alone; the warp is the whole graph without the two before it. What remains of the loader's CPU time is
its threads and queues. Beside them: decoding each picture of these batches once and whole, and what `complete` adds.
"""

import itertools
import time
from collections.abc import Callable
from typing import Any

from nvidia.dali import fn, pipeline_def, types

from benchmarks.classical import CROP
from benchmarks.loader_contenders import CPU, Finisher, settings
from pipelines.dali_graph import CropGraph
from pipelines.graph_input import GraphInput, Pieces, cut_into_pieces
from pipelines.reader import PictureReader
from pipelines.samples import TopDownSamples
from pipelines.topdown import TopDownLoader

_BATCHES = 12


def cpu_us_per_instance(samples: TopDownSamples, batch_size: int, threads: int, rounds: int) -> dict[str, float]:
    """Stage → µs of CPU time per instance, the least of several rounds; stages of the loader add up to "loader"."""
    loader = TopDownLoader(samples, settings(batch_size, threads))
    prepared = [loader.prepare(step) for step in range(_BATCHES)]
    inputs = [one.graph_input for one in prepared]
    pieces = [cut_into_pieces(one, CROP) for one in inputs]
    reader, finish = PictureReader(samples.dataset), Finisher(samples.dataset.skeleton)
    batches = itertools.chain.from_iterable(itertools.repeat(loader))
    graph, decoder = _graph(inputs, batch_size, threads), _decoder(pieces, batch_size, threads)
    whole_decoder = _decoder([cut_into_pieces(one, CROP, whole=True) for one in inputs], batch_size, threads)
    finished = [next(batches) for _ in range(_BATCHES)]
    stages: dict[str, Callable[[int], object]] = {
        "read": lambda k: reader.encoded(prepared[k].share.image_rows),
        "prepare": lambda k: loader.prepare(k),
        "regions": lambda k: cut_into_pieces(inputs[k], CROP),
        "decode": lambda k: decoder(),
        "graph": lambda k: graph(),
        "loader": lambda k: next(batches),
        "decode once": lambda k: whole_decoder(),
        "normalise": lambda k: finish.floats(finished[k]),
        "heatmaps": lambda k: finish.heatmaps(finished[k]),
    }
    taken = {name: min(_cpu_us(stage, batch_size) for _ in range(rounds)) for name, stage in stages.items()}
    loader.close()
    return {name: round(value, 1) for name, value in _apart(taken).items()}


def _apart(taken: dict[str, float]) -> dict[str, float]:
    """Stages that contain others, without them."""
    parts = {
        "read and check": taken["read"],
        "plan and augment": taken["prepare"] - taken["read"],
        "regions": taken["regions"],
        "decode": taken["decode"],
        "fan out and warp": taken["graph"] - taken["decode"] - taken["regions"],
    }
    rest = taken["loader"] - sum(parts.values())
    others = ("loader", "decode once", "normalise", "heatmaps")
    return {**parts, "rest": rest, **{name: taken[name] for name in others}}


def _cpu_us(stage: Callable[[int], object], batch_size: int) -> float:
    for k in range(3):
        stage(k % _BATCHES)
    started = time.process_time()
    for k in range(_BATCHES):
        stage(k)
    return 1e6 * (time.process_time() - started) / _BATCHES / batch_size


def _graph(inputs: list[GraphInput], batch_size: int, threads: int) -> Callable[[], object]:
    cycle = itertools.cycle(inputs)
    return CropGraph(lambda: next(cycle), batch_size, CROP, CPU, threads).run


def _decoder(pieces: list[Pieces], batch_size: int, threads: int) -> Callable[[], object]:
    """The host graph's decoder, fed with the same regions."""
    cycle = itertools.cycle(pieces)

    def feed() -> tuple[Any, ...]:
        piece = next(cycle)
        return piece.pictures, piece.start, piece.end

    @pipeline_def(batch_size=batch_size, num_threads=threads, device_id=None, prefetch_queue_depth=2)
    def graph():  # type: ignore[no-untyped-def]
        encoded, start, end = fn.external_source(
            source=feed, num_outputs=3, batch=True, dtype=[types.UINT8, types.FLOAT, types.FLOAT]
        )
        return fn.decoders.image_slice(
            encoded,
            rel_start=start,
            rel_end=end,
            axis_names="HW",
            output_type=types.RGB,
            adjust_orientation=False,
        )

    pipeline = graph()
    pipeline.build()
    return pipeline.run

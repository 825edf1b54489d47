"""All shards of a conversion, one after the other: many threads read, this one writes, another waits for the disk."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pyarrow as pa

from sharding.conversion_settings import ConversionSettings, require_no_rejection
from sharding.conversion_state import ShardState, WorkingFolder
from sharding.records import RawDataset, Rejection
from sharding.schema import sidecar_schema
from sharding.shard_plan import PlannedShard, plan_digest, plan_shards
from sharding.shard_writer import write_shard
from sharding.tar_piece import TarPiece, read_pieces


def build_shards(
    raw: RawDataset, settings: ConversionSettings, work: WorkingFolder, on_images: Callable[[int], None]
) -> list[ShardState]:
    """The state of every shard, in order. What an earlier run finished is not written again."""
    plan = list(plan_shards(raw.images, settings))
    metadata = {"dataset": raw.dataset, "split": settings.split, "skeleton": raw.skeleton.name}
    schema = sidecar_schema(raw.skeleton.num_keypoints, metadata)
    states: list[Future[ShardState]] = []
    with (
        ThreadPoolExecutor(settings.workers) as readers,
        ThreadPoolExecutor(1) as hasher,
        ThreadPoolExecutor(1) as finisher,
    ):
        build = _Build(settings, work, plan_digest(raw, plan, settings), schema, on_images, readers, hasher)
        for number, shard in enumerate(plan):
            states.append(finisher.submit(build.start(number, shard)))
            if number:
                states[number - 1].result()  # so that unfinished files do not pile up, and a full disk stops us here
        return [state.result() for state in states]


@dataclass(frozen=True)
class _Build:
    settings: ConversionSettings
    work: WorkingFolder
    plan: str
    schema: pa.Schema
    on_images: Callable[[int], None]
    readers: ThreadPoolExecutor
    hasher: ThreadPoolExecutor

    def start(self, number: int, shard: PlannedShard) -> Callable[[], ShardState]:
        """Write a shard's tar. The returned function waits until the shard is on disk, and remembers it as finished."""
        known = self.work.read_state(number, self.plan)
        if known is not None:
            self.on_images(len(shard))
            require_no_rejection(known.rejections, self.settings)
            return lambda: known
        rejections: list[Rejection] = []
        pieces = self._watched(read_pieces(shard, self.settings, self.readers), rejections)
        name = f"{self.settings.split}-{number:06d}"
        finish = write_shard(self.work.target, name, pieces, self.schema, self.work.scratch, self.hasher)

        def finish_and_remember() -> ShardState:
            state = ShardState(plan=self.plan, shard=finish(), rejections=rejections)
            self.work.write_state(number, state)
            return state

        return finish_and_remember

    def _watched(self, pieces: Iterator[TarPiece], rejections: list[Rejection]) -> Iterator[TarPiece]:
        """The same pieces, while progress is told and `rejections` gets theirs."""
        for piece in pieces:
            self.on_images(len(piece.images) + len(piece.rejections))
            rejections += piece.rejections
            require_no_rejection(rejections, self.settings)
            yield piece

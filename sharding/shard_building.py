"""The shards of a conversion, one after the other: many threads read, this one writes, another waits for the disk."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import pyarrow as pa

from sharding.conversion_settings import ConversionSettings, require_no_rejection
from sharding.conversion_state import ShardState, WorkingFolder
from sharding.records import RawDataset, Rejection
from sharding.schema import sidecar_metadata, sidecar_schema
from sharding.shard_plan import PlannedShard, plan_digest, plan_shards
from sharding.shard_writer import write_shard
from sharding.tar_piece import TarPiece, read_pieces


@dataclass(frozen=True)
class Building:
    """What all shards of a conversion have in common. `plan` is the digest of all of them."""

    settings: ConversionSettings
    plan: str
    schema: pa.Schema


def plan_building(raw: RawDataset, settings: ConversionSettings) -> tuple[Building, list[PlannedShard]]:
    """What is to be built: nothing is read but the sizes of the pictures."""
    plan = list(plan_shards(raw.images, settings))
    metadata = sidecar_metadata(raw.dataset, settings.split, raw.skeleton)
    schema = sidecar_schema(raw.skeleton.num_keypoints, metadata)
    return Building(settings, plan_digest(raw, plan, settings), schema), plan


def build_shards(
    raw: RawDataset, settings: ConversionSettings, work: WorkingFolder, on_images: Callable[[int], None]
) -> list[ShardState]:
    """The state of every shard, in order. What an earlier run finished is not written again."""
    building, plan = plan_building(raw, settings)
    states: list[Future[ShardState]] = []
    with _builder(building, work, on_images) as build, ThreadPoolExecutor(1) as finisher:
        for number, shard in enumerate(plan):
            states.append(finisher.submit(build.start(number, shard)))
            if number:
                states[number - 1].result()  # so that unfinished files do not pile up, and a full disk stops us here
        return [state.result() for state in states]


def build_shard(building: Building, number: int, shard: PlannedShard, work: WorkingFolder) -> ShardState:
    """One of the planned shards alone, with the same bytes, for whoever spreads them over processes of his own."""
    with _builder(building, work, lambda count: None) as build:
        return build.start(number, shard)()


@contextmanager
def _builder(building: Building, work: WorkingFolder, on_images: Callable[[int], None]) -> Iterator["_Builder"]:
    with ThreadPoolExecutor(building.settings.workers) as readers, ThreadPoolExecutor(1) as hasher:
        yield _Builder(building, work, on_images, readers, hasher)


@dataclass(frozen=True)
class _Builder:
    building: Building
    work: WorkingFolder
    on_images: Callable[[int], None]
    readers: ThreadPoolExecutor
    hasher: ThreadPoolExecutor

    def start(self, number: int, shard: PlannedShard) -> Callable[[], ShardState]:
        """Write a shard's tar. The returned function waits until the shard is on disk, and remembers it as finished."""
        settings, plan = self.building.settings, self.building.plan
        known = self.work.read_state(number, plan)
        if known is not None:
            self.on_images(len(shard))
            require_no_rejection(known.rejections, settings)
            return lambda: known
        rejections: list[Rejection] = []
        pieces = self._watched(read_pieces(shard, settings, self.readers), rejections)
        name = f"{settings.split}-{number:06d}"
        finish = write_shard(self.work.target, name, pieces, self.building.schema, self.work.scratch, self.hasher)

        def finish_and_remember() -> ShardState:
            state = ShardState(plan=plan, shard=finish(), rejections=rejections)
            self.work.write_state(number, state)
            return state

        return finish_and_remember

    def _watched(self, pieces: Iterator[TarPiece], rejections: list[Rejection]) -> Iterator[TarPiece]:
        """The same pieces, while progress is told and `rejections` gets theirs."""
        for piece in pieces:
            self.on_images(len(piece.images) + len(piece.rejections))
            rejections += piece.rejections
            require_no_rejection(rejections, self.building.settings)
            yield piece

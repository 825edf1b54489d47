"""Conversion on a Ray cluster: each shard is a task on some node, with the bytes of the ordinary conversion.

A shard whose worker or node dies is built again elsewhere. Pictures and output must be the same on every node.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import ray

from pose.errors import UserError
from sharding.conversion_settings import ConversionError, ConversionSettings, require_no_rejection
from sharding.conversion_state import ShardState, WorkingFolder
from sharding.convert import convert
from sharding.manifest import Manifest
from sharding.records import RawDataset
from sharding.shard_building import Building, build_shard, plan_building
from sharding.shard_plan import PlannedShard
from sharding.storage import Folder
from sharding.tar_format import tar_member_bytes
from tune.cluster import require_resources

_DEATHS = 4  # of the workers that build a shard, until it is thought to be the shard's fault
_END_S = 10.0
_SCRATCH = "ray-"


def convert_on_ray(
    raw: RawDataset,
    folder: Folder,
    settings: ConversionSettings,
    on_images: Callable[[int], None] = lambda count: None,
) -> Manifest:
    """As `sharding.convert.convert`, with the shards built all over the cluster that this process is connected to.

    `settings.workers` are the readers of one shard, and the CPUs that its task takes. Whatever was begun with Ray
    can be finished without it, and the other way round.

    Raises:
        ClusterError: no node has so many CPUs.
        ConversionError: also if a node cannot see the pictures or the output, or a shard cost several workers' lives.
    """
    everywhere = replace(settings, images=Path(os.path.abspath(settings.images)))
    return convert(raw, folder, everywhere, on_images, _build_on_cluster)


def _build_on_cluster(
    raw: RawDataset, settings: ConversionSettings, work: WorkingFolder, on_images: Callable[[int], None]
) -> list[ShardState]:
    require_resources(settings.workers, 0)  # a task that no node can take would wait for ever
    building, plan = plan_building(raw, settings)
    states = dict(_finished_before(building, plan, work))
    on_images(sum(len(plan[number]) for number in states))
    with _shared_scratch(work) as scratch:
        begin = ray.remote(_build_task).options(
            num_cpus=settings.workers, max_retries=_DEATHS, scheduling_strategy="SPREAD"
        )
        numbers = {
            begin.remote(building, number, shard, work.target, work.states, scratch): number
            for number, shard in enumerate(plan)
            if number not in states
        }
        for task, state in _as_they_finish(numbers):
            states[numbers[task]] = state
            on_images(len(plan[numbers[task]]))
    return [states[number] for number in range(len(plan))]


def _finished_before(
    building: Building, plan: list[PlannedShard], work: WorkingFolder
) -> Iterator[tuple[int, ShardState]]:
    for number in range(len(plan)):
        state = work.read_state(number, building.plan)
        if state is not None:
            require_no_rejection(state.rejections, building.settings)
            yield number, state


@contextmanager
def _shared_scratch(work: WorkingFolder) -> Iterator[Path | None]:
    """A folder for unfinished files on the disk of the output; None for an object store.

    It has a new name each time: a node that finds it sees the very folder that this process does.
    """
    if work.target.local is None:
        yield None
        return
    for leftover in work.scratch.glob(f"{_SCRATCH}*"):  # of a killed run
        shutil.rmtree(leftover, ignore_errors=True)
    scratch = work.scratch / f"{_SCRATCH}{uuid.uuid4().hex}"
    scratch.mkdir()
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _as_they_finish(tasks: dict[ray.ObjectRef, int]) -> Iterator[tuple[ray.ObjectRef, ShardState]]:
    """Tasks with their results. Whatever ends the iteration ends the tasks too."""
    waiting = list(tasks)
    try:
        while waiting:
            (task, *_), waiting = ray.wait(waiting)
            yield task, _result(task, tasks[task])
    finally:
        for task in waiting:
            ray.cancel(task)
        if waiting:
            ray.wait(waiting, num_returns=len(waiting), timeout=_END_S)


def _result(task: ray.ObjectRef, number: int) -> ShardState:
    try:
        state: ShardState = ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from None  # without the worker's traceback
        raise
    except ray.exceptions.RayError as error:
        raise ConversionError(
            f"shard {number} was begun {_DEATHS + 1} times and its worker or node died each time: {error}"
        ) from error
    return state


def _build_task(
    building: Building, number: int, shard: PlannedShard, target: Folder, states: Folder, scratch: Path | None
) -> ShardState:
    """Build a shard on whatever node this is. Unfinished files lie in a folder of this attempt's own."""
    node = ray.util.get_node_ip_address()
    if scratch is not None and not scratch.is_dir():
        raise ConversionError(
            f"node {node} does not see {target.uri}; --out must be on a disk that all nodes share, at the same path, "
            "or an object store such as s3://bucket/coco/val2017"
        )
    _require_same_pictures(shard, building.settings.images, node)
    with tempfile.TemporaryDirectory(dir=scratch) as own:
        return build_shard(building, number, shard, WorkingFolder(target, states, Path(own)))


def _require_same_pictures(shard: PlannedShard, images: Path, node: str) -> None:
    """Else what a node lacks would be refused as missing, and the bytes would depend on where a shard was built."""
    for image, planned in shard:
        path = images / image.file_name
        try:
            size = os.stat(path).st_size
        except OSError as error:
            found = error.strerror or "it cannot be read"
        else:
            if tar_member_bytes(size) == planned:
                continue
            found = f"it has {size} bytes there"
        if planned:
            raise ConversionError(
                f"on node {node} the picture {path} is not what the conversion was planned with: {found}; "
                "--images must be on a disk that all nodes share, at the same path"
            )

"""Conversion: a raw split → shards. Parallel, resumable, and the same bytes whatever the number of workers."""

import fcntl
import hashlib
import json
import re
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import BaseModel, ValidationError

from pose.errors import UserError
from sharding.image_check import CheckedImage, UnusableImageError, read_image
from sharding.manifest import MANIFEST, Manifest, ShardInfo, read_manifest
from sharding.records import ImageRecord, RawDataset, Rejection
from sharding.schema import SCHEMA_VERSION, sidecar_schema
from sharding.shard_writer import tar_bytes, tar_member_bytes, write_shard
from sharding.storage import Folder

REJECTS = "rejects.jsonl"
_WORK = ".conversion"  # holds the lock, unfinished files, and one state file per finished shard


class ConversionError(UserError, RuntimeError):
    """A conversion that cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class ConversionSettings:
    """How to convert. `images` is the folder that file names are relative to.

    `check_images` decodes every picture once, which finds truncated files. `strict` stops at the first refusal.
    """

    images: Path
    split: str
    shard_bytes: int = 256 << 20
    workers: int = 1
    strict: bool = False
    check_images: bool = True

    def __post_init__(self) -> None:
        if not self.split or "/" in self.split:
            raise ConversionError(f"a split's name begins its files' names, so it cannot be {self.split!r}")


class _ShardState(BaseModel):
    """What is remembered of a finished shard, so that a killed conversion goes on behind it."""

    plan: str
    shard: ShardInfo | None
    rejections: list[Rejection]


def convert(
    raw: RawDataset,
    folder: Folder,
    settings: ConversionSettings,
    on_images: Callable[[int], None] = lambda count: None,
) -> Manifest:
    """Write the shards of `raw` to `folder`, the manifest last. Returns the manifest.

    Killed at any moment, the same call goes on with the first unfinished shard and ends with the same bytes.

    Args:
        on_images: called with the number of pictures done since the last call.
    Raises:
        ConversionError: the folder holds another dataset, another conversion writes to it, nothing could be converted,
            or, if strict, something had to be refused.
    """
    _require_no_rejection(raw.rejections, settings)
    folder.create()
    with _working_folder(folder) as (work, scratch):
        if folder.exists(MANIFEST):
            manifest = _finished_before(folder, raw, settings)
        else:
            states = _build_shards(folder, raw, settings, work, scratch, on_images)
            manifest = _finish(folder, raw, settings, states, scratch)
        folder.delete_folder(_WORK)
    return manifest


def _build_shards(
    folder: Folder,
    raw: RawDataset,
    settings: ConversionSettings,
    work: Folder,
    scratch: Path,
    on_images: Callable[[int], None],
) -> list[_ShardState]:
    plan = list(_plan_shards(raw.images, settings))
    digest = _plan_digest(raw, plan, settings)
    schema = sidecar_schema(
        raw.skeleton.num_keypoints, {"dataset": raw.dataset, "split": settings.split, "skeleton": raw.skeleton.name}
    )
    states = []
    with ThreadPoolExecutor(settings.workers) as pool:
        for number, (images, _) in enumerate(plan):
            state = _read_state(folder, work, number, digest)
            if state is None:
                name = f"{settings.split}-{number:06d}"
                rejections: list[Rejection] = []
                accepted = _accepted(images, settings, pool, rejections, on_images)
                shard = write_shard(folder, name, accepted, schema, scratch)
                state = _ShardState(plan=digest, shard=shard, rejections=rejections)
                with work.write(_state_name(number), scratch) as file:
                    file.write(state.model_dump_json().encode())
            else:
                on_images(len(images))
                _require_no_rejection(state.rejections, settings)
            states.append(state)
    return states


def _accepted(
    images: list[ImageRecord],
    settings: ConversionSettings,
    pool: ThreadPoolExecutor,
    rejections: list[Rejection],
    on_images: Callable[[int], None],
) -> Iterator[tuple[ImageRecord, CheckedImage]]:
    """The usable ones of `images`; the reasons against the others are appended to `rejections`."""
    for image, result in _read_ahead(images, settings, pool):
        on_images(1)
        if isinstance(result, UnusableImageError):
            rejections.append(Rejection("image", image.file_name, image.image_id, str(result)))
            _require_no_rejection(rejections, settings)
        else:
            yield image, result


def _plan_shards(
    images: Iterable[ImageRecord], settings: ConversionSettings
) -> Iterator[tuple[list[ImageRecord], int]]:
    """Consecutive images whose tar is at most `shard_bytes`, and the bytes they take in it.

    Decided by file sizes, so before anything is read. A picture larger than `shard_bytes` has a tar of its own.
    """
    shard: list[ImageRecord] = []
    used = 0
    for image in images:
        try:
            size = tar_member_bytes((settings.images / image.file_name).stat().st_size)
        except OSError:
            size = 0  # it will be refused when it is read
        if shard and tar_bytes(used + size) > settings.shard_bytes:
            yield shard, used
            shard, used = [], 0
        shard.append(image)
        used += size
    if shard:
        yield shard, used


def _plan_digest(raw: RawDataset, plan: list[tuple[list[ImageRecord], int]], settings: ConversionSettings) -> str:
    """Changes whenever a finished shard of an earlier, killed conversion must not be used again."""
    parts = [SCHEMA_VERSION, raw.dataset, raw.annotations_sha256, raw.notes, settings.split, settings.check_images]
    parts += [[used, *(image.key for image in images)] for images, used in plan]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


@contextmanager
def _working_folder(folder: Folder) -> Iterator[tuple[Folder, Path]]:
    """The folder of state files, and a local one for unfinished files; locked where the target is local."""
    work = folder.subfolder(_WORK)
    work.create()
    if work.local is None:
        with tempfile.TemporaryDirectory() as scratch:
            yield work, Path(scratch)
        return
    with (work.local / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ConversionError(f"another conversion is writing to {folder.uri}; wait for it or stop it") from error
        for leftover in work.local.glob("*.partial"):
            leftover.unlink()
        yield work, work.local


def _finished_before(folder: Folder, raw: RawDataset, settings: ConversionSettings) -> Manifest:
    manifest = read_manifest(folder)
    if (manifest.dataset, manifest.split, manifest.annotations_sha256) != (
        raw.dataset,
        settings.split,
        raw.annotations_sha256,
    ):
        raise ConversionError(
            f"{folder.uri} already holds {manifest.dataset} {manifest.split} from {manifest.annotations_file}; "
            "choose another --out or delete that folder"
        )
    if settings.strict and manifest.rejected:
        raise ConversionError(
            f"strict: {folder.uri} was converted before with {manifest.rejected} refused, see "
            f"{folder.location(REJECTS)}; mend them and delete the folder to convert again"
        )
    return manifest


def _state_name(number: int) -> str:
    return f"shard-{number:06d}.json"


def _read_state(folder: Folder, work: Folder, number: int, digest: str) -> _ShardState | None:
    """The state of a shard that an earlier run of the same plan finished and whose files are still there."""
    name = _state_name(number)
    if not work.exists(name):
        return None
    try:
        state = _ShardState.model_validate_json(work.read(name))
    except ValidationError:
        return None
    shard = state.shard
    files = [] if shard is None else [(shard.tar, shard.tar_bytes), (shard.sidecar, shard.sidecar_bytes)]
    usable = state.plan == digest and all(folder.size(file) == size for file, size in files)
    return state if usable else None


def _read_ahead(
    images: list[ImageRecord], settings: ConversionSettings, pool: ThreadPoolExecutor
) -> Iterator[tuple[ImageRecord, CheckedImage | UnusableImageError]]:
    """Every image with its checked bytes or the reason against it, in order, a bounded number read ahead.

    Threads are enough: reading, decoding and checksums release the interpreter lock, and threads die with the process.
    """

    def read(image: ImageRecord) -> CheckedImage | UnusableImageError:
        try:
            return read_image(settings.images / image.file_name, (image.height, image.width), settings.check_images)
        except UnusableImageError as error:
            return error

    waiting: deque[tuple[ImageRecord, Future[CheckedImage | UnusableImageError]]] = deque()
    try:
        for image in images:
            waiting.append((image, pool.submit(read, image)))
            if len(waiting) > 4 * settings.workers:
                done, future = waiting.popleft()
                yield done, future.result()
        while waiting:
            done, future = waiting.popleft()
            yield done, future.result()
    finally:
        for _, future in waiting:
            future.cancel()


def _finish(
    folder: Folder, raw: RawDataset, settings: ConversionSettings, states: list[_ShardState], scratch: Path
) -> Manifest:
    rejections = [*raw.rejections, *(rejection for state in states for rejection in state.rejections)]
    shards = [state.shard for state in states if state.shard is not None]
    if not shards:
        example = f"; the first: {rejections[0].file}: {rejections[0].reason}" if rejections else ""
        raise ConversionError(f"none of the {len(raw.images)} images of {raw.annotations} could be converted{example}")
    _delete_stale_shards(folder, settings.split, shards)
    with folder.write(REJECTS, scratch) as file:
        for rejection in rejections:
            line = json.dumps(asdict(rejection), ensure_ascii=False) + "\n"
            file.write(line.encode(errors="backslashreplace"))  # half a character becomes JSON's own escape
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        dataset=raw.dataset,
        split=settings.split,
        skeleton=raw.skeleton.name,
        images=sum(shard.images for shard in shards),
        instances=sum(shard.instances for shard in shards),
        rejected=len(rejections),
        annotations_file=raw.annotations.name,
        annotations_sha256=raw.annotations_sha256,
        notes=raw.notes,
        shards=shards,
    )
    with folder.write(MANIFEST, scratch) as file:
        file.write(manifest.to_json())
    return manifest


def _delete_stale_shards(folder: Folder, split: str, shards: list[ShardInfo]) -> None:
    """Files that a killed conversion with other settings left behind."""
    current = {name for shard in shards for name in (shard.tar, shard.sidecar)}
    for name in folder.names():
        if re.fullmatch(re.escape(split) + r"-\d{6}\.(tar|arrow)", name) and name not in current:
            folder.delete_file(name)


def _require_no_rejection(rejections: list[Rejection], settings: ConversionSettings) -> None:
    if settings.strict and rejections:
        first = rejections[0]
        raise ConversionError(f"strict: {first.kind} {first.file} (id {first.id}) refused: {first.reason}")

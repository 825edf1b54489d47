"""Conversion: a raw split → shards. Parallel, resumable, and the same bytes whatever the number of workers."""

import json
import re
from collections.abc import Callable
from dataclasses import asdict

from pose.skeletons import contrast
from sharding.conversion_settings import ConversionError, ConversionSettings, require_no_rejection
from sharding.conversion_state import ShardState, WorkingFolder, working_folder
from sharding.manifest import MANIFEST, Manifest, ShardInfo, read_manifest
from sharding.records import RawDataset, Rejection
from sharding.schema import SCHEMA_VERSION
from sharding.shard_building import build_shards
from sharding.storage import Folder

__all__ = ["REJECTS", "BuildShards", "ConversionError", "ConversionSettings", "convert"]

REJECTS = "rejects.jsonl"
BuildShards = Callable[[RawDataset, ConversionSettings, WorkingFolder, Callable[[int], None]], list[ShardState]]


def convert(
    raw: RawDataset,
    folder: Folder,
    settings: ConversionSettings,
    on_images: Callable[[int], None] = lambda count: None,
    build: BuildShards = build_shards,
) -> Manifest:
    """Write the shards of `raw` to `folder`, the manifest last. Returns the manifest.

    Killed at any moment, the same call goes on with the first unfinished shard and ends with the same bytes.

    Args:
        on_images: called with the number of pictures done since the last call.
        build: brings about the state of every shard, in order; by default in this process.
    Raises:
        ConversionError: the folder holds another dataset, another conversion writes to it, nothing could be converted,
            or, if strict, something had to be refused.
    """
    require_no_rejection(raw.rejections, settings)
    folder.create()
    with working_folder(folder) as work:
        if folder.exists(MANIFEST):
            manifest = _finished_before(folder, raw, settings)
        else:
            states = build(raw, settings, work, on_images)
            manifest = _finish(raw, settings, states, work)
        work.delete()
    return manifest


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
    if (manifest.skeleton, manifest.category) != (raw.skeleton, raw.category):
        raise ConversionError(
            f"{folder.uri} already holds {manifest.annotations_file} with other keypoints or another category: "
            f"{_difference(manifest, raw)}; choose another --out or delete that folder"
        )
    if settings.strict and manifest.rejected:
        raise ConversionError(
            f"strict: {folder.uri} was converted before with {manifest.rejected} refused, see "
            f"{folder.location(REJECTS)}; mend them and delete the folder to convert again"
        )
    return manifest


def _difference(manifest: Manifest, raw: RawDataset) -> str:
    if manifest.skeleton != raw.skeleton:
        return contrast(manifest.skeleton, raw.skeleton)
    return f"category {manifest.category.name!r} and {raw.category.name!r}"


def _finish(raw: RawDataset, settings: ConversionSettings, states: list[ShardState], work: WorkingFolder) -> Manifest:
    rejections = [*raw.rejections, *(rejection for state in states for rejection in state.rejections)]
    shards = [state.shard for state in states if state.shard is not None]
    if not shards:
        example = f"; the first: {rejections[0].file}: {rejections[0].reason}" if rejections else ""
        raise ConversionError(f"none of the {len(raw.images)} images of {raw.annotations} could be converted{example}")
    _delete_stale_shards(work.target, settings.split, shards)
    with work.target.write(REJECTS, work.scratch) as file:
        file.write(_json_lines(rejections))
    manifest = Manifest(
        schema_version=SCHEMA_VERSION,
        dataset=raw.dataset,
        split=settings.split,
        skeleton=raw.skeleton,
        category=raw.category,
        images=sum(shard.images for shard in shards),
        instances=sum(shard.instances for shard in shards),
        rejected=len(rejections),
        annotations_file=raw.annotations.name,
        annotations_sha256=raw.annotations_sha256,
        notes=raw.notes,
        shards=shards,
    )
    with work.target.write(MANIFEST, work.scratch) as file:
        file.write(manifest.to_json())
    return manifest


def _json_lines(rejections: list[Rejection]) -> bytes:
    lines = [json.dumps(asdict(rejection), ensure_ascii=False) + "\n" for rejection in rejections]
    return "".join(lines).encode(errors="backslashreplace")  # half a character becomes JSON's own escape


def _delete_stale_shards(folder: Folder, split: str, shards: list[ShardInfo]) -> None:
    """Files that a killed conversion with other settings left behind."""
    current = {name for shard in shards for name in (shard.tar, shard.sidecar)}
    for name in folder.names():
        if re.fullmatch(re.escape(split) + r"-\d{6}\.(tar|arrow)", name) and name not in current:
            folder.delete_file(name)

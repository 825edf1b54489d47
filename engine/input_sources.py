"""Where prediction's pictures are: files, folders, videos, sharded splits, each under a name of its own."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from engine.config import StorageConfig
from engine.data import open_split
from engine.video_frames import VIDEO_EXTENSIONS, count_frames
from pose.errors import UserError
from sharding.dataset import ShardedDataset

PICTURE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")


class InputError(UserError, ValueError):
    """An input that cannot be predicted on; the message names it and says what can be given."""


@dataclass(frozen=True)
class PictureFile:
    """A picture's path, and its name in the output."""

    path: Path
    name: str


@dataclass(frozen=True)
class VideoFile:
    """A video's path, and its name in the output."""

    path: Path
    name: str


@dataclass(frozen=True, eq=False)
class Split:
    """A sharded split; `name` is put before those of its pictures where they would not be unique without."""

    dataset: ShardedDataset
    name: str = ""


Source = PictureFile | VideoFile | Split


def list_sources(inputs: Sequence[str], storage: StorageConfig, ignore: Path | None = None) -> list[Source]:
    """Everything that inputs name, in their order; folders are gone through sorted, with all below them.

    Args:
        ignore: a folder that is left out where it lies in another one: the output's.
    Raises:
        InputError: no such file, nothing in a folder, the output's folder, or neither a picture nor a video. Errors of
            `open_split` for what looks like a split.
    """
    if not inputs:
        raise InputError("nothing to predict on; give pictures, folders, videos or sharded splits")
    found: dict[str, Source] = {}
    for given in inputs:
        for source in _sources_of(given, storage, ignore):
            key = source.dataset.folder.uri if isinstance(source, Split) else str(source.path.resolve())
            found.setdefault(key, source)
    return _with_unique_names(list(found.values()))


def _sources_of(given: str, storage: StorageConfig, ignore: Path | None) -> list[Source]:
    path = Path(given)
    if "://" in given or (path / "manifest.json").is_file():
        return [Split(open_split(given, storage))]
    if path.is_dir():
        if ignore is not None and path.resolve() == ignore.resolve():
            raise InputError(f"{given} is looked at and written to: the next time, its overlays would be looked at too")
        sources = (_source(file, file.relative_to(path).as_posix()) for file in _files_below(path, ignore))
        known: list[Source] = [source for source in sources if source is not None]
        if not known:
            kinds = " ".join((*PICTURE_EXTENSIONS, *VIDEO_EXTENSIONS))
            raise InputError(f"{given} holds no picture and no video (looked for {kinds}, in folders below it too)")
        return known
    if not path.is_file():
        raise InputError(f"{given}: there is no such file or folder")
    source = _source(path, path.name)
    if source is None:
        kinds = " ".join((*PICTURE_EXTENSIONS, *VIDEO_EXTENSIONS))
        raise InputError(f"{given} is neither a picture nor a video by its name; known are {kinds}")
    return [source]


def _files_below(folder: Path, ignore: Path | None) -> Iterator[Path]:
    """Files that are not hidden, sorted by name, those of a folder before those below it."""
    for here, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and not _same(here, name, ignore))
        yield from (Path(here, name) for name in sorted(files) if not name.startswith("."))


def _same(parent: str, name: str, other: Path | None) -> bool:
    return other is not None and Path(parent, name).resolve() == other.resolve()


def _source(path: Path, name: str) -> PictureFile | VideoFile | None:
    if path.suffix.lower() in PICTURE_EXTENSIONS:
        return PictureFile(path, name)
    return VideoFile(path, name) if path.suffix.lower() in VIDEO_EXTENSIONS else None


def _with_unique_names(sources: list[Source]) -> list[Source]:
    """Names that several have are given the whole path, those of splits their URI's."""
    names = Counter(name for source in sources for name in _names(source))
    return [
        replace(source, name=safe_name(_address(source))) if any(names[name] > 1 for name in _names(source)) else source
        for source in sources
    ]


def _names(source: Source) -> list[str]:
    return source.dataset.file_names() if isinstance(source, Split) else [source.name]


def _address(source: Source) -> str:
    address = source.dataset.folder.uri if isinstance(source, Split) else str(source.path)
    return address.rpartition("://")[2]


def safe_name(name: str) -> str:
    """A name that leads to no folder but those below: others' splits may name anything."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    return "/".join(parts) or "unnamed"


def count_pictures(sources: Sequence[Source]) -> int:
    """How many there are, as far as videos say so."""
    return sum(
        source.dataset.num_images
        if isinstance(source, Split)
        else count_frames(source.path)
        if isinstance(source, VideoFile)
        else 1
        for source in sources
    )

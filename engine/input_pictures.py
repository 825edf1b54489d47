"""What prediction is asked about, one picture after the other: files, folders, videos, sharded splits."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np

from engine.config import StorageConfig
from engine.data import open_split
from engine.picture_files import read_picture_file
from engine.video_frames import VIDEO_EXTENSIONS, count_frames, read_frames
from pipelines.loose_pictures import LoosePicture
from pipelines.pictures import BrokenPicture
from pipelines.reader import PictureReader
from pose.errors import UserError
from sharding.dataset import ShardedDataset

PICTURE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
_HASHED_IDS = 1 << 51  # ids from here to 2^52 are made of names; JSON readers hold whole numbers up to 2^53
_READ_AT_ONCE = 16  # pictures of a split


class InputError(UserError, ValueError):
    """An input that cannot be predicted on; the message names it and says what can be given."""


@dataclass(frozen=True, eq=False)
class InputPicture:
    """A picture with its name in the output.

    Attributes:
        file_name: with forward slashes, below no other folder than the output's. image_id: stable, see `picture_id`.
        picture: None where it cannot be read, and `problem` says why.
        video, frame, time_s: the video's name, the number of its frame from 0, and when it is shown.
        split, image_row: where it lies in a sharded split.
    """

    file_name: str
    image_id: int
    picture: LoosePicture | None
    problem: str | None = None
    video: str | None = None
    frame: int | None = None
    time_s: float | None = None
    split: ShardedDataset | None = None
    image_row: int = -1


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
        InputError: no such file, nothing in a folder, or a file that is neither picture nor video. Errors of
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
        replace(source, name=_safe_name(_address(source)))
        if any(names[name] > 1 for name in _names(source))
        else source
        for source in sources
    ]


def _names(source: Source) -> list[str]:
    return source.dataset.file_names() if isinstance(source, Split) else [source.name]


def _address(source: Source) -> str:
    address = source.dataset.folder.uri if isinstance(source, Split) else str(source.path)
    return address.rpartition("://")[2]


def _safe_name(name: str) -> str:
    """A name that leads to no folder but those below: others' splits may name anything."""
    parts = [part for part in PurePosixPath(name.replace("\\", "/")).parts if part not in ("/", "..", ".")]
    return "/".join(parts) or "unnamed"


def picture_id(name: str) -> int:
    """The image id of a picture that nobody has given one: the number that a benchmark's file is called by
    (000000000139.jpg is 139), else one that is made of the name."""
    stem = PurePosixPath(name).stem
    if stem.isascii() and stem.isdigit() and len(stem) < 16:
        return int(stem)
    return _hashed_id(name)


def _hashed_id(name: str) -> int:
    digest = hashlib.blake2b(name.encode(errors="surrogateescape"), digest_size=8).digest()
    return _HASHED_IDS + int.from_bytes(digest) % _HASHED_IDS


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


def read_pictures(sources: Sequence[Source], as_stored: bool) -> Iterator[InputPicture]:
    """Every picture of all sources, one in memory at a time.

    Args:
        as_stored: leave files and videos as they are stored instead of turning them upright, as EXIF says.
    """
    ids = Counter(image_id for source in sources for image_id in _ids(source))
    shared = frozenset(image_id for image_id, count in ids.items() if count > 1)  # e.g. the same number in two folders
    for source in sources:
        if isinstance(source, Split):
            yield from _split_pictures(source, shared)
        elif isinstance(source, VideoFile):
            yield from _video_pictures(source, as_stored)
        else:
            image_id = picture_id(source.name)
            yield _file_picture(source, _hashed_id(source.name) if image_id in shared else image_id, as_stored)


def _ids(source: Source) -> list[int]:
    """Ids that are known before a picture is read."""
    if isinstance(source, Split):
        return source.dataset.image_column("image_id").all().tolist()
    return [picture_id(source.name)] if isinstance(source, PictureFile) else []


def _file_picture(source: PictureFile, image_id: int, as_stored: bool) -> InputPicture:
    try:
        picture = read_picture_file(source.path, image_id, as_stored)
    except (OSError, ValueError) as error:
        return InputPicture(source.name, image_id, None, f"cannot be read: {error}")
    return InputPicture(source.name, image_id, picture)


def _video_pictures(source: VideoFile, as_stored: bool) -> Iterator[InputPicture]:
    number = -1
    try:
        for number, frame in enumerate(read_frames(source.path, as_stored)):
            name = f"{source.name}#{number:06d}"
            image_id = picture_id(name)
            picture = LoosePicture(image_id, frame.encoded, frame.size, frame.orientation)
            yield InputPicture(name, image_id, picture, video=source.name, frame=number, time_s=frame.time_s)
    except (OSError, ValueError) as error:
        rest = "cannot be read" if number < 0 else f"cannot be read behind frame {number}"
        name = f"{source.name}#{number + 1:06d}"
        yield InputPicture(name, picture_id(name), None, f"the video {rest}: {error}", video=source.name)


def _split_pictures(source: Split, shared: frozenset[int]) -> Iterator[InputPicture]:
    dataset, reader = source.dataset, PictureReader(source.dataset, tolerant=True)
    names = dataset.file_names()
    for first in range(0, dataset.num_images, _READ_AT_ONCE):
        rows = np.arange(first, min(first + _READ_AT_ONCE, dataset.num_images))
        image_ids, sizes = reader.index.image_ids(rows).tolist(), reader.index.picture_sizes(rows).tolist()
        for row, encoded, image_id, size in zip(rows.tolist(), reader.read(0, rows), image_ids, sizes, strict=True):
            name = _safe_name("/".join(filter(None, [source.name, names[row]])))
            image_id = _hashed_id(name) if image_id in shared else image_id
            if isinstance(encoded, BrokenPicture):
                yield InputPicture(name, image_id, None, encoded.reason, split=dataset, image_row=row)
            else:
                picture = LoosePicture(image_id, encoded, (size[0], size[1]))
                yield InputPicture(name, image_id, picture, split=dataset, image_row=row)

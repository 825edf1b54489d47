"""What prediction is asked about, one picture after the other."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from engine.input_sources import PictureFile, Source, Split, VideoFile, safe_name
from engine.picture_files import read_picture_file
from engine.video_frames import read_frames
from pipelines.loose_pictures import LoosePicture
from pipelines.pictures import BrokenPicture
from pipelines.reader import PictureReader
from sharding.dataset import ShardedDataset

_HASHED_IDS = 1 << 51  # ids from here to 2^52 are made of names; JSON readers hold whole numbers up to 2^53
_READ_AT_ONCE = 16  # pictures of a split


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
            name = safe_name("/".join(filter(None, [source.name, names[row]])))
            image_id = _hashed_id(name) if image_id in shared else image_id
            if isinstance(encoded, BrokenPicture):
                yield InputPicture(name, image_id, None, encoded.reason, split=dataset, image_row=row)
            else:
                picture = LoosePicture(image_id, encoded, (size[0], size[1]))
                yield InputPicture(name, image_id, picture, split=dataset, image_row=row)

"""The folder of the cases: cases.json, and the pictures that it names."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from evaluation.case import Case
from evaluation.stored_json import EvaluationFolderError, read_stored
from pose.skeleton_file import SkeletonError, parse_reference, skeleton_reference
from pose.skeletons import Skeleton

FILE = "cases.json"


@dataclass(frozen=True)
class Cases:
    """The pictures of an evaluation, in the order in which they were chosen. `folder` holds their files."""

    folder: Path
    skeleton: Skeleton
    cases: tuple[Case, ...]

    def read(self, name: str) -> bytes:
        """A picture's file. Raises EvaluationFolderError."""
        path = self.folder / name
        try:
            return path.read_bytes()
        except OSError as error:
            raise EvaluationFolderError(f"{path}, which {FILE} names, cannot be read: {error.strerror}") from error


@dataclass(frozen=True)
class _Stored:
    skeleton: str | dict[str, Any]
    cases: tuple[Case, ...]


def write_cases(folder: Path, cases: Sequence[Case], skeleton: Skeleton) -> None:
    """Write cases.json beside the pictures."""
    content = {"skeleton": skeleton_reference(skeleton), "cases": [asdict(case) for case in cases]}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).write_text(json.dumps(content, allow_nan=False) + "\n")


def read_cases(folder: Path) -> Cases | None:
    """None if there is no cases.json. Raises EvaluationFolderError that names file, picture and key."""
    path = folder / FILE
    stored = read_stored(path, TypeAdapter(_Stored))
    if stored is None:
        return None
    try:
        skeleton = parse_reference(stored.skeleton, str(path))
    except SkeletonError as error:
        raise EvaluationFolderError(str(error)) from error
    for case in stored.cases:
        _check(case, skeleton, path)
    return Cases(folder, skeleton, stored.cases)


def _check(case: Case, skeleton: Skeleton, path: Path) -> None:
    for name in filter(None, (case.picture, case.heatmap)):
        if Path(name).name != name or name == ".." or "\0" in name:
            raise EvaluationFolderError(f"{path}: {name!r} is no name of a file beside it")
    for person in case.persons:
        count = len(person.keypoints)
        if count != skeleton.num_keypoints or not all(0 <= k < count for k in person.errors):
            raise EvaluationFolderError(
                f"{path}: picture {case.file_name!r}, person {person.id}: expected the "
                f"{skeleton.num_keypoints} keypoints of {skeleton.name} "
                f"and errors of these, found {count}, and errors of {sorted(person.errors)}"
            )

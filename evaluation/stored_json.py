"""JSON files of an evaluation folder, checked against what they should hold."""

from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from pose.errors import UserError

Content = TypeVar("Content")


class EvaluationFolderError(UserError, ValueError):
    """A folder that holds no evaluation, or a file in one that is damaged."""


def read_stored(path: Path, kind: TypeAdapter[Content]) -> Content | None:
    """What the file holds, None if there is none. Raises EvaluationFolderError that names the file and the key."""
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EvaluationFolderError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        return kind.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"]))
        at = f" at {key}" if key else ""
        more = f" ({error.error_count()} such places)" if error.error_count() > 1 else ""
        raise EvaluationFolderError(
            f"{path}{at}: {first['msg']}{more}; evaluate again, or remove the file to have a report without it"
        ) from error

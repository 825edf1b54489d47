"""Checks of single values in annotation files; each raises ValueError with a reason fit for rejects.jsonl."""

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sharding.records import AnnotationError

_LARGEST = 1e12  # far beyond any picture, far below what overflows in single precision


def read_annotation_file(path: Path) -> tuple[Any, str]:
    """Parsed JSON and the sha256 of its bytes. Raises AnnotationError for a file that is missing or not JSON."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AnnotationError(f"cannot read annotations {path}: {error.strerror}") from error
    try:
        return json.loads(data), hashlib.sha256(data).hexdigest()
    except (ValueError, RecursionError) as error:
        raise AnnotationError(f"{path} is not a JSON file ({error}); is the download complete?") from error


def integer(value: Any, name: str) -> int:
    """A non-negative whole number, given as int or as a float without fraction."""
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole:
        raise ValueError(f"{name} must be a whole number, got {value!r}")
    if not 0 <= value < 2**63:
        raise ValueError(f"{name} must not be negative or above 2^63, got {value!r}")
    return int(value)


def number(value: Any, name: str) -> float:
    """A finite number of sensible size."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
        raise ValueError(f"{name} must be a finite number of at most {_LARGEST:.0e}, got {value!r}")
    return float(value)


def numbers(value: Any, count: int, name: str) -> NDArray[np.float64]:
    """(count,) finite numbers."""
    if not isinstance(value, list) or len(value) != count:
        got = f"{len(value)} values" if isinstance(value, list) else repr(value)
        raise ValueError(f"{name} must be a list of {count} numbers, got {got}")
    return np.array([number(item, name) for item in value], dtype=np.float64)


def file_name(value: Any) -> str:
    """A relative path that stays below the image folder."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"file_name must be a non-empty string, got {value!r}")
    path = PurePosixPath(value)
    if path.is_absolute() or ".." in path.parts or "\0" in value:
        raise ValueError(f"file_name must stay inside the image folder, got {value!r}")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise ValueError(f"file_name holds half a character (a lone surrogate), got {value!r}")
    return value

"""MATLAB files. A damaged one is an AnnotationError, whatever scipy's parser stumbles over."""

from pathlib import Path
from typing import Any

import scipy.io

from sharding.records import AnnotationError


def read_matlab(path: Path, expected: str, **options: Any) -> dict[str, Any]:
    """The variables of a MATLAB file. Raises AnnotationError that says what the file should have been."""
    try:
        return scipy.io.loadmat(path, **options)
    except Exception as error:
        raise AnnotationError(f"{path} is not {expected}: {error}") from error

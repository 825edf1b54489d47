"""Files that are either complete or absent."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_whole(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file beside `path`, then put it in place."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        write(temporary)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    write_whole(path, lambda temporary: _dump(temporary, content))


def _dump(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, separators=(",", ":"), allow_nan=False), encoding="utf-8")

"""The folder of a run: held by one process at a time; what was left out of training is listed there."""

import fcntl
import json
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from engine.config import ConfigError
from pipelines.bad_samples import BadSamples

BAD_SAMPLES = "bad_samples.jsonl"


def lock_run(run_dir: Path) -> TextIO:
    """Hold the run folder for this process; the lock ends with it, however it ends."""
    lock = (run_dir / "lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise ConfigError(f"another training runs in {run_dir}; wait for it, or choose another run_dir") from error
    return lock


def write_bad_samples(run_dir: Path, bad: BadSamples) -> Path:
    """Add a line for each picture that could not be used, if it has none yet; without any there is no file."""
    path = run_dir / BAD_SAMPLES
    listed = set()
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError, KeyError, TypeError):  # a kill may have torn the last line
                listed.add(json.loads(line)["picture"])
    new = [(picture, reason) for picture, reason in dict(bad.reasons).items() if picture not in listed]
    if new:
        with path.open("a", encoding="utf-8", errors="backslashreplace") as file:
            for picture, reason in new:
                file.write(json.dumps({"picture": picture, "reason": reason}, ensure_ascii=False) + "\n")
    return path

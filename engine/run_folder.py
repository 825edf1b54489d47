"""The folder of a run: held by one process at a time; what was left out of training is listed there."""

import fcntl
import json
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
    """A line for each picture that could not be used since the run was started or resumed."""
    rows = ({"picture": picture, "reason": reason} for picture, reason in bad.reasons.items())
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    path = run_dir / BAD_SAMPLES
    path.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path

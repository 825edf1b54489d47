"""The learning curves of a run folder, from its TensorBoard files, and the verdict on its loader."""

import json
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tensorboard.backend.event_processing.event_accumulator import SCALARS, EventAccumulator

from engine.verdict import VERDICT
from pose.errors import UserError

_SHOWN = ("train/", "val/")


class VerdictFileError(UserError, ValueError):
    """A verdict.json that is damaged."""


def training_record(run_dir: Path) -> dict[str, Any] | None:
    """The content of an evaluation's training.json: {"curves": {name: [[step, value], ...]}, "verdict": {...} or None}.

    Values that are no numbers become None. None if there is neither a file of events nor a verdict. Raises
    VerdictFileError.
    """
    curves, verdict = learning_curves(run_dir / "tensorboard"), _verdict(run_dir / VERDICT)
    return {"curves": curves, "verdict": verdict} if curves or verdict else None


def learning_curves(folder: Path) -> dict[str, list[list[float | None]]]:
    """[step, value] by name, by step; what a resumed training wrote again stands once, as it was written last.

    Of a file that a kill has torn, what comes before the tear.
    """
    if not any(folder.glob("events.out.tfevents.*")):
        return {}
    events = EventAccumulator(str(folder), size_guidance={SCALARS: 0})  # 0: keep all of them
    with _quiet():
        events.Reload()
    curves = {}
    for name in sorted(events.Tags()[SCALARS]):
        if name.startswith(_SHOWN):
            written = sorted(events.Scalars(name), key=lambda event: event.wall_time)
            last = {event.step: _number(event.value) for event in written}
            curves[name] = [[step, last[step]] for step in sorted(last)]
    return curves


def _number(value: float) -> float | None:
    """As many digits as the file's 32 bits hold."""
    return float(f"{value:.7g}") if math.isfinite(value) else None


@contextmanager
def _quiet() -> Iterator[None]:
    """Without TensorBoard's warning that a training was resumed."""
    logger = logging.getLogger("tensorboard")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _verdict(path: Path) -> dict[str, Any] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise VerdictFileError(f"{path} cannot be read: {error}; remove it, or train again") from error
    if not isinstance(content, dict):
        raise VerdictFileError(f"{path}: expected an object with achieved, loader_alone, ..., found {content!r:.60}")
    return content

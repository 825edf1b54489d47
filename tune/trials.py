"""What is known of a search's trials, read from the folder that they were stored in. Needs no Ray."""

from dataclasses import dataclass
from typing import Any, Literal

Status = Literal["running", "finished", "stopped", "failed"]


@dataclass(frozen=True)
class Trial:
    """One trial.

    Attributes:
        settings: the searched settings, by dotted name.
        epochs: what it reported, oldest first: epoch, step, loss, the metrics by name, samples_per_s, waiting, seconds.
        status: "stopped" by the scheduler before its last epoch.
        reason: why it failed, else None.
        checkpoint: URI of the checkpoint with the best metric, None without one.
    """

    id: str
    settings: dict[str, Any]
    epochs: tuple[dict[str, float], ...]
    status: Status
    reason: str | None
    checkpoint: str | None

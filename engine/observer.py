"""What a training tells whoever started it, such as a search, and what it may be told to start from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class EpochReport:
    """A finished epoch.

    Attributes:
        epoch: how many are finished. step: batches trained on since the start.
        loss: mean over the epoch's samples.
        metrics: the validation split's, by name; empty if this epoch was not validated.
        samples_per_s: all ranks together. waiting: the share of time that was spent waiting for data.
        seconds: that the epoch took, without validation.
    """

    epoch: int
    step: int
    loss: float
    metrics: dict[str, float]
    samples_per_s: float
    waiting: float
    seconds: float


class Observer(Protocol):
    """Called on every rank.

    Attributes:
        start_from: a checkpoint that goes before whatever the run folder holds; None leaves the choice to the folder.
        may_change: dotted settings in which the recipe may differ from that checkpoint's.
    """

    @property
    def start_from(self) -> Path | None: ...

    @property
    def may_change(self) -> frozenset[str]: ...

    def epoch_done(self, report: EpochReport, checkpoint: Path | None) -> None:
        """`checkpoint` holds everything up to here; None on ranks that write none."""

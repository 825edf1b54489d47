"""How samples become batches: what every loader needs to be told."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch

from pipelines.plan import Shuffle

OnBadSample = Literal["raise", "skip"]


@dataclass(frozen=True)
class ReadSettings:
    """How pictures come from object storage. Local splits need none of it.

    Attributes:
        cache: a folder on a local disk where blocks of remote shards are kept for all processes of the machine.
        cache_bytes: what it may hold at most.
        connections: requests at the same time.
        ahead_bytes: of pictures in memory that are fetched ahead.
    """

    cache: Path | None = None
    cache_bytes: int = 100 * 10**9
    connections: int = 8
    ahead_bytes: int = 512 << 20

    def __post_init__(self) -> None:
        for name in ("cache_bytes", "connections", "ahead_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class LoaderSettings:
    """What top-down and bottom-up loaders have in common. `batch_size` counts all ranks together.

    Attributes:
        crop_size: (height, width) of what the network sees.
        window: pictures that are shuffled together; 0 for all of an epoch. None: all of it where the splits are local,
            `DEFAULT_WINDOW` where they are not. The order of batches depends on it, so a loader's state holds it.
        epochs: how many epochs to read ahead into; None: without end.
        on_bad_sample: "raise" stops at a picture that is damaged or cannot be decoded. "skip" goes on with its samples
            marked as not valid, and stops when they exceed `max_bad_share` of all samples.
    """

    crop_size: tuple[int, int]
    batch_size: int
    seed: int = 0
    shuffle: Shuffle = "image"
    window: int | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    threads: int = 2
    prefetch: int = 2
    epochs: int | None = None
    rank: int = 0
    world_size: int = 1
    on_bad_sample: OnBadSample = "raise"
    max_bad_share: float = 0.01
    reading: ReadSettings = field(default_factory=ReadSettings)

    def __post_init__(self) -> None:
        if self.batch_size % self.world_size:
            raise ValueError(f"batch_size {self.batch_size} is not a multiple of the {self.world_size} ranks")
        if not 0 <= self.rank < self.world_size:
            raise ValueError(f"rank must lie in [0, {self.world_size}), got {self.rank}")
        for name in ("threads", "prefetch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.on_bad_sample not in ("raise", "skip"):
            raise ValueError(f"on_bad_sample must be 'raise' or 'skip', got {self.on_bad_sample!r}")
        if not 0 <= self.max_bad_share <= 1:
            raise ValueError(f"max_bad_share must lie in [0, 1], got {self.max_bad_share}")


DEFAULT_WINDOW = 2048

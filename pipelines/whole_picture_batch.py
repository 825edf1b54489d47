"""Whole pictures as a network tests them: what is handed out, how it is asked for, and a batch of the graph."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Self, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.bottomup_augmentation import Fit
from pipelines.settings import LoaderSettings, OnBadSample, ReadSettings
from pipelines.whole_picture_geometry import check_sizes
from pose.crop import Floats

_PICTURES_AT_ONCE = 4  # at least; one for each thread if there are more


@dataclass(frozen=True)
class WholePictureSettings:
    """How pictures become inputs. The rest is as in LoaderSettings.

    Attributes:
        short_side: input px at scale 1.
        multiple: input px; the long side grows to a multiple of it, with black beside the picture. Inputs must be
            multiples of 32 px at every scale.
        fit: "short": the picture's short side is `short_side`. "long": its long side is, and inputs are square.
        scales: of the inputs, which all show the same region; one input for each.
        long_side_limit: input px at scale 1; pictures that would be longer are shown smaller, so no picture needs an
            enormous input.
        prefetch: batches of a few pictures that are worked on ahead.
    """

    short_side: int
    multiple: int = 64
    fit: Fit = "short"
    scales: tuple[float, ...] = (1.0,)
    long_side_limit: int = 4096
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    threads: int = 2
    prefetch: int = 2
    on_bad_sample: OnBadSample = "raise"
    max_bad_share: float = 0.01
    reading: ReadSettings = field(default_factory=ReadSettings)

    def __post_init__(self) -> None:
        check_sizes(self.short_side, self.multiple, self.long_side_limit, self.scales)
        if self.fit not in get_args(Fit):
            raise ValueError(f"fit must be one of {get_args(Fit)}, got {self.fit!r}")
        self.loading()

    def loading(self) -> LoaderSettings:
        """The same for a loader of batches, once through the pictures in their order."""
        return LoaderSettings(
            crop_size=(self.short_side, self.short_side),
            batch_size=max(_PICTURES_AT_ONCE, self.threads),
            shuffle="none",
            window=0,
            epochs=1,
            device=self.device,
            threads=self.threads,
            prefetch=self.prefetch,
            on_bad_sample=self.on_bad_sample,
            max_bad_share=self.max_bad_share,
            reading=self.reading,
        )


@dataclass(frozen=True)
class WholePicture:
    """One picture at every scale.

    Attributes:
        image_row, image_id: which one.
        inputs: for each of the settings' scales (3, h, w) uint8 RGB on the loader's device, channels last in memory;
            black beside the picture. All show the same region: input px of scale s = s · input px of scale 1. They
            share memory with the few pictures that were made together with this one.
        image_to_input: (2, 3), image px → input px of scale 1, whether or not that is among the scales.
    """

    image_row: int
    image_id: int
    inputs: tuple[Tensor, ...]
    image_to_input: Floats


@dataclass(frozen=True)
class WholePictureBatch:
    """B pictures that the graph makes together.

    Attributes:
        image_rows, image_ids: (B,). image_to_input: (B, 2, 3).
        valid: (B,) False where nothing is to be handed out: filling, and pictures that cannot be used.
        output_of_picture: (B,) which of the graph's outputs it is.
        outputs: for each of them the inputs of the network.
    """

    image_rows: NDArray[np.int64]
    image_ids: NDArray[np.int64]
    image_to_input: Floats
    valid: NDArray[np.bool_]
    output_of_picture: NDArray[np.int64]
    outputs: Sequence[tuple[Tensor, ...]] = ()

    def without(self, rows: NDArray[np.bool_]) -> Self:
        """The batch with more rows (B,) that count for nothing."""
        return replace(self, valid=self.valid & ~rows)

    def complete(self, outputs: Sequence[tuple[Tensor, ...]]) -> Self:
        """The batch with what the graph made."""
        return replace(self, outputs=outputs)

    def pictures(self) -> Iterator[WholePicture]:
        """Those that are valid, in order."""
        for row in np.flatnonzero(self.valid).tolist():
            inputs = self.outputs[self.output_of_picture[row]]
            yield WholePicture(
                int(self.image_rows[row]), int(self.image_ids[row]), inputs, self.image_to_input[row].copy()
            )

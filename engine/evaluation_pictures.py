"""The pictures that a bottom-up network is asked about, and who is annotated in them."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.picture_persons import Persons, SplitPersons
from pipelines.whole_pictures import WholePicture, WholePictureLoader, WholePictureSettings
from sharding.dataset import ShardedDataset


@dataclass(frozen=True)
class EvaluationPictures:
    """Some pictures of a split, by their rows (N,)."""

    dataset: ShardedDataset
    image_rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.image_rows)

    def select(self, some: slice | NDArray[np.int64]) -> "EvaluationPictures":
        """Some of them, in their order."""
        return EvaluationPictures(self.dataset, self.image_rows[some])


@dataclass(frozen=True)
class EvaluationPicture:
    """A picture, and who is annotated in it; None unless that was asked for."""

    picture: WholePicture
    persons: Persons | None


class EvaluationPictureLoader:
    """One pass over pictures, in their order."""

    def __init__(self, samples: EvaluationPictures, settings: WholePictureSettings, with_persons: bool) -> None:
        dataset = samples.dataset
        self._pictures = WholePictureLoader(dataset, samples.image_rows, settings)
        self._persons = SplitPersons(dataset, dataset.skeleton) if with_persons else None

    def __iter__(self) -> Iterator[EvaluationPicture]:
        for picture in self._pictures:
            row = np.array([picture.image_row])
            yield EvaluationPicture(picture, None if self._persons is None else self._persons.of_pictures(row))

    def close(self) -> None:
        """Stop reading ahead."""
        self._pictures.close()

"""One rank's share of a global batch, before anything is done with it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipelines.pictures import Encoded


@dataclass(frozen=True)
class Share:
    """B samples and the pictures that they lie in.

    Attributes:
        samples, passes: (B,) sample numbers, and how often each one's split was gone through before. Rows that only
            fill up an epoch's last batch repeat a real sample.
        valid: (B,) False on filling rows.
        image_rows: (P,), ascending. pictures: P encoded pictures; picture_sizes: (P, 2), height and width.
        picture_of_sample: (B,) which of them each sample lies in.
    """

    samples: NDArray[np.int64]
    passes: NDArray[np.int64]
    valid: NDArray[np.bool_]
    image_rows: NDArray[np.int64]
    pictures: list[Encoded]
    picture_sizes: NDArray[np.int32]
    picture_of_sample: NDArray[np.int64]

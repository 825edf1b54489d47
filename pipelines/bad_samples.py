"""Pictures that turn out to be unusable during training: an error, or a counted gap."""

import logging
import threading
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pipelines.pictures import BrokenPicture
from pipelines.settings import OnBadSample
from pose.errors import UserError

_LOG = logging.getLogger(__name__)


class TooManyBadSamplesError(UserError, ValueError):
    """More samples had to be left out than the settings allow."""


class BadSamples:
    """What was left out so far. Used by the thread that reads ahead and by the consumer.

    Args:
        total: samples of the splits. max_share: how many of them may be left out before it is an error.
    """

    def __init__(self, on_bad_sample: OnBadSample, total: int, max_share: float) -> None:
        self._raises = on_bad_sample == "raise"
        self._total, self._max_share = total, max_share
        self._reasons: dict[str, str] = {}
        self._undecodable: dict[int, BrokenPicture] = {}
        self._samples: set[int] = set()
        self._lock = threading.Lock()

    @property
    def reasons(self) -> Mapping[str, str]:
        """Why each picture was left out, by shard and key."""
        return self._reasons

    @property
    def samples(self) -> frozenset[int]:
        """The samples in them."""
        with self._lock:
            return frozenset(self._samples)

    @property
    def count(self) -> int:
        """Samples in them, each counted once."""
        return len(self._samples)

    def add(self, reasons: Mapping[str, str], samples: frozenset[int]) -> None:
        """Note what other ranks have left out. Raises TooManyBadSamplesError."""
        with self._lock:
            self._reasons |= reasons
            self._samples |= samples
            self._require_few()

    def undecodable(self, image_row: int) -> BrokenPicture | None:
        """What is known of a picture that the graph failed on before."""
        return self._undecodable.get(image_row)

    def remember_undecodable(self, image_row: int, picture: BrokenPicture) -> None:
        """The graph need not fail on it again."""
        self._undecodable[image_row] = picture

    def leave_out(self, picture: BrokenPicture, samples: NDArray[np.int64]) -> None:
        """Note the samples of a picture that cannot be used.

        Raises:
            BrokenShardError: bad samples are to be raised.
            TooManyBadSamplesError: these are too many.
        """
        if self._raises:
            raise picture.error()
        with self._lock:
            if picture.location not in self._reasons:
                _LOG.warning("left out: %s: %s", picture.location, picture.reason)
            self._reasons[picture.location] = picture.reason
            self._samples.update(samples.tolist())
            self._require_few()

    def _require_few(self) -> None:
        if self.count > self._max_share * self._total:
            where, why = list(self._reasons.items())[-1]
            raise TooManyBadSamplesError(
                f"{self.count} of {self._total} samples lie in pictures that cannot be used, more than "
                f"data.max_bad_share={self._max_share:g} allows; mend the split, or raise it. The last: {where}: {why}"
            )

"""What a conversion is asked to do, and the error when it cannot."""

from dataclasses import dataclass
from pathlib import Path

from pose.errors import UserError
from sharding.records import Rejection


class ConversionError(UserError, RuntimeError):
    """A conversion that cannot go on; the message says why and what to do."""


@dataclass(frozen=True)
class ConversionSettings:
    """How to convert. `images` is the folder that file names are relative to.

    `check_images` decodes every picture once, which finds truncated files. `strict` stops at the first refusal.
    """

    images: Path
    split: str
    shard_bytes: int = 256 << 20
    workers: int = 1
    strict: bool = False
    check_images: bool = True

    def __post_init__(self) -> None:
        if not self.split or "/" in self.split:
            raise ConversionError(f"a split's name begins its files' names, so it cannot be {self.split!r}")


def require_no_rejection(rejections: list[Rejection], settings: ConversionSettings) -> None:
    """Raises ConversionError for the first of them if `settings` are strict."""
    if settings.strict and rejections:
        first = rejections[0]
        raise ConversionError(f"strict: {first.kind} {first.file} (id {first.id}) refused: {first.reason}")

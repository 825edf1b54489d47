"""What commands print."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from engine.progress import SampleProgress


def say(text: str) -> None:
    """A line as it is: paths are neither wrapped nor read as markup. What is not UTF-8 in a file's name is escaped."""
    text = text.encode(errors="backslashreplace").decode()
    console().print(text, markup=False, highlight=False, soft_wrap=True)


def console(width: int | None = None) -> "Console":
    from rich.console import Console

    return Console(width=width)


def progress(label: str, total: int, unit: str) -> "SampleProgress":
    from engine.progress import SampleProgress

    return SampleProgress(console(), label, total, unit=unit)

"""Reading tensors from a file on disk, without running code that it may hold."""

from pathlib import Path
from typing import Any

import torch

from pose.errors import UserError


class WeightsError(UserError, ValueError):
    """A file of weights that cannot be used; the message names the file and what is wrong with it."""


def load_tensors(path: Path) -> dict[str, Any]:
    """The dictionary in a file written by torch.save, on the CPU.

    Raises:
        WeightsError: the file is missing or damaged, or holds something else than a dictionary of plain values.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"cannot load {path}: {error.strerror or error}") from error
    except Exception as error:
        # Damaged bytes make torch raise almost anything; its words are a page long and advise to run the file's code.
        raise WeightsError(f"cannot load {path}: damaged, or it holds more than tensors") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__}, expected a dictionary from names to tensors")
    return content

"""Reading tensors from a file on disk, whatever they are wrapped in, without running code that it may hold."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pose.errors import UserError

# Where public code keeps the weights in a checkpoint; the first that holds a dictionary counts.
_KEYS = ("state_dict", "model_state_dict", "model")
# Of wrappers: DataParallel, networks that hold another one, torch.compile, casts to half precision around a network.
_PREFIXES = ("module.", "model.", "_orig_mod.", "1.")

# A best score that was saved as a numpy number: the function, the type and its descriptions that bring it back. They
# make a number from bytes and do nothing else.
_NUMPY_SCALAR: Any = np.float64(0).__reduce__()[0]
_NUMPY_DTYPES = {type(np.dtype(code)) for code in np.typecodes["AllInteger"] + np.typecodes["Float"] + "?"}
_ALLOWED: list[Any] = [
    (_NUMPY_SCALAR, "numpy.core.multiarray.scalar"),
    (_NUMPY_SCALAR, "numpy._core.multiarray.scalar"),
    (np.dtype, "numpy.dtype"),
    *_NUMPY_DTYPES,
]


class WeightsError(UserError, ValueError):
    """A file of weights that cannot be used; the message names the file and what is wrong with it."""


def load_tensors(path: Path) -> dict[str, Any]:
    """The dictionary in a file written by torch.save, on the CPU.

    Raises:
        WeightsError: the file is missing or damaged, or holds something else than a dictionary of plain values.
    """
    try:
        with torch.serialization.safe_globals(_ALLOWED):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"cannot load {path}: {error.strerror or error}") from error
    except Exception as error:
        # Damaged bytes make torch raise almost anything; its words are a page long and advise to run the file's code.
        raise WeightsError(f"cannot load {path}: damaged, or it holds more than tensors and numbers") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path} holds a {type(content).__name__}, expected a dictionary from names to tensors")
    return content


def load_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint by the names that they have in the network, free of what training code wraps around.

    The dictionary may lie under `state_dict`, `model_state_dict` or `model`, also nested, beside an epoch, an optimiser
    and scores; names may begin with `module.`, `model.` and `1.`, also repeatedly.

    Raises:
        WeightsError: as `load_tensors`; or it is a checkpoint of posestream; or there is no such dictionary.
    """
    content = load_tensors(path)
    if {"format", "recipe", "model"} <= content.keys():
        raise WeightsError(
            f"{path} is a checkpoint of posestream, not a public one: `posestream evaluate RECIPE --checkpoint {path}` "
            "scores it, and `posestream train` goes on from the one in its run_dir"
        )
    content = _innermost(content, path)
    others = [str(name) for name, value in content.items() if not (isinstance(name, str) and isinstance(value, Tensor))]
    if others or not content:
        raise WeightsError(
            f"{path} holds no dictionary from names to tensors, "
            f"but {', '.join(others[:10]) + (' …' if len(others) > 10 else '') or 'an empty one'}"
        )
    _require_plain(content, path)
    return _without_prefixes(content)


def _innermost(content: dict[str, Any], path: Path) -> dict[str, Any]:
    seen = {id(content)}
    while (inner := next((content[key] for key in _KEYS if isinstance(content.get(key), dict)), None)) is not None:
        if id(inner) in seen:
            raise WeightsError(f"{path} holds a dictionary that holds itself")
        seen.add(id(inner))
        content = inner
    return content


def _require_plain(state: dict[str, Tensor], path: Path) -> None:
    """Refuse tensors that cannot be copied into a network's weights, or not without losing what they mean."""
    odd = [name for name, tensor in state.items() if not _is_plain(name, tensor)]
    if odd:
        raise WeightsError(
            f"{path} holds {len(odd)} tensors that are no plain arrays of real numbers, such as {odd[0][:200]!r}: save "
            "them dense, in float32 or half precision"
        )


def _is_plain(name: str, tensor: Tensor) -> bool:
    if tensor.is_nested or tensor.is_quantized or tensor.layout is not torch.strided or tensor.is_meta:
        return False
    return tensor.is_floating_point() or name.endswith("num_batches_tracked")


def _without_prefixes(state: dict[str, Tensor]) -> dict[str, Tensor]:
    while (prefix := next((p for p in _PREFIXES if all(name.startswith(p) for name in state)), None)) is not None:
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state

"""Columns of lists of JSON objects, with errors that name the file, the row and the key."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pose.errors import UserError


class BadFileError(UserError, ValueError):
    """A file that is not in the layout; the message names file, row and key."""


def ids_of(entries: Sequence[dict[str, Any]], key: str, list_name: str, source: str) -> list[Any]:
    """The ids under `key`, all whole numbers or all strings. Raises BadFileError naming the first that is neither."""
    ids = [_value(entries, row, key, list_name, source) for row in range(len(entries))]
    kinds = set(map(type, ids))
    if kinds <= {int} or kinds <= {str}:
        return ids
    wrong = next((row for row, value in enumerate(ids) if type(value) is not type(ids[0])), 0)
    wrong = next((row for row, value in enumerate(ids) if type(value) not in (int, str)), wrong)
    where = _place(list_name, wrong, source)
    raise BadFileError(f"{where}: '{key}' must be a whole number, or a string in all rows; it is {ids[wrong]!r}")


def numbers_of(
    entries: Sequence[dict[str, Any]],
    rows: Sequence[int],
    key: str,
    length: int,
    list_name: str,
    source: str,
    default: float | None = None,
) -> np.ndarray:
    """float64 (rows, length) of the finite numbers under `key`; a plain number is length 1.

    Raises BadFileError naming the first row where something else stands, or nothing and there is no default.
    """
    found = [
        entries[row].get(key, default) if default is not None else _value(entries, row, key, list_name, source)
        for row in rows
    ]
    if length == 1:
        found = [[value] for value in found]
    array = _array(found, length)
    if array is not None:
        return array
    for row, values in zip(rows, found, strict=True):
        if _array([values], length) is None:
            received = values[0] if length == 1 else values
            raise BadFileError(f"{_place(list_name, row, source)}: {_complaint(key, received, length)}")
    raise AssertionError("all rows are right one by one")


def _array(found: list[Any], length: int) -> np.ndarray | None:
    """The rows as an array, or None unless all are finite numbers of that length."""
    if not found:
        return np.zeros((0, length))
    try:
        array = np.array(found)
    except ValueError:  # rows of different lengths
        return None
    if array.dtype.kind not in "iuf" or array.shape != (len(found), length) or not np.isfinite(array).all():
        return None
    return array.astype(np.float64)


def _complaint(key: str, received: Any, length: int) -> str:
    if length == 1:
        return f"'{key}' must be a finite number; it is {received!r}"
    if isinstance(received, list) and len(received) != length:
        return f"'{key}' must hold {length} numbers; it holds {len(received)}"
    return f"'{key}' must hold {length} finite numbers; it is {str(received)[:60]}"


def _value(entries: Sequence[dict[str, Any]], row: int, key: str, list_name: str, source: str) -> Any:
    entry = entries[row]
    if not isinstance(entry, dict):
        raise BadFileError(f"{_place(list_name, row, source)}: expected an object, found {str(entry)[:60]}")
    if key not in entry:
        raise BadFileError(f"{_place(list_name, row, source)} lacks '{key}'; it has {', '.join(entry) or 'nothing'}")
    return entry[key]


def _place(list_name: str, row: int, source: str) -> str:
    return f"{source}: {list_name}[{row}]" if list_name else f"{source}: row {row}"

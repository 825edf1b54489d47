"""Types, bounds and defaults in words."""

import types
from collections.abc import Iterable
from typing import Any, Literal, Union, get_args, get_origin

_SPACE = "\N{NO-BREAK SPACE}"
_BOUNDS = {
    "gt": f">{_SPACE}{{}}",
    "ge": f"≥{_SPACE}{{}}",
    "lt": f"<{_SPACE}{{}}",
    "le": f"≤{_SPACE}{{}}",
    "min_length": "(at least {})",
}
_SCALARS = {bool: "true or false", int: "whole number", float: "number", str: "text"}


def type_name(annotation: Any, metadata: Iterable[Any] = ()) -> str:
    """Such as "number ≥ 0 · none", "`adam` · `adamw`", "list of text"."""
    origin = get_origin(annotation)
    if hasattr(annotation, "__metadata__"):
        return type_name(annotation.__origin__, [*annotation.__metadata__, *metadata])
    if origin in (Union, types.UnionType):
        return " · ".join(type_name(one, metadata) for one in get_args(annotation))
    if origin is Literal:
        return " · ".join(f"`{value}`" for value in get_args(annotation))
    if origin is tuple:
        return _tuple_name(get_args(annotation), metadata)
    if origin is dict or annotation is dict:
        return "settings of its own"
    if annotation is type(None):
        return "none"
    return " ".join([_SCALARS.get(annotation, str(annotation)), *_bounds(metadata)])


def _tuple_name(parts: tuple[Any, ...], metadata: Iterable[Any]) -> str:
    if len(parts) == 2 and parts[1] is Ellipsis:
        return " ".join([f"list of {type_name(parts[0])}", *_bounds(metadata)])
    return f"{len(parts)} of {type_name(parts[0])}"


def _bounds(metadata: Iterable[Any]) -> list[str]:
    return [
        words.format(f"{bound:g}")
        for one in metadata
        for name, words in _BOUNDS.items()
        if (bound := getattr(one, name, None)) is not None
    ]


def default_name(value: Any) -> str:
    """As it is written on the command line."""
    if value is None:
        return "`none`"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, tuple | list):
        return f"`{','.join(map(str, value))}`" if value else "`[]`"
    if isinstance(value, float):
        return f"`{value:g}`"
    return f"`{value}`" if value != {} else ""

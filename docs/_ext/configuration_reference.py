"""Every leaf of a recipe: its dotted path, what it can be, its default. Made from the types."""

import dataclasses
import inspect
import re
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from markdown_table import markdown_table
from pydantic import BaseModel
from value_names import default_name, type_name

from engine.config import Recipe

_ATTRIBUTE = re.compile(r"^ {4}(\w+(?:, \w+)*): (.*(?:\n {8}.*)*)", re.M)


@dataclass(frozen=True)
class Leaf:
    """A setting; `meaning` is what its class's docstring says in a line of its own, else empty."""

    path: str
    values: str
    default: str
    meaning: str


@dataclass(frozen=True)
class Group:
    """The settings that share a prefix."""

    path: str
    about: str
    leaves: tuple[Leaf, ...]


def configuration_reference() -> str:
    return "\n".join(_section(group) for group in groups())


def groups(kind: type = Recipe, prefix: str = "") -> Iterator[Group]:
    """The groups of a tree, the outermost first."""
    about, meanings = _docstring(kind)
    leaves, below = [], []
    for name, annotation, metadata, default in _fields(kind):
        inner = _group_type(annotation)
        if inner is not None:
            below.append((inner, f"{prefix}{name}"))
            continue
        leaves.append(Leaf(f"{prefix}{name}", type_name(annotation, metadata), default, meanings.get(name, "")))
    yield Group(prefix.removesuffix("."), about, tuple(leaves))
    for inner, path in below:
        yield from groups(inner, f"{path}.")


def _fields(kind: type) -> Iterator[tuple[str, Any, list[Any], str]]:
    """Name, type, bounds and default of each field."""
    if issubclass(kind, BaseModel):
        for name, field in kind.model_fields.items():
            made = field.default_factory is not None and not field.is_required()
            default = "" if made else "**required**" if field.is_required() else default_name(field.default)
            yield name, field.annotation, field.metadata, default
        return
    hints = typing.get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        required = field.default is dataclasses.MISSING
        yield field.name, hints[field.name], [], "**required**" if required else default_name(field.default)


def _group_type(annotation: Any) -> type | None:
    """The class of a group of settings, also of one that may be absent; None for a leaf."""
    for one in (annotation, *typing.get_args(annotation)):
        if inspect.isclass(one) and (issubclass(one, BaseModel) or dataclasses.is_dataclass(one)):
            return one
    return None


def _docstring(kind: type) -> tuple[str, dict[str, str]]:
    """What a class says, and what it says of each attribute under "Attributes:"."""
    text = inspect.getdoc(kind) or ""
    about, _, listed = text.partition("\nAttributes:\n")
    meanings = {
        name: " ".join(meaning.split()) for names, meaning in _ATTRIBUTE.findall(listed) for name in names.split(", ")
    }
    return about.strip(), meanings


def _section(group: Group) -> str:
    told = any(leaf.meaning for leaf in group.leaves)
    head = ["setting", "values", "default", *(["meaning"] if told else [])]
    rows = [[f"`{leaf.path}`", leaf.values, leaf.default, *([leaf.meaning] if told else [])] for leaf in group.leaves]
    title = f"`{group.path}`" if group.path else "The recipe itself"
    return f"## {title}\n\n{group.about}\n\n{markdown_table(head, rows)}"

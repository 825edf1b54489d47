"""The columns of a sidecar and the keys of a manifest. Made from the schema and the types."""

from collections.abc import Iterator
from dataclasses import is_dataclass
from typing import Any, get_type_hints

import pyarrow as pa
from markdown_table import markdown_table
from pydantic import BaseModel
from value_names import type_name

from pose.skeletons import Skeleton
from sharding.manifest import Manifest, ShardInfo
from sharding.schema import SCHEMA_VERSION, sidecar_schema

_COCO_KEYPOINTS = 17


def sidecar_reference() -> str:
    rows = [row for field in sidecar_schema(_COCO_KEYPOINTS, {}) for row in _rows(field, "")]
    about = f"Schema version {SCHEMA_VERSION}; lists of keypoints have the skeleton's length, here {_COCO_KEYPOINTS}."
    return f"{about}\n\n{markdown_table(['column', 'Arrow type', 'may be null'], rows)}"


def _rows(field: pa.Field, prefix: str) -> Iterator[list[str]]:
    """A row for a column, and one for each field of the structs in it."""
    name = prefix + field.name
    inner = field.type.value_type if pa.types.is_list(field.type) else field.type
    if not pa.types.is_struct(inner):
        yield [f"`{name}`", f"`{_type(field.type)}`", "yes" if field.nullable else ""]
        return
    yield [f"`{name}`", "list of structs", "yes" if field.nullable else ""]
    for below in inner:
        yield from _rows(below, f"{name}[].")


def _type(kind: pa.DataType) -> str:
    if pa.types.is_fixed_size_list(kind):
        return f"{kind.list_size} x {_type(kind.value_type)}"
    return str(kind)


def manifest_reference() -> str:
    parts = []
    for kind, about in ((Manifest, "The file"), (ShardInfo, "Each of `shards`")):
        rows = [
            [f"`{name}`", _field_type(field.annotation), "" if field.is_required() else "yes"]
            for name, field in kind.model_fields.items()
        ]
        parts.append(f"{about}:\n\n{markdown_table(['key', 'value', 'may be absent'], rows)}")
    return "\n".join(parts)


def _field_type(annotation: Any) -> str:
    if annotation is Skeleton:
        return "the name of a built-in skeleton, or a whole definition"
    if annotation == list[ShardInfo]:
        return "list, below"
    if annotation == list[str]:
        return "list of text"
    if isinstance(annotation, type) and (issubclass(annotation, BaseModel) or is_dataclass(annotation)):
        return ", ".join(f"`{name}`" for name in get_type_hints(annotation) if name != "model_config")
    return type_name(annotation)

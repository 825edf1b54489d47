"""manifest.json: what a sharded split consists of. It is written last; without it a folder is not a dataset."""

import hashlib
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    PlainSerializer,
    PlainValidator,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from pose.errors import UserError
from pose.skeleton_file import parse_reference, skeleton_reference
from pose.skeletons import Skeleton
from sharding.records import PERSON, Category
from sharding.schema import SCHEMA_VERSION
from sharding.storage import Folder

MANIFEST = "manifest.json"


class NotADatasetError(UserError, ValueError):
    """A folder that holds no readable manifest."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _Version(BaseModel):
    schema_version: int


class ShardInfo(_Frozen):
    """One tar and its sidecar: file names, counts, bytes, sha256."""

    tar: str
    sidecar: str
    images: int
    instances: int
    tar_bytes: int
    tar_sha256: str
    sidecar_bytes: int
    sidecar_sha256: str


def _skeleton(value: Any) -> Skeleton:
    return value if isinstance(value, Skeleton) else parse_reference(value, "the definition")


class Manifest(_Frozen):
    """What a split consists of. `dataset` is the layout that it came in, which says how it is scored.

    In JSON `skeleton` is the name of a built-in one, or a whole definition; `category` is left out if it is a person.
    """

    schema_version: int
    dataset: str
    split: str
    skeleton: Annotated[Skeleton, PlainValidator(_skeleton), PlainSerializer(skeleton_reference)]
    category: Category = PERSON
    images: int
    instances: int
    rejected: int
    annotations_file: str
    annotations_sha256: str
    notes: list[str]
    shards: list[ShardInfo]

    @model_serializer(mode="wrap")
    def _without_the_default_category(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        content: dict[str, Any] = serialise(self)
        if self.category == PERSON:
            del content["category"]  # a person's manifest and digest are those of before there were others
        return content

    def digest(self) -> str:
        """A sha256 that changes whenever any picture or annotation of the split changes."""
        return hashlib.sha256(self.to_json()).hexdigest()

    def to_json(self) -> bytes:
        return (self.model_dump_json(indent=1) + "\n").encode()


def read_manifest(folder: Folder) -> Manifest:
    """The manifest of a split. Raises NotADatasetError that says what is missing or wrong."""
    if not folder.exists(MANIFEST):
        raise NotADatasetError(
            f"{folder.location(MANIFEST)} does not exist: the folder is not a sharded split, or its conversion did not "
            "finish (run the same `posestream convert` command again to resume it)"
        )
    content = folder.read(MANIFEST)
    try:
        version = _Version.model_validate_json(content).schema_version
        if version != SCHEMA_VERSION:
            raise NotADatasetError(
                f"{folder.location(MANIFEST)} has schema version {version}, this posestream reads {SCHEMA_VERSION}; "
                "delete the folder and convert the split again"
            )
        return Manifest.model_validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise NotADatasetError(
            f"{folder.location(MANIFEST)}: {key}: {first['msg']}; delete the folder and convert the split again"
        ) from error

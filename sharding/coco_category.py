"""Which annotations of a COCO-layout file are taken: those of one category."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pose.skeletons import Skeleton
from sharding.annotation_values import integer
from sharding.records import PERSON, AnnotationError, Category


@dataclass(frozen=True)
class ChosenCategory:
    """The category, the file's numbers of it (any JSON), and the numbers of categories that nobody asked for."""

    category: Category
    ids: list[Any]
    others: frozenset[int] = frozenset()


def person_category(content: dict[str, Any]) -> ChosenCategory:
    """Persons, whatever their number in the file; everything else is to be refused."""
    ids = [row.get("id") for row in _rows(content) if row.get("name") == PERSON.name]
    return ChosenCategory(PERSON, ids or [PERSON.id])


def choose_category(
    content: dict[str, Any], annotations: Path, skeleton: Skeleton, name: str | None = None
) -> ChosenCategory:
    """The category of that name, or without a name the only one that has keypoints.

    Raises:
        AnnotationError: there is none or more than one; or its keypoints are not the skeleton's.
    """
    rows = _rows(content)
    candidates = [row for row in rows if row.get("name") == name] if name is not None else _with_keypoints(rows)
    if not rows and name is None:
        return ChosenCategory(PERSON, [PERSON.id])
    if len(candidates) != 1:
        wanted = "several categories with keypoints" if name is None else f"{len(candidates)} categories {name!r}"
        listed = ", ".join(repr(row.get("name")) for row in candidates or rows) or "none"
        raise AnnotationError(f"{annotations} has {wanted}: choose one with --category NAME of {listed}")
    (row,) = candidates
    _require_same_names(row, annotations, skeleton)
    category = _category(row, annotations)
    numbers = {row["id"] for row in rows if isinstance(row.get("id"), int)}
    return ChosenCategory(category, [category.id], frozenset(numbers - {category.id}))


def _rows(content: dict[str, Any]) -> list[dict[str, Any]]:
    categories = content.get("categories")
    return [row for row in categories if isinstance(row, dict)] if isinstance(categories, list) else []


def _with_keypoints(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if row.get("keypoints")] or rows


def _category(row: dict[str, Any], annotations: Path) -> Category:
    name = row.get("name")
    if not isinstance(name, str) or not name:
        raise AnnotationError(f"{annotations}: a category's name must be a string, got {name!r}")
    try:
        return Category(integer(row.get("id"), "id"), name)
    except ValueError as error:
        raise AnnotationError(f"{annotations}: category {name!r}: {error}") from error


def _require_same_names(row: dict[str, Any], annotations: Path, skeleton: Skeleton) -> None:
    """Keypoints in another order would be learnt under wrong names, and no score would show it."""
    listed = row.get("keypoints")
    if listed and listed != list(skeleton.keypoint_names):
        raise AnnotationError(
            f"{annotations}: category {row.get('name')!r} has the keypoints {listed!r}, {skeleton.name} has "
            f"{list(skeleton.keypoint_names)!r}; names and order must be the same: change the skeleton's file"
        )

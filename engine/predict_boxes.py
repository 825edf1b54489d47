"""A file of persons' boxes for pictures that are found by their name or their image id."""

import json
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from engine.config import ConfigError
from pose.crop import Floats

_PERSON = 1
_WANTED = "a list of {image_id or file_name, bbox [x, y, w, h], score}, or COCO's {images, annotations}"


class BoxFile:
    """The boxes of a JSON file: a detector's rows in COCO's layout, or COCO annotations.

    A row names its picture by `image_id` or `file_name`. Annotations have no scores; each box then counts 1. Other
    categories than persons, crowds, and boxes without an area are left out.

    Attributes:
        detected: whether rows have scores. without_area: how many boxes are left out for that.
    Raises:
        ConfigError: the file cannot be read, or a row of it; it names the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            content = json.loads(path.read_bytes())
            rows, images = (content, []) if isinstance(content, list) else (content["annotations"], content["images"])
            categories = [] if isinstance(content, list) else content.get("categories", [])
            self._boxes, self.without_area = _grouped(rows, categories[0]["id"] if len(categories) == 1 else _PERSON)
            self.detected = any("score" in row for row in rows)
            self._images = {str(image["file_name"]): image | {"id": int(image["id"])} for image in images}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ConfigError(f"--boxes {path}: expected {_WANTED}: {error!r}") from error
        self._asked_for: set[int | str] = set()
        self._names = _by_short_name(self._images)
        self._named_rows = _by_short_name(name for name in self._boxes if isinstance(name, str))

    def image_id(self, file_name: str) -> int | None:
        """The id that the file gives a picture, None if it says nothing."""
        image = self._image(file_name)
        return None if image is None else image["id"]

    def size(self, file_name: str) -> tuple[int, int] | None:
        """(height, width) of the picture, if the file says it."""
        image = self._image(file_name) or {}
        height, width = image.get("height"), image.get("width")
        return (height, width) if height and width else None

    def boxes(self, file_name: str, image_id: int) -> tuple[Floats, Floats]:
        """boxes_xywh (N, 4), image px, and scores (N,); none for a picture that no row names."""
        name = _found(file_name, self._named_rows)
        self._asked_for.update([image_id] if name is None else [image_id, name])
        rows = [*self._boxes.get(image_id, ()), *(self._boxes.get(name, ()) if name is not None else ())]
        boxes = np.array([box for box, _ in rows], dtype=np.float64).reshape(len(rows), 4)
        return boxes, np.array([score for _, score in rows], dtype=np.float64)

    def notes(self) -> list[str]:
        """What of the file was of no use, once all pictures have been asked for."""
        others = len(self._boxes.keys() - self._asked_for)
        return [
            f"{self.path}: {count} {what}"
            for count, what in (
                (self.without_area, "boxes without an area are left out"),
                (others, "of its pictures are not among the inputs"),
            )
            if count
        ]

    def _image(self, file_name: str) -> dict[str, Any] | None:
        return self._images.get(_found(file_name, self._names) or "")


def _grouped(
    rows: Iterable[dict[str, Any]], category_id: int
) -> tuple[dict[int | str, list[tuple[list[float], float]]], int]:
    """Boxes and scores by the picture's id or name, and how many boxes have no area."""
    without_area = 0
    found: defaultdict[int | str, list[tuple[list[float], float]]] = defaultdict(list)
    for number, row in enumerate(rows):
        if row.get("category_id", category_id) != category_id or row.get("iscrowd", 0):
            continue
        if "bbox" not in row:
            raise ValueError(f"row {number} has no bbox")
        box, score = [float(value) for value in row["bbox"]], float(row.get("score", 1))
        if len(box) != 4 or not np.isfinite([*box, score]).all() or score < 0:
            raise ValueError(f"row {number}: bbox {row['bbox']}, score {score}")
        key = int(row["image_id"]) if "image_id" in row else str(row["file_name"])
        if min(box[2:]) > 0:
            found[key].append((box, score))
        else:
            without_area += 1
    return dict(found), without_area


def _by_short_name(known: Iterable[str]) -> dict[str, list[str]]:
    """Names by their last part."""
    short: defaultdict[str, list[str]] = defaultdict(list)
    for name in known:
        short[PurePosixPath(name).name].append(name)
    return dict(short)


def _found(file_name: str, known: dict[str, list[str]]) -> str | None:
    """The known name that is this one, or of which all parts but some folders before them are the same: a/1.jpg is no
    b/1.jpg. None if there is none, or several."""
    alike = known.get(PurePosixPath(file_name).name, [])
    if file_name in alike:
        return file_name
    ends = [name for name in alike if f"/{name}".endswith(f"/{file_name}") or f"/{file_name}".endswith(f"/{name}")]
    return ends[0] if len(ends) == 1 else None

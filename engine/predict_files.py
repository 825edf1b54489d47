"""What a prediction leaves on disk: per picture as it goes, and the whole at the end."""

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from engine.input_pictures import InputPicture
from engine.picture_answers import Answer
from evaluation.coco import coco_results
from pose.drawing import Picture, encode_picture
from pose.skeletons import Skeleton
from sharding.records import PERSON, Category

_JOURNAL = "predictions.jsonl"


class Journal:
    """Answers by picture, each on disk as soon as it is given.

    While prediction runs they are lines of predictions.jsonl, {"image": …, "results": […]}, which stays if it is
    interrupted. `finish` makes predictions.json and images.json of it. Who is found in a split is of its category,
    elsewhere a person.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._categories: dict[int, Category] = {}
        out.mkdir(parents=True, exist_ok=True)
        for stale in ("predictions.json", "images.json"):
            (out / stale).unlink(missing_ok=True)  # whoever finds them can be sure that they are of this run
        self._file: IO[str] = (out / _JOURNAL).open("w", encoding="utf-8")

    def add(self, asked: InputPicture, answer: Answer, problem: str | None) -> None:
        category = PERSON if asked.split is None else asked.split.manifest.category
        self._categories.setdefault(category.id, category)
        results = coco_results(answer.predictions, answer.scores, category.id)
        line = {"image": _image(asked, answer, problem), "results": results}
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()

    def finish(self, facts: dict[str, str], skeleton: Skeleton) -> None:
        """Write images.json, and last predictions.json, each whole or not at all; the journal is then not needed."""
        self.close()
        categories = [_category(category, skeleton) for category in self._categories.values()]
        head = {"info": facts, "categories": categories}
        opening = json.dumps(head)[:-1] + ', "images": ['
        _write(self._out / "images.json", opening, (line["image"] for line in self._lines()), "]}\n")
        rows = (row for line in self._lines() for row in line["results"])
        _write(self._out / "predictions.json", "[", rows, "]\n")
        (self._out / _JOURNAL).unlink()

    def _lines(self) -> Iterator[dict[str, Any]]:
        with (self._out / _JOURNAL).open(encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)


def _image(asked: InputPicture, answer: Answer, problem: str | None) -> dict[str, Any]:
    picture = asked.picture
    entry: dict[str, Any] = {"id": asked.image_id, "file_name": asked.file_name}
    if picture is not None:
        entry |= {"width": picture.size[1], "height": picture.size[0], "persons": len(answer.predictions)}
    more = {"video": asked.video, "frame": asked.frame, "time_s": asked.time_s, "problem": problem}
    return entry | {name: value for name, value in more.items() if value is not None}


def _category(category: Category, skeleton: Skeleton) -> dict[str, Any]:
    limbs = [[start + 1, end + 1] for start, end in skeleton.limbs]  # COCO counts keypoints from 1 here
    return {"id": category.id, "name": category.name, "keypoints": list(skeleton.keypoint_names), "skeleton": limbs}


def _write(path: Path, opening: str, items: Iterator[Any], closing: str) -> None:
    """A JSON file of many items, none of which need to be in memory together."""
    part = path.with_name(f"{path.name}.partial")
    with part.open("w", encoding="utf-8") as file:
        file.write(opening)
        for number, item in enumerate(items):
            file.write((",\n" if number else "\n") + json.dumps(item))
        file.write(closing)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def write_picture(folder: Path, asked: InputPicture, picture: Picture) -> None:
    """Write it as a .jpg of its name below a folder, whole or not at all."""
    path = folder / _jpg_name(asked)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.partial")
    part.write_bytes(encode_picture(picture, ".jpg"))
    os.replace(part, path)


def _jpg_name(asked: InputPicture) -> str:
    """A frame gets a folder named after its video; a.png becomes a.png.jpg, since there may be an a.jpg."""
    name = asked.file_name if asked.frame is None else f"{asked.video}/{asked.frame:06d}"
    return name if PurePosixPath(name).suffix.lower() in (".jpg", ".jpeg") else f"{name}.jpg"

"""Whom to look at in each picture of a prediction: boxes of a file or a detector, the whole picture, the annotated."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np

from engine.config import ConfigError, Recipe
from engine.detectors import Detector, detect
from engine.input_pictures import InputPicture
from engine.input_sources import Source, Split
from engine.picture_regions import annotated_regions, regions_of
from engine.predict_boxes import BoxFile
from pipelines.loose_pictures import LoosePicture, Regions
from pipelines.orientation import turned_upright
from pipelines.samples import TopDownSamples, annotated_samples
from pose.drawing import Picture, decode_picture
from sharding.dataset import ShardedDataset

Choose = Callable[[Iterable[InputPicture]], Iterator[InputPicture]]
"""Gives pictures their regions, or a problem."""

_DETECTED_AT_ONCE = 4


def upright_pixels(picture: LoosePicture) -> Picture:
    """(H, W, 3), RGB. Raises ValueError if OpenCV cannot decode it."""
    return turned_upright(decode_picture(picture.encoded), picture.orientation)


def whole_pictures(recipe: Recipe) -> Choose:
    """Each picture is one person's box."""

    def regions(picture: LoosePicture) -> Regions:
        height, width = picture.size
        return regions_of(recipe, np.array([[0, 0, width, height]], np.float64), np.ones(1))

    def choose(pictures: Iterable[InputPicture]) -> Iterator[InputPicture]:
        for one in pictures:
            yield one if one.picture is None else with_regions(one, one.picture, regions(one.picture))

    return choose


def boxes_of_file(recipe: Recipe, file: BoxFile, notes: list[str]) -> Choose:
    """Boxes of a file, which also says the pictures' ids if it lists them. What was of no use is noted at the end."""

    def choose(pictures: Iterable[InputPicture]) -> Iterator[InputPicture]:
        for one in pictures:
            given = file.image_id(one.file_name) if one.split is None else None
            known = one if given is None else replace(one, image_id=given)
            yield _with_boxes(recipe, file, known)
        notes.extend(file.notes())

    return choose


def _with_boxes(recipe: Recipe, file: BoxFile, one: InputPicture) -> InputPicture:
    if one.picture is None:
        return one
    size = file.size(one.file_name) or one.picture.size
    if tuple(size) != tuple(one.picture.size):
        found, said = (f"{width}x{height}" for height, width in (one.picture.size, size))
        turned = tuple(size) == one.picture.stored_size
        remedy = "the boxes are of the picture as it is stored: --as-stored" if turned else "is it the same picture?"
        return replace(one, picture=None, problem=f"is {found} px, {file.path} says {said}; {remedy}")
    boxes, scores = file.boxes(one.file_name, one.image_id)
    picture = replace(one.picture, image_id=one.image_id)
    return with_regions(one, picture, regions_of(recipe, boxes, scores, file.detected))


def detected_boxes(recipe: Recipe, detector: Detector, name: str) -> Choose:
    """What a detector finds, a few pictures at a time."""

    def choose(pictures: Iterable[InputPicture]) -> Iterator[InputPicture]:
        remaining = iter(pictures)
        while several := list(islice(remaining, _DETECTED_AT_ONCE)):
            yield from _detected(recipe, detector, name, several)

    return choose


def _detected(recipe: Recipe, detector: Detector, name: str, several: list[InputPicture]) -> Iterator[InputPicture]:
    pixels: dict[int, Picture] = {}
    for number, one in enumerate(several):
        if one.picture is not None:
            try:
                pixels[number] = np.ascontiguousarray(upright_pixels(one.picture))
            except ValueError as error:
                several[number] = replace(one, picture=None, problem=f"cannot be decoded: {error}")
    found = dict(zip(pixels, detect(detector, name, list(pixels.values())) if pixels else [], strict=True))
    for number, one in enumerate(several):
        if one.picture is None:
            yield one
        else:
            yield with_regions(one, one.picture, regions_of(recipe, *found[number], detected=True))


def annotated_persons(recipe: Recipe, sources: Iterable[Source]) -> Choose:
    """Whom the annotations of sharded splits name, as `posestream evaluate` looks at them.

    Raises:
        ConfigError: there are other pictures than those of splits.
    """
    if not all(isinstance(source, Split) for source in sources):
        raise ConfigError(
            f"recipe {recipe.name} looks at single persons and needs their boxes: give --boxes FILE.json, "
            "--detector NAME or MODULE:CALLABLE, or --whole-image where each picture shows one person"
        )
    known: dict[str, TopDownSamples] = {}

    def samples(split: ShardedDataset) -> TopDownSamples:
        if split.folder.uri not in known:
            known[split.folder.uri] = annotated_samples(split, labelled_only=split.manifest.dataset != "mpii")
        return known[split.folder.uri]

    def choose(pictures: Iterable[InputPicture]) -> Iterator[InputPicture]:
        for one in pictures:
            if one.picture is None or one.split is None:
                yield one
            else:
                yield with_regions(one, one.picture, annotated_regions(recipe, samples(one.split), one.image_row))

    return choose


def with_regions(one: InputPicture, picture: LoosePicture, regions: Regions) -> InputPicture:
    return replace(one, picture=replace(picture, regions=regions))

"""MPII's official release file, mpii_human_pose_v1_u12_1.mat: a MATLAB struct over all pictures."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pose.skeletons import MPII_16
from sharding.annotation_values import file_name
from sharding.matlab import read_matlab
from sharding.mpii_person import HEAD_SIZE_PER_DIAGONAL, mpii_instance
from sharding.records import AnnotationError, ImageRecord, InstanceRecord, RawDataset, Rejection


def read_mpii_release(annotations: Path, test: bool) -> RawDataset:
    """Read the training pictures, or the test pictures, of the release file.

    Instance ids number the persons of the whole file, image ids its pictures, so both splits share one numbering.

    Raises:
        AnnotationError: not a MATLAB file, or not of the release's structure.
    """
    expected = "MPII's release file (struct RELEASE)"
    content = read_matlab(annotations, expected, struct_as_record=False, squeeze_me=True)
    try:
        release = content["RELEASE"]
        pictures, in_training = np.atleast_1d(release.annolist), np.atleast_1d(release.img_train).astype(bool)
    except (KeyError, AttributeError, ValueError, TypeError) as error:
        raise AnnotationError(f"{annotations} is not {expected}: {error}") from error
    if pictures.shape != in_training.shape:
        raise AnnotationError(
            f"{annotations}: annolist has {pictures.size} pictures, but img_train has {in_training.size} values"
        )
    images: list[ImageRecord] = []
    rejections: list[Rejection] = []
    next_id = 0
    for image_id, (picture, training) in enumerate(zip(pictures, in_training.tolist(), strict=True)):
        persons = list(_persons(picture))
        first_id, next_id = next_id, next_id + len(persons)
        if training == test:
            continue
        try:
            image = ImageRecord(image_id, file_name(str(picture.image.name)))
        except (ValueError, AttributeError) as error:
            rejections.append(Rejection("image", annotations.name, image_id, str(error)))
            continue
        images.append(image)
        for instance_id, person in enumerate(persons, start=first_id):
            try:
                image.instances.append(_instance(instance_id, person))
            except (ValueError, TypeError, AttributeError, OverflowError) as error:
                rejections.append(Rejection("annotation", image.file_name, instance_id, str(error)))
    digest = hashlib.sha256(annotations.read_bytes()).hexdigest()
    return RawDataset("mpii", MPII_16, annotations, digest, images, rejections)


def _persons(picture: Any) -> Iterator[Any]:
    persons = getattr(picture, "annorect", None)
    yield from (person for person in np.atleast_1d(np.asarray(persons, dtype=object)) if hasattr(person, "_fieldnames"))


def _instance(instance_id: int, person: Any) -> InstanceRecord:
    position: Any = getattr(person, "objpos", None)
    if not hasattr(position, "x") or not _is_number(getattr(person, "scale", None)):
        raise ValueError("the person has no objpos or no scale")
    center = np.array([float(position.x), float(position.y)]) - 1
    if not np.isfinite(center).all():
        raise ValueError(f"the person's objpos is ({position.x}, {position.y})")
    corners: list[Any] = [getattr(person, name, None) for name in ("x1", "y1", "x2", "y2")]
    head_size = None
    if all(_is_number(corner) for corner in corners):
        x1, y1, x2, y2 = map(float, corners)
        head_size = HEAD_SIZE_PER_DIAGONAL * float(np.hypot(x2 - x1, y2 - y1))
    return mpii_instance(instance_id, _keypoints(person), center, float(person.scale), head_size)


def _keypoints(person: Any) -> NDArray[np.float64]:
    """(16, 3), 0-based; `is_visible` 0 is labelled and hidden. An absent or empty flag counts as visible."""
    keypoints = np.zeros((MPII_16.num_keypoints, 3))
    points = getattr(getattr(person, "annopoints", None), "point", [])
    for point in np.atleast_1d(np.asarray(points, dtype=object)):
        hidden = str(getattr(point, "is_visible", "")).strip() in ("0", "0.0")
        x, y = float(point.x) - 1, float(point.y) - 1
        if not np.isfinite([x, y]).all() or not 0 <= int(point.id) < MPII_16.num_keypoints:
            raise ValueError(f"keypoint {point.id} at ({point.x}, {point.y}) is not usable")
        keypoints[int(point.id)] = (x, y, 1.0 if hidden else 2.0)
    return keypoints


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and bool(np.isfinite(value))

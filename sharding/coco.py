"""COCO's person_keypoints_*.json, and image lists without annotations (test-dev)."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from pose.skeletons import COCO_17, Skeleton
from sharding.annotation_values import file_name, integer, number, numbers, read_annotation_file
from sharding.coco_category import ChosenCategory, choose_category, person_category
from sharding.records import AnnotationError, CrowdRegion, ImageRecord, InstanceRecord, RawDataset, Rejection

_MAX_SIDE = 65535  # JPEG's limit


def read_coco(annotations: Path, skeleton: Skeleton | None = None, category: str | None = None) -> RawDataset:
    """Read COCO keypoint annotations: persons with COCO's keypoints, or a category with a skeleton of one's own.

    Args:
        skeleton: of the keypoints; with one, the file's only category that has keypoints is taken.
        category: the name of the one to take. Annotations of others are then left out and noted, not refused.
    Raises:
        AnnotationError: the file as a whole is unusable, or no category can be chosen.
    """
    if skeleton is None and category is None:
        return read_coco_layout(annotations, "coco", COCO_17)
    keypoints = skeleton or COCO_17
    return read_coco_layout(
        annotations, "coco", keypoints, lambda content: choose_category(content, annotations, keypoints, category)
    )


def read_coco_layout(
    annotations: Path,
    dataset: str,
    skeleton: Skeleton,
    choose: Callable[[dict[str, Any]], ChosenCategory] = person_category,
) -> RawDataset:
    """Read a file of COCO's structure with any skeleton. Images keep the file's order, instances too."""
    content, digest = read_annotation_file(annotations)
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        raise AnnotationError(
            f"{annotations} has no list 'images'; expected the layout of COCO's person_keypoints_*.json"
        )
    if not isinstance(content.get("annotations", []), list):
        raise AnnotationError(
            f"{annotations}: 'annotations' must be a list, got {type(content['annotations']).__name__}"
        )
    rejections: list[Rejection] = []
    images: dict[int, ImageRecord] = {}
    for row in content["images"]:
        try:
            image = _image(row)
            if image.image_id in images:
                raise ValueError(
                    f"duplicate image id {image.image_id}, first used by {images[image.image_id].file_name}"
                )
            images[image.image_id] = image
        except ValueError as error:
            rejections.append(_rejection("image", row, annotations, error))
    chosen = choose(content)
    left_out = _attach_instances(content, images, skeleton, chosen, annotations, rejections)
    notes = [f"{left_out} annotations of other categories than {chosen.category.name!r} left out"] if left_out else []
    return RawDataset(dataset, skeleton, annotations, digest, list(images.values()), rejections, notes, chosen.category)


def _rejection(kind: str, row: Any, annotations: Path, error: ValueError) -> Rejection:
    known = row if isinstance(row, dict) else {}
    source_id = known.get("id") if isinstance(known.get("id"), int | str) else None
    return Rejection(kind, str(known.get("file_name", annotations.name)), source_id, str(error))


def _image(row: Any) -> ImageRecord:
    if not isinstance(row, dict):
        raise ValueError(f"an image must be an object, got {row!r}")
    crowd_index = row.get("crowdIndex")
    return ImageRecord(
        image_id=integer(row.get("id"), "image id"),
        file_name=file_name(row.get("file_name")),
        width=integer(row["width"], "width") if row.get("width") is not None else None,
        height=integer(row["height"], "height") if row.get("height") is not None else None,
        crowd_index=None if crowd_index is None else number(crowd_index, "crowdIndex"),
    )


def _attach_instances(
    content: dict[str, Any],
    images: dict[int, ImageRecord],
    skeleton: Skeleton,
    chosen: ChosenCategory,
    annotations: Path,
    rejections: list[Rejection],
) -> int:
    """Put the instances into their images. Returns how many are of categories that nobody asked for."""
    seen: set[int] = set()
    left_out = 0
    for row in content.get("annotations", []):
        if _is_of_another(row, chosen):
            left_out += 1
            continue
        try:
            instance, image = _instance(row, images, skeleton, chosen)
            if instance.instance_id in seen:
                raise ValueError(f"duplicate annotation id {instance.instance_id}")
            image.crowd_regions.extend(_crowd_region(row, instance, image))
        except ValueError as error:
            rejections.append(_rejection("annotation", row, annotations, error))
        else:
            seen.add(instance.instance_id)
            image.instances.append(instance)
    return left_out


def _is_of_another(row: Any, chosen: ChosenCategory) -> bool:
    category_id = row.get("category_id") if isinstance(row, dict) else None
    return isinstance(category_id, int) and category_id in chosen.others


def _instance(
    row: Any, images: dict[int, ImageRecord], skeleton: Skeleton, chosen: ChosenCategory
) -> tuple[InstanceRecord, ImageRecord]:
    if not isinstance(row, dict):
        raise ValueError(f"an annotation must be an object, got {row!r}")
    if row.get("category_id", chosen.category.id) not in chosen.ids:
        raise ValueError(f"category {row.get('category_id')!r} is not a {chosen.category.name}")
    image_id = integer(row.get("image_id"), "image_id")
    if image_id not in images:
        raise ValueError(f"image_id {image_id} is not among the file's images")
    iscrowd = integer(row.get("iscrowd", 0), "iscrowd")
    if iscrowd not in (0, 1):
        raise ValueError(f"iscrowd must be 0 or 1, got {iscrowd}")
    keypoints = _keypoints(row, skeleton)
    labelled = int((keypoints[:, 2] > 0).sum())
    num_keypoints = integer(row.get("num_keypoints", labelled), "num_keypoints")
    if num_keypoints > skeleton.num_keypoints:
        raise ValueError(f"num_keypoints must be at most {skeleton.num_keypoints}, got {num_keypoints}")
    x, y, width, height = numbers(row.get("bbox"), 4, "bbox").tolist()
    instance = InstanceRecord(
        instance_id=integer(row.get("id"), "annotation id"),
        box_xywh=(x, y, max(width, 0.0), max(height, 0.0)),
        keypoints=keypoints,
        num_keypoints=num_keypoints,
        area=None if row.get("area") is None else number(row["area"], "area"),
        iscrowd=iscrowd,
    )
    return instance, images[image_id]


def _keypoints(row: dict[str, Any], skeleton: Skeleton) -> np.ndarray:
    if "keypoints" not in row:
        return np.zeros((skeleton.num_keypoints, 3))
    keypoints = numbers(row["keypoints"], 3 * skeleton.num_keypoints, "keypoints").reshape(-1, 3)
    if not np.isin(keypoints[:, 2], (0, 1, 2)).all():
        raise ValueError(f"visibility must be 0, 1 or 2, got {sorted(set(keypoints[:, 2].tolist()))}")
    return keypoints


def _crowd_region(row: dict[str, Any], instance: InstanceRecord, image: ImageRecord) -> Iterator[CrowdRegion]:
    """The mask of a crowd or of a person without keypoints, which bottom-up training leaves out of its loss."""
    segmentation = row.get("segmentation")
    if not segmentation or (not instance.iscrowd and instance.num_keypoints > 0):
        return
    try:
        counts, height, width = _run_lengths(segmentation, image)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise ValueError(f"segmentation cannot be read: {error}") from error
    yield CrowdRegion(instance.instance_id, instance.iscrowd, height, width, counts)


def _run_lengths(segmentation: Any, image: ImageRecord) -> tuple[str, int, int]:
    if isinstance(segmentation, list):
        if image.height is None or image.width is None:
            raise ValueError("polygons need the image's width and height")
        height, width = image.height, image.width
        _check_mask_size(height, width, image)
        counts = _polygon_counts(segmentation, height, width)
    else:
        height, width = (integer(value, "segmentation size") for value in segmentation["size"])
        _check_mask_size(height, width, image)
        counts = _checked_counts(segmentation["counts"], height, width)
    return counts, height, width


def _check_mask_size(height: int, width: int, image: ImageRecord) -> None:
    if not 0 < height <= _MAX_SIDE or not 0 < width <= _MAX_SIDE:
        raise ValueError(f"a mask's sides are 1 to {_MAX_SIDE} px, got {height} x {width}")
    if (image.height or height, image.width or width) != (height, width):
        raise ValueError(f"the mask is {height} x {width} px, the image {image.height} x {image.width}")


def _polygon_counts(segmentation: list[Any], height: int, width: int) -> str:
    polygons = [[number(value, "segmentation") for value in polygon] for polygon in segmentation]
    if any(len(polygon) < 6 or len(polygon) % 2 for polygon in polygons):
        raise ValueError("a polygon needs at least three points")
    # pycocotools walks along the outline pixel by pixel and crashes the process on a far-away point.
    if any(abs(value) > 2 * max(height, width) for polygon in polygons for value in polygon):
        raise ValueError(f"a polygon reaches far outside the {height} x {width} px image")
    return str(coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))["counts"], "ascii")


def _checked_counts(counts: Any, height: int, width: int) -> str:
    if isinstance(counts, str):
        coco_mask.decode({"size": [height, width], "counts": counts})  # raises ValueError if it runs over the mask
        return counts
    lengths = [integer(value, "segmentation counts") for value in counts]
    if sum(lengths) != height * width:
        raise ValueError(f"counts cover {sum(lengths)} pixels, the mask has {height * width}")
    code = coco_mask.frPyObjects({"size": [height, width], "counts": lengths}, height, width)
    return str(code["counts"], "ascii")

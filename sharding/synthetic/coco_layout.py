"""COCO's person_keypoints_*.json for rendered scenes."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from pose.skeletons import COCO_17, Skeleton
from sharding.synthetic.annotators import annotated_persons, flat_keypoints, labelled_keypoints
from sharding.synthetic.files import write_json
from sharding.synthetic.truth import CrowdRegion, Scene, SyntheticPerson

Array = np.ndarray
Row = dict[str, Any]


def image_name(index: int) -> str:
    return f"{index + 1:012d}.jpg"


def annotate(scene: Scene, index: int) -> Row:
    """The image row and its annotation rows, annotation ids still missing."""
    height, width = scene.image.shape[:2]
    image = {"id": index + 1, "file_name": image_name(index), "height": height, "width": width}
    rows = [_person_row(person) for person in annotated_persons(scene)]
    rows += [_crowd_row(region) for region in scene.crowds]
    return {"image": image, "annotations": [{"image_id": index + 1, "category_id": 1, **row} for row in rows]}


def write_annotations(annotated: list[Row], folder: Path, seed: int) -> Path:
    path = folder / "person_keypoints.json"
    write_json(path, coco_document(annotated, COCO_17, f"synthetic persons in COCO's layout, seed {seed}"))
    return path


def coco_document(annotated: list[Row], skeleton: Skeleton, description: str) -> Row:
    """One document of all images' rows; annotations are numbered in the order of the images."""
    rows = [row for image in annotated for row in image["annotations"]]
    category = {
        "id": 1,
        "name": "person",
        "supercategory": "person",
        "keypoints": list(skeleton.keypoint_names),
        "skeleton": [[start + 1, end + 1] for start, end in skeleton.limbs],
    }
    return {
        "info": {"description": description, "version": "1.0"},
        "licenses": [],
        "images": [image["image"] for image in annotated],
        "annotations": [{**row, "id": number} for number, row in enumerate(rows, start=1)],
        "categories": [category],
    }


def _person_row(person: SyntheticPerson) -> Row:
    keypoints = labelled_keypoints(person, COCO_17)
    return {
        "segmentation": mask_polygons(person.mask, person.box_xywh),
        "area": person.area,
        "bbox": list(person.box_xywh),
        "iscrowd": 0,
        "keypoints": flat_keypoints(keypoints),
        "num_keypoints": int((keypoints[:, 2] > 0).sum()),
    }


def _crowd_row(region: CrowdRegion) -> Row:
    return {
        "segmentation": {"counts": run_lengths(region.mask), "size": list(region.mask.shape)},
        "area": region.area,
        "bbox": list(region.box_xywh),
        "iscrowd": 1,
        "keypoints": [0] * (3 * COCO_17.num_keypoints),
        "num_keypoints": 0,
    }


def mask_polygons(mask: Array, box_xywh: tuple[int, int, int, int]) -> list[list[float]]:
    """Outlines of a mask (H, W) as [x0, y0, x1, y1, ...] in COCO's mask frame, where pixel i spans i to i + 1.

    Contours run through pixel centres, which would shave half a pixel off every side; on a mask of twice the
    size they run a quarter pixel inside the edge, and filling them gives the mask back. Holes are filled.
    """
    x, y, width, height = box_xywh
    double = np.repeat(np.repeat(mask[y : y + height, x : x + width].astype(np.uint8), 2, axis=0), 2, axis=1)
    contours, _ = cv2.findContours(double, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    # Straightened by at most 0.3 px: half the points, the same pixels but for a few on slanted edges.
    contours = [cv2.approxPolyDP(contour, 0.6, True) for contour in contours]
    outlines = [(contour.reshape(-1, 2) + 0.5) / 2 + (x, y) for contour in contours]
    return [[round(float(value), 2) for value in outline.ravel()] for outline in outlines if len(outline) >= 3]


def run_lengths(mask: Array) -> list[int]:
    """Uncompressed RLE of a mask (H, W): lengths of alternating runs down the columns, starting with unset pixels."""
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    counts = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return [0, *counts] if flat[0] else counts

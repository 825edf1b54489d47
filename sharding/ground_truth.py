"""Shards → the COCO-layout dictionary that official evaluators read, with nothing lost on the way."""

from typing import Any

import numpy as np

from sharding.dataset import ShardedDataset

GroundTruth = dict[str, list[dict[str, Any]]]


def ground_truth(dataset: ShardedDataset) -> GroundTruth:
    """Images and annotations of a split, as in the source: ids, boxes, areas, crowds, category, keypoints flattened
    (3K,).

    MPII annotations carry `head_size`, `center` and `scale`; coordinates are 0-based in every case. Annotations are in
    the order of their ids, which for MPII is the order of valid.json and gt_valid.mat.
    """
    category = dataset.manifest.category
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for sidecar in dataset.sidecars:
        for row in sidecar.drop_columns(["crowd_regions"]).to_pylist():
            images.append(
                {"id": row["image_id"], "file_name": row["file_name"], "width": row["width"], "height": row["height"]}
                | ({} if row["crowd_index"] is None else {"crowdIndex": row["crowd_index"]})
            )
            annotations.extend(_annotation(row["image_id"], category.id, instance) for instance in row["instances"])
    annotations.sort(key=lambda annotation: annotation["id"])
    names = list(dataset.skeleton.keypoint_names)
    described = {"id": category.id, "name": category.name, "supercategory": category.name, "keypoints": names}
    return {"images": images, "annotations": annotations, "categories": [described]}


def _annotation(image_id: int, category_id: int, instance: dict[str, Any]) -> dict[str, Any]:
    box = [float(value) for value in instance["box_xywh"]]
    annotation = {
        "id": instance["instance_id"],
        "image_id": image_id,
        "category_id": category_id,
        "iscrowd": instance["iscrowd"],
        "bbox": box,
        "area": box[2] * box[3] if instance["area"] is None else instance["area"],
        "num_keypoints": instance["num_keypoints"],
        "keypoints": np.asarray(instance["keypoints"]).reshape(-1).tolist(),
    }
    if instance["center"] is not None:
        annotation |= {name: instance[name] for name in ("center", "scale", "head_size")}
    return annotation

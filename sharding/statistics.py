"""What a split contains, counted from its sidecars alone."""

from dataclasses import dataclass

import numpy as np

from sharding.dataset import ShardedDataset


@dataclass(frozen=True)
class KeypointStatistics:
    """Share of instances with keypoints that label this one, and the share of those labels that are hidden."""

    name: str
    labelled: float
    hidden: float


@dataclass(frozen=True)
class Statistics:
    """Counts of a split. `trainable` instances have labelled keypoints, a box with an area, and are no crowd."""

    images: int
    empty_images: int
    instances: int
    trainable: int
    crowds: int
    without_keypoints: int
    instances_per_image: float
    keypoints_per_instance: float
    median_box_height: float
    crowd_index: tuple[float, float, float] | None
    keypoints: list[KeypointStatistics]


def statistics(dataset: ShardedDataset) -> Statistics:
    """Counts over all shards; no picture is read."""
    keypoints = dataset.instance_column("keypoints").all()
    visibility = (
        keypoints[:, :, 2].astype(int) if len(keypoints) else np.zeros((0, dataset.skeleton.num_keypoints), int)
    )
    crowd = dataset.instance_column("iscrowd").all() == 1
    trainable = dataset.trainable
    counts, posed = dataset.instance_counts, visibility[trainable]
    boxes = dataset.instance_column("box_xywh").all()[trainable]
    crowd_index = dataset.image_column("crowd_index").all().astype(float)
    levels = np.quantile(crowd_index, (0, 0.5, 1)) if np.isfinite(crowd_index).all() else None
    return Statistics(
        images=dataset.num_images,
        empty_images=int((counts == 0).sum()),
        instances=len(visibility),
        trainable=int(trainable.sum()),
        crowds=int(crowd.sum()),
        without_keypoints=int((~crowd & (visibility == 0).all(axis=1)).sum()),
        instances_per_image=float(counts.mean()),
        keypoints_per_instance=float((posed > 0).sum(axis=1).mean()) if len(posed) else 0.0,
        median_box_height=float(np.median(boxes[:, 3])) if len(boxes) else 0.0,
        crowd_index=None if levels is None else (float(levels[0]), float(levels[1]), float(levels[2])),
        keypoints=[
            KeypointStatistics(
                name,
                labelled=float((posed[:, k] > 0).mean()) if len(posed) else 0.0,
                hidden=float((posed[:, k] == 1).sum() / max((posed[:, k] > 0).sum(), 1)),
            )
            for k, name in enumerate(dataset.skeleton.keypoint_names)
        ],
    )

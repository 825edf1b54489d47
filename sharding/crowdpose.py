"""CrowdPose: COCO's layout with 14 keypoints, `crowdIndex` per image, and neither areas nor masks."""

from pathlib import Path

from pose.skeletons import CROWDPOSE_14
from sharding.coco import read_coco_layout
from sharding.records import RawDataset


def read_crowdpose(annotations: Path) -> RawDataset:
    """Read CrowdPose annotations. Images without a `crowdIndex` are kept and noted: no level AP can count them."""
    raw = read_coco_layout(annotations, "crowdpose", CROWDPOSE_14)
    unknown = sum(image.crowd_index is None for image in raw.images)
    if unknown:
        raw.notes.append(f"{unknown} of {len(raw.images)} images have no crowdIndex; they count in no crowding level")
    return raw

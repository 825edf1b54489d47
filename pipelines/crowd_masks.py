"""Where a picture shows persons without keypoints, crowds and single ones, as masks of its pixels."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pycocotools import mask as coco_mask

from pipelines.pictures import PictureIndex
from sharding.dataset import BrokenShardError

Mask = NDArray[np.uint8]

NO_MASK = -1


class CrowdMasks:
    """The crowd regions of the pictures of one or several splits. CrowdPose and MPII have none."""

    def __init__(self, index: PictureIndex) -> None:
        self._index = index
        parts = [sidecar.column("crowd_regions") for dataset in index.datasets for sidecar in dataset.sidecars]
        self._regions = pa.chunked_array(parts)

    def of_pictures(self, image_rows: NDArray[np.int64]) -> tuple[list[Mask], NDArray[np.int64]]:
        """The masks (height, width), 0 and 1, of those pictures that have regions, and (P,) which mask each picture
        has, −1 for none.

        Raises:
            BrokenShardError: a region was drawn for a picture of another size.
        """
        masks: list[Mask] = []
        numbers = np.full(len(image_rows), NO_MASK)
        for place, row in enumerate(image_rows.tolist()):
            regions = self._regions[row].as_py()
            if regions:
                numbers[place] = len(masks)
                masks.append(self._mask(row, regions))
        return masks, numbers

    def _mask(self, row: int, regions: Sequence[dict[str, Any]]) -> Mask:
        (size,) = self._index.picture_sizes(np.array([row])).tolist()
        for region in regions:
            drawn = [region["height"], region["width"]]
            if drawn != size:
                raise BrokenShardError(
                    f"{self._index.location(row)}: the mask of instance {region['instance_id']} has (height, width) "
                    f"{drawn}, the picture {size}; mend its segmentation and convert again"
                )
        return union(regions)


def union(regions: Sequence[dict[str, Any]]) -> Mask:
    """The pixels (height, width) of at least one region, as 1. Regions are of one `height` and `width`, with `counts`
    in COCO's compressed run-length code."""
    codes = [{"size": [region["height"], region["width"]], "counts": region["counts"]} for region in regions]
    return np.ascontiguousarray(coco_mask.decode(coco_mask.merge(codes)))

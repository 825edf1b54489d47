"""What an MPII person becomes, whichever of MPII's two file layouts describes it."""

import numpy as np
from numpy.typing import NDArray

from pose.crop import MPII_PERSON_PX
from sharding.records import InstanceRecord

HEAD_SIZE_PER_DIAGONAL = 0.6  # MPII's SC_BIAS: the head size of PCKh is 0.6 x the diagonal of the head box


def mpii_instance(
    instance_id: int,
    keypoints: NDArray[np.float64],
    center: NDArray[np.float64],
    scale: float,
    head_size: float | None,
) -> InstanceRecord:
    """An MPII person, 0-based; the box is the square of `scale` x 200 px around the centre."""
    side = max(scale, 0.0) * MPII_PERSON_PX
    x, y = center.tolist()
    return InstanceRecord(
        instance_id=instance_id,
        box_xywh=(x - side / 2, y - side / 2, side, side),
        keypoints=keypoints,
        num_keypoints=int((keypoints[:, 2] > 0).sum()),
        center=(x, y),
        scale=scale,
        head_size=head_size,
    )

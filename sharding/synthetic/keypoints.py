"""Which keypoints of a painted person can really be seen."""

import numpy as np

from pose.skeletons import COCO_17, CROWDPOSE_14, MPII_16
from sharding.synthetic.body import SIDES, Body, on_head
from sharding.synthetic.canvas import Canvas
from sharding.synthetic.painter import owner_id

Array = np.ndarray

KEYPOINT_NAMES = tuple(dict.fromkeys(COCO_17.keypoint_names + MPII_16.keypoint_names + CROWDPOSE_14.keypoint_names))

# keypoint -> the parts that show it
_SHOWN_BY: dict[str, tuple[str, ...]] = {
    "nose": ("nose",),
    "pelvis": ("pelvis", "abdomen", "left_thigh", "right_thigh"),
    "thorax": ("chest", "neck"),
    "neck": ("neck", "chest", "head"),
    "upper_neck": ("neck", "head"),
    "head_top": ("head", "hair"),
    "head": ("head", "hair"),
}
for _side in SIDES:
    _SHOWN_BY |= {
        f"{_side}_eye": ("head",),
        f"{_side}_ear": (f"{_side}_ear",),
        f"{_side}_shoulder": ("chest", f"{_side}_upper_arm"),
        f"{_side}_elbow": (f"{_side}_upper_arm", f"{_side}_forearm"),
        f"{_side}_wrist": (f"{_side}_forearm", f"{_side}_hand"),
        f"{_side}_hip": ("pelvis", "abdomen", f"{_side}_thigh"),
        f"{_side}_knee": (f"{_side}_thigh", f"{_side}_shin", "pelvis"),
        f"{_side}_ankle": (f"{_side}_shin", f"{_side}_foot"),
    }

# A joint lies inside the body, this many statures under the skin at most. More, and it is the far side that
# lies behind the trunk (a shoulder or hip in profile), which nobody can see.
_DEEPEST = 0.12
# An eye is lost once its patch of the head turns this far from the camera (cosine).
_EYE_FACING = 0.12


def look_up_keypoints(canvas: Canvas, body: Body, person: int, root: Array) -> Array:
    """(len(KEYPOINT_NAMES), 3): x, y in image px (integer = pixel centre) and visibility; call when all is painted.

    2: the person's own adjacent part is what the pixel shows; 1: inside the picture but covered;
    0 with x = y = 0: outside the picture.
    """
    height, width = canvas.size
    result = np.zeros((len(KEYPOINT_NAMES), 3))
    for row, name in enumerate(KEYPOINT_NAMES):
        # Rounded as the annotation files round, so that what they say is what was looked up.
        x, y, depth = np.round(root + body.points[name], 2)
        if not (0 <= x <= width - 1 and 0 <= y <= height - 1):
            continue
        pixel = (round(y), round(x))
        shown = canvas.owner[pixel] in [owner_id(person, part) for part in _SHOWN_BY[name]]
        near = depth - canvas.depth[pixel] < _DEEPEST * body.stature * max(body.proportions.bulk, 1)
        result[row] = x, y, 2 if shown and near and _faces_camera(name, body) else 1
    return result


def _faces_camera(name: str, body: Body) -> bool:
    """Eyes are marks on the head: they need the head turned to the camera. Nose and ears are solids of their own."""
    if not name.endswith("_eye"):
        return True
    outwards = on_head(0.38 if name.startswith("left") else -0.38, -0.12)
    return float((body.frames["head"] @ outwards)[2]) < -_EYE_FACING

"""The 3-D skeleton: proportions, and where every keypoint is once a pose is taken."""

from dataclasses import dataclass

import numpy as np

from sharding.synthetic.poses import Pose
from sharding.synthetic.proportions import Proportions, head_half_axes
from sharding.synthetic.rotations import rotate_x, rotate_y, rotate_z

Array = np.ndarray
SIDES = ("left", "right")


@dataclass(frozen=True)
class Body:
    """A posed skeleton, px, relative to the mid-hip. Image axes: x right, y down, z away from the camera.

    points: name -> (3,), all keypoints plus left/right fingertips, heels, toes, `waist` and `head_centre`.
    frames: segment -> (3, 3), columns are the person's left, down and back in image axes.
    """

    points: dict[str, Array]
    frames: dict[str, Array]
    stature: float
    proportions: Proportions


def root_rotation(pose: Pose, yaw: float, pitch: float, roll: float) -> Array:
    """Body axes to image axes, (3, 3). yaw 0 faces the camera, 90 the picture's left edge, 180 away."""
    return rotate_z(roll) @ rotate_x(pitch) @ rotate_y(yaw) @ rotate_x(pose.root_tilt) @ rotate_z(pose.root_roll)


def pose_body(pose: Pose, proportions: Proportions, root: Array, stature: float) -> Body:
    """Forward kinematics from the mid-hip outwards; `stature` in px."""
    points: dict[str, Array] = {"pelvis": np.zeros(3)}
    frames = {"pelvis": root}
    _add_trunk(points, frames, pose, proportions)
    _add_head(points, frames, proportions)
    for row, side in enumerate(SIDES):
        _add_arm(points, frames, pose, proportions, row, side)
        _add_leg(points, frames, pose, proportions, row, side)
    return Body({name: point * stature for name, point in points.items()}, frames, stature, proportions)


def _spinal(angles: Array, share: float) -> Array:
    bend, lean, twist = angles * share
    return rotate_x(bend) @ rotate_z(lean) @ rotate_y(twist)


def _add_trunk(points: dict[str, Array], frames: dict[str, Array], pose: Pose, size: Proportions) -> None:
    frames["abdomen"] = frames["pelvis"] @ _spinal(pose.spine, 0.5)
    frames["chest"] = frames["abdomen"] @ _spinal(pose.spine, 0.5)
    frames["neck"] = frames["chest"] @ _spinal(pose.neck, 0.45)
    frames["head"] = frames["neck"] @ _spinal(pose.neck, 0.55)
    points["waist"] = frames["abdomen"] @ [0, -size.abdomen, 0]
    points["thorax"] = points["waist"] + frames["chest"] @ [0, -size.chest, 0]
    points["upper_neck"] = points["thorax"] + frames["neck"] @ [0, -size.neck, -0.006]
    points["neck"] = 0.5 * (points["thorax"] + points["upper_neck"])


def _add_head(points: dict[str, Array], frames: dict[str, Array], size: Proportions) -> None:
    """Face keypoints sit where `figure` paints them, on an ellipsoid with half axes `head_half_axes`."""
    half = head_half_axes(size)
    centre = points["upper_neck"] + frames["head"] @ [0, -0.88 * half[1], -0.008]
    points["head_centre"] = centre
    points["head_top"] = centre + frames["head"] @ [0, -0.94 * half[1], 0]
    points["head"] = points["head_top"]
    points["nose"] = centre + frames["head"] @ (np.array([0, 0.16, -1.1]) * half)
    for sign, side in zip((1, -1), SIDES, strict=True):
        points[f"{side}_eye"] = centre + frames["head"] @ (on_head(sign * 0.38, -0.12) * half)
        points[f"{side}_ear"] = centre + frames["head"] @ (np.array([sign * 1.0, 0.02, 0.12]) * half)


def on_head(x: float, y: float) -> Array:
    """The point of the unit sphere's front at (x, y); its normal there too."""
    return np.array([x, y, -np.sqrt(1 - x * x - y * y)])


def _limb(angles: Array, sign: int) -> Array:
    """Raised forward last, so that a thigh or arm that points forward can still be spread sideways."""
    forward, sideways, inwards = angles
    return rotate_x(-forward) @ rotate_z(-sign * sideways) @ rotate_y(sign * inwards)


def _add_arm(
    points: dict[str, Array], frames: dict[str, Array], pose: Pose, size: Proportions, row: int, side: str
) -> None:
    sign = 1 if side == "left" else -1
    # Shoulders ride up with a raised arm, as the collar bone does.
    lift = 0.02 * np.clip((pose.shoulders[row, 1] - 60) / 90, 0, 1)
    shoulder = points["thorax"] + frames["chest"] @ [sign * size.shoulder_half, 0.018 - lift, 0]
    upper = frames["chest"] @ _limb(pose.shoulders[row], sign)
    lower = upper @ rotate_x(-pose.elbows[row])
    points[f"{side}_shoulder"] = shoulder
    points[f"{side}_elbow"] = shoulder + upper @ [0, size.upper_arm, 0]
    points[f"{side}_wrist"] = points[f"{side}_elbow"] + lower @ [0, size.forearm, 0]
    points[f"{side}_fingertip"] = points[f"{side}_wrist"] + lower @ [0, size.hand, -0.012]


def _add_leg(
    points: dict[str, Array], frames: dict[str, Array], pose: Pose, size: Proportions, row: int, side: str
) -> None:
    sign = 1 if side == "left" else -1
    hip = points["pelvis"] + frames["pelvis"] @ [sign * size.hip_half, 0, 0]
    upper = frames["pelvis"] @ _limb(pose.hips[row], sign)
    lower = upper @ rotate_x(pose.knees[row])
    points[f"{side}_hip"] = hip
    points[f"{side}_knee"] = hip + upper @ [0, size.thigh, 0]
    points[f"{side}_ankle"] = points[f"{side}_knee"] + lower @ [0, size.shin, 0]
    points[f"{side}_heel"] = points[f"{side}_ankle"] + lower @ [0, 0.02, 0.012]
    points[f"{side}_toe"] = points[f"{side}_ankle"] + lower @ [0, 0.026, -size.foot]

"""Keypoint sets: names, left/right pairs, limbs, OKS sigmas, upper and lower body; three are built in."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Skeleton:
    """A keypoint set. Every index below is 0-based into `keypoint_names`.

    `flip_indices[k]` is the keypoint that k becomes when the picture is mirrored.
    `oks_sigmas` are standard deviations relative to the square root of a person's area (COCO's k_i / 2).
    `upper_body` and `lower_body` are what half-body augmentation cuts to; without such halves they are empty.
    """

    name: str
    keypoint_names: tuple[str, ...]
    flip_indices: tuple[int, ...]
    limbs: tuple[tuple[int, int], ...]
    oks_sigmas: tuple[float, ...]
    upper_body: tuple[int, ...]
    lower_body: tuple[int, ...]

    @property
    def num_keypoints(self) -> int:
        return len(self.keypoint_names)

    def index(self, keypoint_name: str) -> int:
        """Index of a keypoint by name. Raises KeyError that lists the known names."""
        if keypoint_name not in self.keypoint_names:
            raise KeyError(f"{self.name} has no keypoint {keypoint_name!r}; it has {', '.join(self.keypoint_names)}")
        return self.keypoint_names.index(keypoint_name)


def mirrored_name(name: str) -> str:
    """left_X for right_X and the other way round; every other name is its own mirror image."""
    if name.startswith("left_"):
        return "right_" + name.removeprefix("left_")
    if name.startswith("right_"):
        return "left_" + name.removeprefix("right_")
    return name


def _flip_indices(names: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(names.index(mirrored_name(name)) for name in names)


_COCO_NAMES = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow",
    "right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle",
    "right_ankle",
)  # fmt: skip
_MPII_NAMES = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "pelvis", "thorax", "upper_neck",
    "head_top", "right_wrist", "right_elbow", "right_shoulder", "left_shoulder", "left_elbow", "left_wrist",
)  # fmt: skip
_CROWDPOSE_NAMES = (
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist", "left_hip",
    "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle", "head", "neck",
)  # fmt: skip

_COCO_LIMBS = (
    (15, 13), (13, 11), (16, 14), (14, 12), (11, 12), (5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10),
    (1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6),
)  # fmt: skip
_COCO_SIGMAS = (
    0.026, 0.025, 0.025, 0.035, 0.035, 0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087,
    0.089, 0.089,
)  # fmt: skip
COCO_17 = Skeleton(
    name="coco_17",
    keypoint_names=_COCO_NAMES,
    flip_indices=_flip_indices(_COCO_NAMES),
    limbs=_COCO_LIMBS,
    oks_sigmas=_COCO_SIGMAS,
    upper_body=tuple(range(11)),
    lower_body=tuple(range(11, 17)),
)

_MPII_LIMBS = (
    (0, 1), (1, 2), (2, 6), (6, 3), (3, 4), (4, 5), (6, 7), (7, 8), (8, 9), (8, 12), (12, 11), (11, 10), (8, 13),
    (13, 14), (14, 15),
)  # fmt: skip
# MPII is scored by PCKh and defines no sigmas. These are COCO's for the keypoints that COCO has, CrowdPose's for
# neck and head top, the hips' for the pelvis and the shoulders' for the thorax.
_MPII_SIGMAS = (
    0.089, 0.087, 0.107, 0.107, 0.087, 0.089, 0.107, 0.079, 0.079, 0.079, 0.062, 0.072, 0.079, 0.079, 0.072, 0.062,
)  # fmt: skip
MPII_16 = Skeleton(
    name="mpii_16",
    keypoint_names=_MPII_NAMES,
    flip_indices=_flip_indices(_MPII_NAMES),
    limbs=_MPII_LIMBS,
    oks_sigmas=_MPII_SIGMAS,
    upper_body=tuple(range(7, 16)),
    lower_body=tuple(range(7)),
)

_CROWDPOSE_LIMBS = (
    (12, 13), (13, 0), (13, 1), (0, 2), (1, 3), (2, 4), (3, 5), (0, 6), (1, 7), (6, 8), (7, 9), (8, 10), (9, 11),
    (6, 7), (0, 1),
)  # fmt: skip
_CROWDPOSE_SIGMAS = (
    0.079, 0.079, 0.072, 0.072, 0.062, 0.062, 0.107, 0.107, 0.087, 0.087, 0.089, 0.089, 0.079, 0.079,
)  # fmt: skip
CROWDPOSE_14 = Skeleton(
    name="crowdpose_14",
    keypoint_names=_CROWDPOSE_NAMES,
    flip_indices=_flip_indices(_CROWDPOSE_NAMES),
    limbs=_CROWDPOSE_LIMBS,
    oks_sigmas=_CROWDPOSE_SIGMAS,
    upper_body=(0, 1, 2, 3, 4, 5, 12, 13),
    lower_body=(6, 7, 8, 9, 10, 11),
)

SKELETONS = {skeleton.name: skeleton for skeleton in (COCO_17, MPII_16, CROWDPOSE_14)}


def get_skeleton(name: str) -> Skeleton:
    """The skeleton of that name. Raises KeyError that lists the known ones."""
    if name not in SKELETONS:
        raise KeyError(f"unknown skeleton {name!r}; known: {', '.join(SKELETONS)}")
    return SKELETONS[name]


def contrast(first: Skeleton, second: Skeleton) -> str:
    """What tells two skeletons apart, for messages: their names, or in what two definitions of one name differ."""
    if first.name != second.name:
        return f"{first.name} and {second.name}"
    differing = [field.name for field in fields(Skeleton) if getattr(first, field.name) != getattr(second, field.name)]
    return f"two definitions of {first.name}, which differ in {', '.join(differing)}"

"""Which parts a body is composed of: keypoints, bones between them, groups of bones (Tang, Yu & Wu, ECCV 2018)."""

from dataclasses import dataclass

Segments = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class PartHierarchy:
    """Three levels of parts. Level 1 are the keypoints themselves.

    Attributes:
        skeleton: whose keypoints the indices (0-based) mean.
        bones: level 2, pairs of keypoints.
        groups: level 3, each a set of indices into `bones`.
    """

    skeleton: str
    num_keypoints: int
    bones: Segments
    groups: tuple[tuple[int, ...], ...]

    @property
    def levels(self) -> tuple[tuple[Segments, ...], ...]:
        """The channels of a heatmap of each level, as segments between two keypoints.

        A keypoint is a segment from itself to itself. Levels 2 and 3 end with a channel per keypoint, as the authors'
        configurations have it.
        """
        keypoints = tuple(((k, k),) for k in range(self.num_keypoints))
        bones = tuple((bone,) for bone in self.bones)
        groups = tuple(tuple(self.bones[bone] for bone in group) for group in self.groups)
        return keypoints, bones + keypoints, groups + keypoints


_PAIRS_OF_12 = ((0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11))
_PAIRS_OF_9 = ((0, 1), (2, 3), (4,), (5, 6), (7, 8))

# Both as the authors define them: right leg, left leg, hips, neck and head, right arm, left arm; without pelvis and
# thorax no hips, and a head that is a single bone.
_MPII = PartHierarchy(
    skeleton="mpii_16",
    num_keypoints=16,
    bones=((0, 1), (1, 2), (3, 4), (4, 5), (2, 6), (3, 6), (7, 8), (8, 9), (10, 11), (11, 12), (13, 14), (14, 15)),
    groups=_PAIRS_OF_12,
)
# In the order of LSP's own files: right ankle … hip, left hip … ankle, right wrist … shoulder, left shoulder … wrist,
# neck, head.
_LSP = PartHierarchy(
    skeleton="lsp_14",
    num_keypoints=14,
    bones=((0, 1), (1, 2), (3, 4), (4, 5), (12, 13), (6, 7), (7, 8), (9, 10), (10, 11)),
    groups=_PAIRS_OF_9,
)
# The authors have none for these two. CrowdPose has LSP's keypoints. COCO has no neck: the halves of the face, from
# nose to ear, stand in for it.
_CROWDPOSE = PartHierarchy(
    skeleton="crowdpose_14",
    num_keypoints=14,
    bones=((11, 9), (9, 7), (6, 8), (8, 10), (13, 12), (5, 3), (3, 1), (0, 2), (2, 4)),
    groups=_PAIRS_OF_9,
)
_COCO = PartHierarchy(
    skeleton="coco_17",
    num_keypoints=17,
    bones=((16, 14), (14, 12), (11, 13), (13, 15), (0, 2), (2, 4), (0, 1), (1, 3), (10, 8), (8, 6), (5, 7), (7, 9)),
    groups=_PAIRS_OF_12,
)

HIERARCHIES = {"mpii": _MPII, "coco": _COCO, "crowdpose": _CROWDPOSE, "lsp": _LSP}


def find_hierarchy(num_keypoints: int, name: str | None = None) -> PartHierarchy:
    """The hierarchy of that name, or without a name the first one of so many keypoints.

    Raises:
        ValueError: an unknown name, or no fit; lists the known ones or those that fit.
    """
    known = ", ".join(f"{key} ({hierarchy.num_keypoints} keypoints)" for key, hierarchy in HIERARCHIES.items())
    fitting = [key for key, hierarchy in HIERARCHIES.items() if hierarchy.num_keypoints == num_keypoints]
    if name is not None and name not in HIERARCHIES:
        raise ValueError(f"unknown part hierarchy {name!r}; known: {known}")
    if not fitting:
        raise ValueError(f"no part hierarchy has {num_keypoints} keypoints; known: {known}")
    if name is not None and name not in fitting:
        raise ValueError(
            f"part hierarchy {name!r} has {HIERARCHIES[name].num_keypoints} keypoints, not {num_keypoints}; "
            f"with {num_keypoints}: {', '.join(fitting)}"
        )
    return HIERARCHIES[name or fitting[0]]

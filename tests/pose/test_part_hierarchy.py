"""The part hierarchies: the authors' two, and ours by the same principle."""

import pytest

from pose.part_hierarchy import HIERARCHIES, PartHierarchy, find_hierarchy
from pose.skeletons import SKELETONS

LSP_NAMES = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow",
    "right_shoulder", "left_shoulder", "left_elbow", "left_wrist", "neck", "head",
)  # fmt: skip
SIZES = {"mpii": (16, 12, 6), "coco": (17, 12, 6), "crowdpose": (14, 9, 5), "lsp": (14, 9, 5)}


def names_of(hierarchy: PartHierarchy) -> tuple[str, ...]:
    if hierarchy.skeleton == "lsp_14":
        return LSP_NAMES
    return SKELETONS[hierarchy.skeleton].keypoint_names


def named_parts(hierarchy: PartHierarchy, level: int) -> list[frozenset[frozenset[str]]]:
    names = names_of(hierarchy)
    return [frozenset(frozenset(names[k] for k in segment) for segment in part) for part in hierarchy.levels[level - 1]]


def test_mpii_is_the_authors() -> None:
    one_based = "1-2 2-3 4-5 5-6 3-7 4-7 8-9 9-10 11-12 12-13 14-15 15-16"
    bones = [tuple(int(k) - 1 for k in bone.split("-")) for bone in one_based.split()]
    assert list(HIERARCHIES["mpii"].bones) == bones
    _, level_2, level_3 = HIERARCHIES["mpii"].levels
    assert [part[0] for part in level_2[:12]] == bones
    assert [list(part) for part in level_3[:6]] == [bones[first : first + 2] for first in range(0, 12, 2)]
    assert [len(level) for level in HIERARCHIES["mpii"].levels] == [16, 28, 22]


@pytest.mark.parametrize("name", HIERARCHIES)
def test_numbers_of_parts_and_the_keypoints_at_the_end(name: str) -> None:
    hierarchy = HIERARCHIES[name]
    assert (hierarchy.num_keypoints, len(hierarchy.bones), len(hierarchy.groups)) == SIZES[name]
    keypoints, level_2, level_3 = hierarchy.levels
    assert keypoints == tuple(((k, k),) for k in range(len(names_of(hierarchy))))
    assert level_2[len(hierarchy.bones) :] == level_3[len(hierarchy.groups) :] == keypoints


@pytest.mark.parametrize("name", HIERARCHIES)
def test_every_keypoint_is_in_a_bone_and_every_bone_in_one_group(name: str) -> None:
    hierarchy = HIERARCHIES[name]
    assert {k for bone in hierarchy.bones for k in bone} == set(range(hierarchy.num_keypoints))
    assert len({frozenset(bone) for bone in hierarchy.bones}) == len(hierarchy.bones)
    assert sorted(bone for group in hierarchy.groups for bone in group) == list(range(len(hierarchy.bones)))


@pytest.mark.parametrize("name", HIERARCHIES)
def test_bones_of_a_group_meet_in_a_keypoint(name: str) -> None:
    hierarchy = HIERARCHIES[name]
    for group in hierarchy.groups:
        ends = [set(hierarchy.bones[bone]) for bone in group]
        assert set.intersection(*ends)


@pytest.mark.parametrize("name", ["mpii", "coco", "crowdpose"])
def test_a_mirrored_hierarchy_is_itself(name: str) -> None:
    hierarchy = HIERARCHIES[name]
    flip = SKELETONS[hierarchy.skeleton].flip_indices
    for level in hierarchy.levels:
        parts = {frozenset(frozenset(segment) for segment in part) for part in level}
        assert {frozenset(frozenset(flip[k] for k in segment) for segment in part) for part in parts} == parts


@pytest.mark.parametrize("name", ["coco", "crowdpose"])
def test_our_bones_are_limbs_of_their_skeleton(name: str) -> None:
    limbs = {frozenset(limb) for limb in SKELETONS[HIERARCHIES[name].skeleton].limbs}
    assert {frozenset(bone) for bone in HIERARCHIES[name].bones} <= limbs


def test_crowdpose_is_lsp_in_another_order() -> None:
    for level in (1, 2, 3):
        assert set(named_parts(HIERARCHIES["crowdpose"], level)) == set(named_parts(HIERARCHIES["lsp"], level))


def test_arms_and_legs_are_the_same_in_all() -> None:
    def limbs(name: str) -> set[frozenset[frozenset[str]]]:
        ends = ("wrist", "ankle")
        return {
            part
            for part in named_parts(HIERARCHIES[name], 3)[: SIZES[name][2]]
            if any(keypoint.endswith(ends) for segment in part for keypoint in segment)
        }

    assert len(limbs("mpii")) == 4
    assert limbs("mpii") == limbs("coco") == limbs("crowdpose") == limbs("lsp")


@pytest.mark.parametrize(("num_keypoints", "name"), [(16, "mpii"), (17, "coco"), (14, "crowdpose")])
def test_without_a_name_the_skeletons_of_the_project_are_found(num_keypoints: int, name: str) -> None:
    assert find_hierarchy(num_keypoints) is HIERARCHIES[name]
    assert any(skeleton.name == HIERARCHIES[name].skeleton for skeleton in SKELETONS.values())


def test_a_name_chooses_among_those_that_fit() -> None:
    assert find_hierarchy(14, "lsp") is HIERARCHIES["lsp"]


def test_what_does_not_fit_is_refused_with_what_does() -> None:
    with pytest.raises(ValueError, match=r"'mpii' has 16 keypoints, not 14; with 14: crowdpose, lsp"):
        find_hierarchy(14, "mpii")
    for number, name in [(5, None), (5, "mpii"), (16, "body")]:
        with pytest.raises(ValueError, match=r"known: mpii \(16 keypoints\), coco") as error:
            find_hierarchy(number, name)
        assert repr(name) in str(error.value) or "5 keypoints" in str(error.value)

"""Which keypoint of one benchmark is which of another, written out by name."""

import itertools

import pytest

from pose.skeleton_mapping import MISSING, keypoint_sources
from pose.skeletons import COCO_17, CROWDPOSE_14, MPII_16, SKELETONS, Skeleton

SAME = {name: name for name in COCO_17.keypoint_names[5:]}  # all of the limbs, none of the face
# target keypoint → source keypoint
EXPECTED = {
    ("mpii_16", "coco_17"): SAME,
    ("coco_17", "mpii_16"): SAME,
    ("crowdpose_14", "coco_17"): SAME,
    ("coco_17", "crowdpose_14"): SAME,
    ("crowdpose_14", "mpii_16"): SAME | {"head_top": "head", "upper_neck": "neck"},
    ("mpii_16", "crowdpose_14"): SAME | {"head": "head_top", "neck": "upper_neck"},
}


@pytest.mark.parametrize("names", EXPECTED, ids=" to ".join)
def test_keypoints_are_matched_by_name(names):
    source, target = (SKELETONS[name] for name in names)
    sources = keypoint_sources(source, target)
    assert len(sources) == target.num_keypoints
    found = {
        name: source.keypoint_names[index]
        for name, index in zip(target.keypoint_names, sources, strict=True)
        if index != MISSING
    }
    assert found == EXPECTED[names]


def test_every_pair_of_skeletons_is_written_out():
    assert set(EXPECTED) == set(itertools.permutations(SKELETONS, 2))


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda skeleton: skeleton.name)
def test_a_skeleton_maps_onto_itself(skeleton):
    assert keypoint_sources(skeleton, skeleton) == tuple(range(skeleton.num_keypoints))


@pytest.mark.parametrize(("source", "target"), list(itertools.product(SKELETONS.values(), repeat=2)))
def test_left_and_right_trade_places_alike_before_and_after(source, target):
    sources = keypoint_sources(source, target)
    for keypoint, mirrored in enumerate(target.flip_indices):
        expected = MISSING if sources[keypoint] == MISSING else source.flip_indices[sources[keypoint]]
        assert sources[mirrored] == expected


@pytest.mark.parametrize(("one", "other"), [(COCO_17, MPII_16), (COCO_17, CROWDPOSE_14), (CROWDPOSE_14, MPII_16)])
def test_there_and_back_again(one, other):
    forth, back = keypoint_sources(one, other), keypoint_sources(other, one)
    for keypoint, source in enumerate(back):
        assert source == MISSING or forth[source] == keypoint


def test_skeletons_with_nothing_in_common_are_refused():
    hand = Skeleton("hand_2", ("thumb", "palm"), (0, 1), (), (0.1, 0.1), (0, 1), ())
    with pytest.raises(ValueError, match="hand_2 and coco_17 have no keypoint in common"):
        keypoint_sources(hand, COCO_17)

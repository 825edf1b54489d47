"""The keypoint sets against the numbers of the benchmarks, written out here a second time."""

import pytest

from pose.skeletons import COCO_17, CROWDPOSE_14, MPII_16, SKELETONS, get_skeleton

NAMES = {
    "coco_17": "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow "
    "left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle",
    "mpii_16": "right_ankle right_knee right_hip left_hip left_knee left_ankle pelvis thorax upper_neck head_top "
    "right_wrist right_elbow right_shoulder left_shoulder left_elbow left_wrist",
    "crowdpose_14": "left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_hip right_hip "
    "left_knee right_knee left_ankle right_ankle head neck",
}
PAIRS = {
    "coco_17": [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)],
    "mpii_16": [(0, 5), (1, 4), (2, 3), (10, 15), (11, 14), (12, 13)],
    "crowdpose_14": [(0, 1), (2, 3), (4, 5), (6, 7), (8, 9), (10, 11)],
}
LIMBS = {
    "coco_17": "15-13 13-11 16-14 14-12 11-12 5-11 6-12 5-6 5-7 6-8 7-9 8-10 1-2 0-1 0-2 1-3 2-4 3-5 4-6",
    "mpii_16": "0-1 1-2 2-6 6-3 3-4 4-5 6-7 7-8 8-9 8-12 12-11 11-10 8-13 13-14 14-15",
    "crowdpose_14": "12-13 13-0 13-1 0-2 1-3 2-4 3-5 0-6 1-7 6-8 7-9 8-10 9-11 6-7 0-1",
}
HALVES = {
    "coco_17": ([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10], [11, 12, 13, 14, 15, 16]),
    "mpii_16": ([7, 8, 9, 10, 11, 12, 13, 14, 15], [0, 1, 2, 3, 4, 5, 6]),
    "crowdpose_14": ([0, 1, 2, 3, 4, 5, 12, 13], [6, 7, 8, 9, 10, 11]),
}

each_skeleton = pytest.mark.parametrize("name", list(NAMES))


def test_the_three_benchmarks_are_known():
    assert list(SKELETONS) == list(NAMES)
    assert get_skeleton("mpii_16") is MPII_16


@each_skeleton
def test_keypoint_order(name):
    skeleton = get_skeleton(name)
    assert list(skeleton.keypoint_names) == NAMES[name].split()
    assert skeleton.num_keypoints == len(NAMES[name].split())
    assert [skeleton.index(keypoint) for keypoint in NAMES[name].split()] == list(range(skeleton.num_keypoints))


@each_skeleton
def test_flip_indices_are_the_published_pairs(name):
    expected = list(range(len(NAMES[name].split())))
    for a, b in PAIRS[name]:
        expected[a], expected[b] = b, a
    assert list(get_skeleton(name).flip_indices) == expected


@each_skeleton
def test_flipping_twice_changes_nothing(name):
    flip = get_skeleton(name).flip_indices
    assert [flip[flip[k]] for k in range(len(flip))] == list(range(len(flip)))


@each_skeleton
def test_limbs(name):
    assert [f"{a}-{b}" for a, b in get_skeleton(name).limbs] == LIMBS[name].split()


@each_skeleton
def test_half_bodies(name):
    skeleton = get_skeleton(name)
    upper, lower = HALVES[name]
    assert (list(skeleton.upper_body), list(skeleton.lower_body)) == (upper, lower)
    assert sorted(upper + lower) == list(range(skeleton.num_keypoints))


def test_coco_sigmas():
    sigmas = ".026 .025 .025 .035 .035 .079 .079 .072 .072 .062 .062 .107 .107 .087 .087 .089 .089"
    assert list(COCO_17.oks_sigmas) == [float(sigma) for sigma in sigmas.split()]


def test_crowdpose_sigmas():
    sigmas = ".079 .079 .072 .072 .062 .062 .107 .107 .087 .087 .089 .089 .079 .079"
    assert list(CROWDPOSE_14.oks_sigmas) == [float(sigma) for sigma in sigmas.split()]


def test_mpii_sigmas_are_those_of_the_same_keypoint_in_coco():
    """MPII defines none; where COCO has the keypoint, its sigma is taken, and both sides have the same."""
    for k, name in enumerate(MPII_16.keypoint_names):
        if name in COCO_17.keypoint_names:
            assert MPII_16.oks_sigmas[k] == COCO_17.oks_sigmas[COCO_17.index(name)]
        assert MPII_16.oks_sigmas[k] == MPII_16.oks_sigmas[MPII_16.flip_indices[k]] > 0


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(KeyError, match=r"'coco'.*coco_17, mpii_16, crowdpose_14"):
        get_skeleton("coco")
    with pytest.raises(KeyError, match=r"crowdpose_14.*'nose'.*left_shoulder.*neck"):
        CROWDPOSE_14.index("nose")

import pytest
import torch
from torch import Tensor

from pose.pose_features import Sticks, pose_features, public_sticks_of, sticks_of
from pose.skeletons import COCO_17, CROWDPOSE_14, MPII_16, SKELETONS, Skeleton

# The two ends of each stick as the public code lists them.
COCO_ENDS = (
    (0, 0, 1, 1, 2, 3, 4, 5, 5, 5, 6, 6, 7, 8, 11, 11, 12, 13, 14),
    (1, 2, 2, 3, 4, 5, 6, 6, 7, 11, 8, 12, 9, 10, 12, 13, 14, 15, 16),
)
CROWDPOSE_ENDS = (
    (12, 13, 13, 0, 1, 2, 3, 0, 1, 6, 7, 8, 9, 6, 0),
    (13, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 7, 1),
)


def _poses(skeleton: Skeleton, count: int = 3) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (count, skeleton.num_keypoints)
    return torch.rand(*shape, 2, generator=generator) * 300, torch.rand(*shape, generator=generator)


@pytest.mark.parametrize(("skeleton", "ends"), [(COCO_17, COCO_ENDS), (CROWDPOSE_14, CROWDPOSE_ENDS)])
def test_sticks_stand_in_the_public_order(skeleton: Skeleton, ends: tuple[tuple[int, ...], ...]) -> None:
    assert sticks_of(skeleton).pairs == tuple(zip(*ends, strict=True))


@pytest.mark.parametrize(("skeleton", "features"), [(COCO_17, 74), (CROWDPOSE_14, 59), (MPII_16, 61)])
def test_number_of_features(skeleton: Skeleton, features: int) -> None:
    sticks = sticks_of(skeleton)
    assert pose_features(*_poses(skeleton), sticks).shape == (3, features)
    assert sticks.num_features(skeleton.num_keypoints) == features


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda skeleton: skeleton.name)
def test_the_unit_is_the_torso(skeleton: Skeleton) -> None:
    names = [[skeleton.keypoint_names[index] for index in side] for side in sticks_of(skeleton).torso]
    assert names == [["left_shoulder", "left_hip"], ["right_shoulder", "right_hip"]]


def test_vectors_then_lengths_then_heat_by_hand() -> None:
    sticks = Sticks(pairs=((0, 1), (2, 0)), torso=((0, 1), (0, 2)))
    keypoints = torch.tensor([[[0.0, 0], [3, 4], [0, 15]]])  # torso sides 5 and 15
    features = pose_features(keypoints, torch.tensor([[0.1, 0.2, 0.3]]), sticks)
    torch.testing.assert_close(features, torch.tensor([[-0.3, -0.4, 0, 1.5, 0.5, 1.5, 0.1, 0.2, 0.3]]))


def test_features_of_coco_as_the_public_code_makes_them() -> None:
    keypoints, heat = _poses(COCO_17)
    first, second = (list(end) for end in COCO_ENDS)
    vectors = keypoints[:, first] - keypoints[:, second]
    lengths = vectors.norm(dim=-1)
    unit = (lengths[:, 9] + lengths[:, 11]) / 2
    expected = torch.cat([(vectors / unit[:, None, None]).reshape(3, -1), lengths / unit[:, None], heat], dim=1)
    torch.testing.assert_close(pose_features(keypoints, heat, sticks_of(COCO_17)), expected)


def test_size_and_place_do_not_matter() -> None:
    keypoints, heat = _poses(COCO_17)
    sticks = sticks_of(COCO_17)
    moved = pose_features(2.5 * keypoints + 40, heat, sticks)
    torch.testing.assert_close(moved, pose_features(keypoints, heat, sticks), atol=1e-4, rtol=1e-4)


def test_a_torso_below_one_px_counts_as_one() -> None:
    keypoints = torch.zeros(1, 17, 2)
    keypoints[0, 0] = torch.tensor([3.0, 4.0])
    features = pose_features(keypoints, torch.zeros(1, 17), sticks_of(COCO_17))
    assert features[0, :4].tolist() == [3, 4, 3, 4]  # nose minus eyes
    assert features[0, 38:40].tolist() == [5, 5]
    assert bool(features.isfinite().all())


def test_nobody() -> None:
    assert pose_features(torch.zeros(0, 17, 2), torch.zeros(0, 17), sticks_of(COCO_17)).shape == (0, 74)


def test_public_networks_measure_crowdpose_in_another_unit() -> None:
    assert public_sticks_of(COCO_17) == sticks_of(COCO_17)
    public = public_sticks_of(CROWDPOSE_14)
    assert public.pairs == sticks_of(CROWDPOSE_14).pairs
    assert public.torso == (public.pairs[9], public.pairs[11])
    with pytest.raises(ValueError, match="mpii_16"):
        public_sticks_of(MPII_16)

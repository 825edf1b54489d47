from pathlib import Path

import pytest
import torch
from torch import Tensor

from models.score_net import PoseScorer, ScoreNet
from models.score_net_file import ScoreNetError, load_scorer, save_scorer
from models.score_net_training import score_targets, train_score_net
from models.weights_file import WeightsError
from pose.errors import UserError
from pose.pose_features import pose_features, public_sticks_of, sticks_of
from pose.skeletons import COCO_17, CROWDPOSE_14, MPII_16, Skeleton


def _scorer(skeleton: Skeleton = COCO_17, hidden: int = 256) -> PoseScorer:
    sticks = sticks_of(skeleton)
    return PoseScorer(ScoreNet(sticks.num_features(skeleton.num_keypoints), hidden), skeleton, sticks)


def _poses(skeleton: Skeleton = COCO_17, count: int = 4) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (count, skeleton.num_keypoints)
    return torch.rand(*shape, 2, generator=generator) * 300, torch.rand(*shape, generator=generator)


@pytest.mark.parametrize(("features", "parameters"), [(74, 85_249), (59, 81_409)])
def test_parameters_of_the_paper(features: int, parameters: int) -> None:
    assert sum(tensor.numel() for tensor in ScoreNet(features).parameters()) == parameters


def test_the_network_by_hand() -> None:
    net = ScoreNet(2, 2)
    net.load_state_dict(
        {
            "l1.weight": torch.tensor([[1.0, 0], [0, -1]]),
            "l1.bias": torch.tensor([0.0, 1]),
            "l2.weight": torch.tensor([[1.0, 1], [-1, 0]]),
            "l2.bias": torch.tensor([0.5, 0]),
            "l3.weight": torch.tensor([[2.0, 10]]),
            "l3.bias": torch.tensor([-1.0]),
        }
    )
    # hidden (3, 0), then (3.5, 0); hidden (0, 3), then (3.5, 0)
    torch.testing.assert_close(net(torch.tensor([[3.0, 2], [-1, -2]])), torch.tensor([6.0, 6.0]))


def test_it_can_be_built_without_memory() -> None:
    with torch.device("meta"):
        assert ScoreNet(74).l1.weight.is_meta


@pytest.mark.parametrize(("features", "hidden"), [(0, 256), (74, 0)])
def test_sizes_are_checked(features: int, hidden: int) -> None:
    with pytest.raises(ValueError, match="0"):
        ScoreNet(features, hidden)


def test_scores_are_what_the_network_makes_of_the_features() -> None:
    scorer, (keypoints, heat) = _scorer(), _poses()
    plain = scorer.score(keypoints, heat)
    torch.testing.assert_close(plain, scorer.net(pose_features(keypoints, heat, scorer.sticks)))


def test_nobody_is_scored() -> None:
    assert _scorer().score(*_poses(count=0)).shape == (0,)


def test_poses_of_another_skeleton_are_refused() -> None:
    with pytest.raises(ValueError, match="coco_17, 17 keypoints; got 14"):
        _scorer().score(*_poses(CROWDPOSE_14))


@pytest.mark.parametrize("skeleton", [COCO_17, CROWDPOSE_14, MPII_16], ids=lambda skeleton: skeleton.name)
def test_a_file_keeps_the_scores(skeleton: Skeleton, tmp_path: Path) -> None:
    scorer, path = _scorer(skeleton, hidden=32), tmp_path / "new" / "score.pt"
    save_scorer(scorer, path, "digest")
    loaded = load_scorer(path, skeleton)
    assert torch.equal(loaded.score(*_poses(skeleton)), scorer.score(*_poses(skeleton)))
    assert not loaded.net.training
    assert [file.name for file in path.parent.iterdir()] == ["score.pt"]


@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("skeleton", [COCO_17, CROWDPOSE_14], ids=lambda skeleton: skeleton.name)
def test_a_public_file_is_bare_tensors(skeleton: Skeleton, wrapped: bool, tmp_path: Path) -> None:
    scorer = _scorer(skeleton)
    state = scorer.net.state_dict()
    torch.save({"state_dict": state} if wrapped else state, tmp_path / "public.pth")
    loaded = load_scorer(tmp_path / "public.pth", skeleton)
    assert loaded.sticks == public_sticks_of(skeleton)
    keypoints, heat = _poses(skeleton)
    expected = scorer.net(pose_features(keypoints, heat, public_sticks_of(skeleton)))
    torch.testing.assert_close(loaded.score(keypoints, heat), expected)


def test_a_public_file_with_public_crowdpose_sticks_is_not_saved_as_ours(tmp_path: Path) -> None:
    torch.save(_scorer(CROWDPOSE_14).net.state_dict(), tmp_path / "public.pth")
    with pytest.raises(ValueError, match="sticks"):
        save_scorer(load_scorer(tmp_path / "public.pth", CROWDPOSE_14), tmp_path / "ours.pt", "digest")


def test_a_public_file_for_mpii_is_refused(tmp_path: Path) -> None:
    torch.save(_scorer(MPII_16).net.state_dict(), tmp_path / "public.pth")
    with pytest.raises(ScoreNetError, match=r"public\.pth .*mpii_16"):
        load_scorer(tmp_path / "public.pth", MPII_16)


def test_a_file_of_another_skeleton_is_refused(tmp_path: Path) -> None:
    save_scorer(_scorer(CROWDPOSE_14), tmp_path / "score.pt", "digest")
    with pytest.raises(ScoreNetError, match=r"score\.pt scores poses of 'crowdpose_14', not of 'coco_17'"):
        load_scorer(tmp_path / "score.pt", COCO_17)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    save_scorer(_scorer(), tmp_path / "score.pt", "digest")
    content = torch.load(tmp_path / "score.pt", weights_only=True)
    torch.save({**content, "format": 9}, tmp_path / "score.pt")
    with pytest.raises(ScoreNetError, match="format 9"):
        load_scorer(tmp_path / "score.pt", COCO_17)


@pytest.mark.parametrize(
    "content",
    [
        {"conv1.weight": torch.zeros(64, 3, 7, 7)},
        {"l1.weight": torch.zeros(256, 59), "l1.bias": torch.zeros(256)},
        {"kind": "posestream scoring network", "format": 1, "skeleton": "coco_17", "state": {"l1.weight": [1, 2]}},
        {"kind": "posestream scoring network", "format": 1, "skeleton": "coco_17", "state": {}},
        {"kind": "posestream scoring network", "format": 1, "skeleton": "dog_20", "state": {}},
        {"epoch": 3},
        [1, 2],
    ],
)
def test_other_files_are_refused_by_name(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(WeightsError, match=r"other\.pth") as error:
        load_scorer(tmp_path / "other.pth", COCO_17)
    assert isinstance(error.value, UserError)


def test_missing_and_damaged_files_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"none\.pt"):
        load_scorer(tmp_path / "none.pt", COCO_17)
    (tmp_path / "damaged.pt").write_bytes(b"no archive")
    with pytest.raises(WeightsError, match=r"damaged\.pt"):
        load_scorer(tmp_path / "damaged.pt", COCO_17)


def test_targets_are_the_best_oks_and_exactly_one_is_dropped() -> None:
    targets, keep = score_targets(torch.tensor([[0.2, 0.7], [1.0, 0.3], [0.0, 0.0]], dtype=torch.float64))
    torch.testing.assert_close(targets, torch.tensor([0.7, 1.0, 0.0]))
    assert keep.tolist() == [True, False, True]


def test_poses_where_nobody_is_annotated_teach_nothing() -> None:
    targets, keep = score_targets(torch.zeros(3, 0).numpy())
    assert targets.shape == (3,)
    assert keep.tolist() == [False] * 3
    assert score_targets(torch.zeros(0, 2))[0].shape == (0,)


def _samples(count: int) -> tuple[Tensor, Tensor]:
    features = torch.randn(count, 6, generator=torch.Generator().manual_seed(1))
    return features, torch.sigmoid(features[:, 0] - features[:, 1].abs())


def test_training_learns() -> None:
    features, targets = _samples(3000)
    net, losses = train_score_net(features[:2000], targets[:2000], epochs=40, batch=200)
    assert len(losses) == 40
    assert losses[-1] < 0.05 * losses[0]
    with torch.no_grad():
        error = (net(features[2000:]) - targets[2000:]).square().mean()
    assert error < 0.1 * targets.var()
    assert not net.training


def test_training_is_a_function_of_its_arguments() -> None:
    samples = _samples(100)
    runs: list[tuple[ScoreNet, list[float]]] = []
    for seed in (0, 0, 1):
        torch.manual_seed(len(runs))  # the global state counts for nothing
        runs.append(train_score_net(*samples, epochs=2, batch=32, seed=seed))
    assert runs[0][1] == runs[1][1]
    for first, again in zip(runs[0][0].parameters(), runs[1][0].parameters(), strict=True):
        assert torch.equal(first, again)
    assert runs[2][1] != runs[0][1]


@pytest.mark.parametrize("count", [1, 5, 1025])
def test_any_number_of_samples_trains(count: int) -> None:
    _, losses = train_score_net(*_samples(count), epochs=2)
    assert all(loss >= 0 for loss in losses)


def test_nothing_to_learn_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="no pose to learn scoring from"):
        train_score_net(*_samples(0))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(value: float) -> None:
    features, targets = _samples(5)
    with pytest.raises(ValueError, match="finite"):
        train_score_net(features, targets * value)


def test_targets_must_be_one_a_pose() -> None:
    features, targets = _samples(5)
    with pytest.raises(ValueError, match=r"5 poses; got shape \(5, 1\)"):
        train_score_net(features, targets[:, None])

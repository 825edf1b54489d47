"""Scoring networks of skeletons that are not built in: the definition counts, not the name."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.score_net import PoseScorer, ScoreNet
from models.score_net_file import ScoreNetError, load_scorer, save_scorer
from pose.pose_features import NoSticksError, sticks_of
from pose.skeletons import COCO_17, Skeleton

OWN = replace(COCO_17, name="own_17")


def saved(skeleton: Skeleton, path: Path) -> Path:
    sticks = sticks_of(skeleton)
    save_scorer(PoseScorer(ScoreNet(sticks.num_features(17), 4), skeleton, sticks), path, "weights")
    return path


def test_a_scorer_is_of_one_definition(tmp_path: Path) -> None:
    path = saved(OWN, tmp_path / "own.pt")
    assert load_scorer(path, OWN).skeleton == OWN
    for other in (replace(OWN, limbs=OWN.limbs[::-1]), replace(OWN, oks_sigmas=(0.1,) * 17)):
        with pytest.raises(ScoreNetError, match="poses of another definition of 'own_17', not of 'own_17': train one"):
            load_scorer(path, other)
    with pytest.raises(ScoreNetError, match="poses of 'own_17', not of 'coco_17'"):
        load_scorer(path, COCO_17)
    with pytest.raises(ScoreNetError, match="poses of 'coco_17', not of 'own_17'"):
        load_scorer(saved(COCO_17, tmp_path / "coco.pt"), OWN)


def test_poses_without_limbs_cannot_be_measured() -> None:
    with pytest.raises(NoSticksError, match=r"poses of own_17 cannot .* has no limbs; set bottomup\.grouping\.scoring"):
        sticks_of(replace(OWN, limbs=()))

"""Scoring networks on disk: ours, which say what they score, and public ones, which are bare tensors."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.score_net import PoseScorer, ScoreNet
from models.weights_file import WeightsError, load_state, load_tensors
from pose.pose_features import Sticks, public_sticks_of, sticks_of
from pose.skeleton_file import skeleton_reference
from pose.skeletons import SKELETONS, Skeleton

_KIND = "posestream scoring network"
_FORMAT = 1
_HOW_TO_MEND = "train one with posestream, or use the public code's for coco_17 or crowdpose_14"


class ScoreNetError(WeightsError):
    """A file that holds no scoring network for these poses; the message names it and what it holds."""


def save_scorer(scorer: PoseScorer, path: Path, learnt_from: str) -> None:
    """Write a scorer with the sticks of `sticks_of`, whole or not at all.

    Args:
        learnt_from: a digest of the weights whose poses it learnt from.
    """
    if scorer.sticks != sticks_of(scorer.skeleton):
        raise ValueError(f"only scorers with posestream's sticks are saved; this one has {scorer.sticks}")
    state = {name: tensor.cpu() for name, tensor in scorer.net.state_dict().items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    content = {
        "kind": _KIND,
        "format": _FORMAT,
        "skeleton": skeleton_reference(scorer.skeleton),
        "learnt_from": learnt_from,
    }
    with part.open("wb") as file:
        torch.save(content | {"state": state}, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load_scorer(path: Path | str, skeleton: Skeleton, learnt_from: str | None = None) -> PoseScorer:
    """The scorer in our file or in a public one, on the CPU, in evaluation mode.

    Args:
        learnt_from: a digest of the only weights whose poses it may have learnt from; default any.
    Raises:
        ScoreNetError: the file is ours, but of another format, for another skeleton or of other weights; or its tensors
            do not fit.
        WeightsError: it cannot be read, or holds anything but tensors (see `models.weights_file`).
    """
    path = Path(path)
    content = load_tensors(path)
    if learnt_from is not None and content.get("learnt_from") != learnt_from:
        raise ScoreNetError(
            f"{path} learnt from the poses of other weights than those beside it: train it anew with `posestream "
            f"score-net`, or insist with bottomup.grouping.score_net={path}"
        )
    if content.get("kind") == _KIND:
        return _scorer(_own_state(content, skeleton, path), skeleton, sticks_of(skeleton), path)
    state = load_state(path)
    try:
        sticks = public_sticks_of(skeleton)
    except ValueError as error:
        raise ScoreNetError(f"{path} is no scoring network of posestream, and {error}: {_HOW_TO_MEND}") from error
    return _scorer(state, skeleton, sticks, path)


def _own_state(content: Mapping[str, Any], skeleton: Skeleton, path: Path) -> dict[str, Tensor]:
    if content.get("format") != _FORMAT:
        raise ScoreNetError(f"{path} has format {content.get('format')!r}; this version reads {_FORMAT}: train it anew")
    reference, state = content.get("skeleton"), content.get("state")
    if reference != skeleton_reference(skeleton):
        raise ScoreNetError(
            f"{path} scores poses of {_described(reference, skeleton)}, not of {skeleton.name!r}: train one for "
            f"{skeleton.name}"
        )
    if not isinstance(state, dict) or not all(isinstance(tensor, Tensor) for tensor in state.values()):
        raise ScoreNetError(f"{path} holds no tensors under 'state': it is damaged, train it anew")
    return state


def _described(reference: Any, skeleton: Skeleton) -> str:
    name = reference.get("name") if isinstance(reference, dict) else reference
    if name == skeleton.name:
        return f"another definition of {name!r}"
    return f"{name!r}" + ("" if isinstance(reference, dict) or name in SKELETONS else ", which is unknown")


def _scorer(state: Mapping[str, Tensor], skeleton: Skeleton, sticks: Sticks, path: Path) -> PoseScorer:
    features = sticks.num_features(skeleton.num_keypoints)
    first = state.get("l1.weight")
    hidden = len(first) if first is not None and first.ndim == 2 and len(first) else 1
    net = ScoreNet(features, hidden)
    expected = {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in state.items()}
    if found != expected:
        listed = ", ".join(f"{name} {shape}" for name, shape in list(found.items())[:10])
        raise ScoreNetError(
            f"{path} holds no scoring network for {skeleton.name}, whose poses have {features} features. Expected "
            f"{', '.join(f'{name} {shape}' for name, shape in expected.items())}; found {listed or 'nothing'}: "
            f"{_HOW_TO_MEND}"
        )
    net.load_state_dict(state)
    return PoseScorer(net.eval(), skeleton, sticks)

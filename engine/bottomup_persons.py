"""Maps of a whole picture → the persons in it, by centres (specs 3.5) or by tags (Newell et al., NeurIPS 2017)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from engine.bottomup_config import GroupingConfig, PictureConfig
from engine.bottomup_maps import PictureMaps
from engine.config import ConfigError
from models import OutputMap
from pose.absorption import absorb, absorbed_alone, without_absorption
from pose.candidates import find_candidates
from pose.crop import Floats, transform_points
from pose.gaussian_refinement import refine
from pose.heatmaps import Encoding
from pose.pose_cues import PoseCues, cues_from_annotations, find_cues
from pose.pose_nms import suppress_duplicates
from pose.scored_poses import ScoredPoses
from pose.tag_decoding import decode_tags
from pose.tag_grouping import TagGrouping


@dataclass(frozen=True)
class FoundPersons:
    """N persons of a picture: keypoints (N, K, 2), keypoint_scores (N, K), and scores (N,) that follow from them."""

    keypoints: Floats
    keypoint_scores: Floats
    scores: Floats

    def moved(self, matrix: Floats) -> "FoundPersons":
        """The same with all points through a map (2, 3)."""
        return replace(self, keypoints=_transformed(matrix, self.keypoints))


def annotated_poses(keypoints: Floats, image_to_input: Floats) -> PoseCues:
    """Annotated persons (M, K, 3), image px and visibility, as cues in input px."""
    points = torch.from_numpy(_transformed(image_to_input, keypoints[:, :, :2]))
    return cues_from_annotations(points, torch.from_numpy(keypoints[:, :, 2]))


def require_groupable(outputs: Sequence[OutputMap], test: PictureConfig, config: GroupingConfig) -> None:
    """Raise ConfigError unless a network with these outputs can be asked for persons in this way."""
    kinds = {output.kind for output in outputs}
    if kinds >= {"center", "offsets"}:
        if not test.to_input:
            raise ConfigError(
                "bottomup.test.to_input=false: distances are in px of the input, so maps must have its size"
            )
    elif "tags" not in kinds:
        raise ConfigError("model: bottom-up recipes need a network with tags, or with centres and offsets")
    elif config.quality != "final":
        raise ConfigError(
            f"bottomup.grouping.quality={config.quality}: networks with tags only have final poses, they regress none"
        )


def find_persons(
    maps: PictureMaps, config: GroupingConfig, encoding: Encoding, annotated: PoseCues | None
) -> FoundPersons:
    """Persons in px of the scale-1 input; the network is one that `require_groupable` accepts.

    Args:
        encoding: how the network's heatmaps are drawn. annotated: for the quality of "heatmaps", who is there.
    """
    return _by_centers(maps, config, annotated) if maps.poses else _by_tags(maps, config, encoding)


def _by_centers(maps: PictureMaps, config: GroupingConfig, annotated: PoseCues | None) -> FoundPersons:
    candidates = find_candidates(maps.heatmaps[None], config.max_persons, config.pool, config.threshold)
    if config.quality == "heatmaps" and annotated is not None:
        cues = PoseCues(*(values.to(maps.heatmaps) for values in (annotated.keypoints, annotated.center_scores)))
        poses = absorbed_alone(cues, candidates, config.absorb_px)
    else:
        found = find_cues(maps.poses, config.max_persons, config.center_threshold)
        cues = suppress_duplicates(found, most_persons=config.max_persons)
        if config.quality == "regression":
            return _counted(without_absorption(cues, maps.heatmaps))
        poses = absorb(cues, maps.heatmaps, candidates, config.absorb_px)
    return _counted(refine(poses, maps.heatmaps) if config.gaussian_refinement else poses)


def _by_tags(maps: PictureMaps, config: GroupingConfig, encoding: Encoding) -> FoundPersons:
    assert maps.tags is not None
    settings = TagGrouping(
        max_persons=config.max_persons,
        pool=config.pool,
        detection_threshold=config.threshold,
        tag_threshold=config.tag_threshold,
        distance=config.tag_distance,
        stop_when_full=config.stop_when_full,
        refine=config.refine,
        adjust=config.adjust,
        # Targets that are drawn around a keypoint rounded down lie half a px before it on average.
        shift=0.5 if encoding == "truncated" else 0.0,
    )
    (persons,) = decode_tags(maps.heatmaps[None], maps.tags[None], settings)
    keypoints = _centred_where_missing(persons.positions, persons.scores) * maps.input_px
    return FoundPersons(*(values.astype(np.float64) for values in (keypoints, persons.scores, persons.person_scores)))


def _counted(poses: ScoredPoses) -> FoundPersons:
    return FoundPersons(*(_numbers(values) for values in (poses.keypoints, poses.keypoint_scores, poses.scores)))


def _centred_where_missing(positions: NDArray[np.float32], scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Positions (P, K, 2) with those that score nothing at the mean of the person's others, as the public code has them
    evaluated."""
    found = (scores > 0)[..., None]
    mean = (positions * found).sum(axis=1, keepdims=True) / np.maximum(found.sum(axis=1, keepdims=True), 1)
    return np.where(found, positions, mean)


def _numbers(values: torch.Tensor) -> Floats:
    return values.cpu().numpy().astype(np.float64)


def _transformed(matrix: Floats, points: NDArray[np.floating]) -> Floats:
    """Points (N, K, 2) through one map (2, 3)."""
    return transform_points(np.broadcast_to(matrix, (len(points), 2, 3)), points.astype(np.float64))

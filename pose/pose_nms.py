"""Several cues of one person → one (specs 3.5)."""

import numpy as np
from torch import Tensor

from pose.pose_cues import PoseCues


def suppress_duplicates(
    cues: PoseCues, distance: float = 10.0, alike_above: int = 10, most_persons: int = 30
) -> PoseCues:
    """Cues without duplicates, the `most_persons` best if there are more, then in descending order.

    Two poses are duplicates if more than `alike_above` keypoints (of however many) are closer than `distance`, input
    px. The outcome is the public code's, on which published numbers rest, and depends on the order: of each pose's
    neighbours the best stays, all others go; a pose whose best neighbour is already gone goes too.
    """
    kept = _kept(_alike(cues.keypoints, distance, alike_above), cues.center_scores)
    keypoints, scores = cues.keypoints[kept], cues.center_scores[kept]
    if len(kept) > most_persons:
        scores, best = scores.topk(most_persons)
        keypoints = keypoints[best]
    return PoseCues(keypoints, scores)


def _alike(keypoints: Tensor, distance: float, alike_above: int) -> Tensor:
    """(N, N) bool; every pose is alike to itself, also where a skeleton has few keypoints."""
    near = (keypoints[:, None] - keypoints).square().sum(-1).sqrt() < distance
    return (near.sum(2) > alike_above).fill_diagonal_(True)


def _kept(alike: Tensor, scores: Tensor) -> list[int]:
    """Rows that stay, in the order in which the public code finds them. At most 30 a scale: a plain loop is fine."""
    rows, values = alike.cpu().numpy(), scores.cpu().numpy()
    kept, gone = [], np.zeros(len(rows), bool)
    for index, row in enumerate(rows):
        if gone[index]:
            continue
        neighbours = np.flatnonzero(row)
        best = int(neighbours[values[neighbours].argmax()])
        if not gone[best]:
            kept.append(best)
            gone[neighbours] = True
    return kept

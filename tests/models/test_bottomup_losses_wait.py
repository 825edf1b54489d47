"""Targets and losses of bottom-up networks never wait for what a device computes."""

import pytest
import torch

from models.offset_loss import offset_loss
from models.tag_loss import tag_loss
from models.tradeoff_loss import common_region, tradeoff_mse
from pose.center_offsets import Overlap, encode_centers, encode_offsets, person_centers
from pose.person_heatmaps import encode_persons

B, K, SIZE = 2, 3, (8, 9)


@pytest.mark.parametrize("persons", [0, 5])
@pytest.mark.parametrize("overlap", ["nearest", "smaller"])
def test_no_value_is_looked_at(persons: int, overlap: Overlap) -> None:
    """Tensors on the meta device have none: shapes that depend on values, and numbers read from them, raise there."""
    with torch.device("meta"):
        keypoints, corners = torch.zeros(persons, K, 2), torch.zeros(persons, 4, 2)
        shown, everybody = torch.ones(persons, K, dtype=torch.bool), torch.ones(persons, dtype=torch.bool)
        image, valid = torch.zeros(persons, dtype=torch.long), torch.ones(B, dtype=torch.bool)
        predicted, regressed = torch.zeros(B, K, *SIZE), torch.zeros(B, 2 * K, *SIZE, requires_grad=True)
        centers = person_centers(keypoints, shown, corners)
        heatmaps = encode_persons(keypoints, shown, image, B, SIZE, 2.0)
        region = common_region(heatmaps, encode_centers(centers, everybody, image, B, SIZE))
        targets = encode_offsets(
            keypoints, shown, centers, everybody, corners, image, B, SIZE, radius=2, overlap=overlap
        )
        losses = (
            tradeoff_mse(predicted, heatmaps, 0.1, valid, predicted[:, 0] > 0, valid[:, None].expand(B, K), region),
            offset_loss(regressed, targets, valid),
            *tag_loss(predicted, keypoints, shown, image, valid),
        )
        total = torch.stack(losses).sum()
        assert total.shape == ()
        assert torch.autograd.grad(total, regressed)[0].shape == regressed.shape

"""The loss of bottom-up networks is what a plain reading of the papers gives, and its gradient follows it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_bottomup_loss import plain_loss
from torch import Tensor

from engine.bottomup_config import TargetConfig
from engine.bottomup_loss import bottomup_loss
from engine.config import HeatmapConfig
from models import OutputMap
from pipelines.bottomup import BottomUpBatch

K, SIDE = 3, 48
CENTER, OFFSETS = OutputMap("center", 4, kind="center"), OutputMap("offsets", 4, kind="offsets")
NETWORKS = {
    "guided": (CENTER, OFFSETS, OutputMap("heatmaps", 4)),
    "guided, two strides": (
        CENTER,
        OFFSETS,
        *(OutputMap(f"dilation_{d}", 4, loss_weight=1 / 3) for d in (1, 2, 3)),
        OutputMap("heatmaps", 2, background_scale=0.25),
    ),
    "tags": (OutputMap("coarse", 4), OutputMap("tags", 4, kind="tags"), OutputMap("heatmaps", 2)),
    "tags of two stacks": tuple(
        OutputMap(kind, 4, kind=kind, loss_weight=0.5)  # type: ignore[arg-type]
        for kind in ("tags", "heatmaps", "tags", "heatmaps")
    ),
}
CHANNELS = {"center": 1, "offsets": 2 * K, "heatmaps": K, "tags": K}


def corners(x: float, y: float, width: float, height: float) -> list[list[float]]:
    return [[float(x), y], [x + width, y], [x + width, y + height], [x, y + height]]


def batch_of_persons() -> BottomUpBatch:
    """Three pictures: three persons, two of whose centres fall in one map pixel; one who is larger than the crop, and
    one without labels; and a row that only fills up, with somebody who must not count."""
    keypoints = torch.tensor(
        [
            [[10.0, 9.0], [20.3, 17.1], [17.7, 30.9]],
            [[11.2, 22.0], [21.6, 14.5], [16.0, 22.0]],
            [[30.0, 30.0], [47.9, 0.0], [26.0, 41.0]],
            [[-40.0, -30.0], [90.0, 95.0], [24.0, 10.5]],
            [[torch.nan, torch.nan]] * 3,
            [[12.0, 12.0], [20.0, 20.0], [30.0, 25.0]],
        ]
    )
    visibility = torch.tensor([[2, 1, 2], [2, 2, 2], [1, 2, 0], [2, 2, 1], [0, 0, 0], [2, 2, 2]], dtype=torch.uint8)
    keypoints[2, 2] = torch.nan
    boxes = [(8, 7, 15, 26), (9, 12, 14, 12), (24, 0, 24, 40), (-50, -40, 150, 150), (30, 28, 10, 8), (10, 10, 22, 18)]
    rng = np.random.default_rng(5)
    ignore = torch.zeros(3, SIDE, SIDE, dtype=torch.uint8)
    ignore[0, 30:44, 4:21] = 1
    ignore[1] = torch.from_numpy((rng.random((SIDE, SIDE)) < 0.2).astype(np.uint8))
    turned = [[0.0, -0.5, 3.0], [0.5, 0.0, 1.0]]
    return BottomUpBatch(
        crops=torch.zeros(3, 3, SIDE, SIDE, dtype=torch.uint8),
        ignore=ignore,
        image_to_crop=torch.tensor([[[2.0, 0, 1], [0, 2, 3]], turned, turned], dtype=torch.float64),
        image_ids=torch.arange(3),
        picture_sizes=torch.tensor([[SIDE, SIDE], [70, 81], [50, 50]]),
        valid=torch.tensor([True, True, False]),
        annotated=torch.tensor([[True, True, False], [True, True, True], [True, True, True]]),
        person_image=torch.tensor([0, 0, 0, 1, 1, 2]),
        instance_ids=torch.arange(6),
        keypoints=keypoints,
        visibility=visibility,
        box_corners=torch.tensor([corners(*box) for box in boxes]),
        areas=torch.tensor([390.0, 168, 500, 9000, 80, 300], dtype=torch.float64),
    )


def persons_only(batch: BottomUpBatch, rows: list[int]) -> BottomUpBatch:
    names = ("person_image", "instance_ids", "keypoints", "visibility", "box_corners", "areas")
    return replace(batch, **{name: getattr(batch, name)[rows] for name in names})


def random_maps(outputs: tuple[OutputMap, ...], seed: int = 0) -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    sides = [round(SIDE / output.stride) for output in outputs]
    return tuple(
        torch.randn(3, CHANNELS[output.kind], side, side, generator=generator).requires_grad_()
        for output, side in zip(outputs, sides, strict=True)
    )


def in_numpy(maps: tuple[Tensor, ...]) -> list[np.ndarray]:
    return [one.detach().double().numpy() for one in maps]


# Areas are 390, 168 and 500 crop px² at 4 crop px² per image px², 9000 and 80 at 0.25.
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"background": 1.0},
        {"background": 0.0},
        {"ignore_outside": True},
        {"ignore_outside": True, "background": 1.0, "common_mask": True},
        {"common_mask": True},
        {"common_mask": True, "background": 1.0},
        {"center_min_area": 60.0},
        {"overlap": "smaller"},
        {"offset_scale": "area", "offset_weight": 2.0},
        {"overlap": "smaller", "offset_scale": "area", "common_mask": True, "center_radius": 2, "center_sigma": 1.5},
        {"pull_weight": 0.7, "push_weight": 0.0},
        {"pull_weight": 0.0, "push_weight": 0.9},
    ],
    ids=str,
)
@pytest.mark.parametrize("network", NETWORKS)
def test_it_is_the_papers_loss_and_the_gradient_is_its_own(network: str, settings: dict[str, object]) -> None:
    weights = dict.fromkeys(("offset_weight", "pull_weight", "push_weight"), 1.0)  # each of them counts here
    given = weights | {"center_sigma": 1.0} | settings
    outputs, batch, config = NETWORKS[network], batch_of_persons(), TargetConfig.model_validate(given)
    heatmap = HeatmapConfig(sigma=1.3, encoding="truncated" if "tags" in network else "exact")
    maps = random_maps(outputs)
    loss = bottomup_loss(maps, outputs, batch, config, heatmap)
    expected = plain_loss(in_numpy(maps), outputs, batch, config, heatmap)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)
    loss.backward()
    plain, moves = in_numpy(maps), in_numpy(random_maps(outputs, seed=1))
    ends = []
    for step in (1e-5, -1e-5):
        moved = [one + step * move for one, move in zip(plain, moves, strict=True)]
        ends.append(plain_loss(moved, outputs, batch, config, heatmap))
    slopes = [(one.grad.double().numpy() * move).sum() for one, move in zip(maps, moves, strict=True)]
    assert sum(slopes) == pytest.approx((ends[0] - ends[1]) / 2e-5, rel=1e-4)


def test_every_part_of_the_network_counts() -> None:
    """The comparison above would not see a map that both leave out."""
    for outputs in NETWORKS.values():
        maps = random_maps(outputs)
        bottomup_loss(maps, outputs, batch_of_persons(), TargetConfig(), HeatmapConfig()).backward()
        for one, output in zip(maps, outputs, strict=True):
            assert one.grad is not None
            assert (one.grad[:2].abs() > 0).any(), output
            assert (one.grad[2] == 0).all(), output
            assert output.kind != "heatmaps" or (one.grad[0, 2] == 0).all()  # a keypoint that nobody looked for


def test_centres_and_heatmaps_of_a_stride_are_one_mean() -> None:
    outputs, batch = NETWORKS["guided"], batch_of_persons()
    batch = replace(
        batch,
        ignore=torch.zeros_like(batch.ignore),
        annotated=torch.ones_like(batch.annotated),
        image_to_crop=torch.eye(2, 3, dtype=torch.float64).expand(3, 2, 3),
        picture_sizes=torch.full((3, 2), SIDE),
    )
    center, offsets, heatmaps = random_maps(outputs)
    config = TargetConfig(background=1.0, offset_weight=0.0)
    loss = bottomup_loss((center, offsets, heatmaps), outputs, batch, config, HeatmapConfig(encoding="exact"))
    center_target, heatmap_target = (_targets(output, batch, config).detach() for output in (outputs[0], outputs[2]))
    joined = torch.cat([heatmaps - heatmap_target, center - center_target], dim=1)[batch.valid]
    assert joined.shape[1] == K + 1
    torch.testing.assert_close(loss, joined.square().mean())


def _targets(output: OutputMap, batch: BottomUpBatch, config: TargetConfig) -> Tensor:
    """The maps at which the loss is 0, by its gradient: 2 (map − target) / number of the maps' pixels."""
    zero = torch.zeros(3, CHANNELS[output.kind], SIDE // 4, SIDE // 4, requires_grad=True)
    bottomup_loss((zero,), (output,), batch, config, HeatmapConfig(encoding="exact")).backward()
    assert zero.grad is not None
    share = zero.shape[1] if output.kind == "heatmaps" else K + 1
    return -zero.grad * int(batch.valid.sum()) * share * (SIDE // 4) ** 2 / 2


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(
    "rows",
    [[], [0], [0, 1], [3], [4], [5]],
    ids=["nobody", "one", "two in a pixel", "larger than the crop", "without labels", "filling"],
)
@pytest.mark.parametrize("valid", [True, False])
def test_gradients_are_numbers_whoever_is_there(network: str, rows: list[int], valid: bool) -> None:
    batch = persons_only(batch_of_persons(), rows)
    visibility = batch.visibility.clone()
    if rows == [0]:
        visibility[0, 1:] = 0  # a single keypoint
    batch = replace(batch, visibility=visibility, valid=batch.valid & valid)
    outputs = NETWORKS[network]
    for settings in ({}, {"common_mask": True, "overlap": "smaller", "offset_scale": "area"}):
        maps, config = random_maps(outputs), TargetConfig.model_validate(settings)
        loss = bottomup_loss(maps, outputs, batch, config, HeatmapConfig())
        expected = plain_loss(in_numpy(maps), outputs, batch, config, HeatmapConfig(encoding="exact"))
        loss.backward()
        assert all(one.grad is not None and one.grad.isfinite().all() for one in maps)
        assert (float(loss.detach()) == 0) == (expected == 0) == (not valid)


def test_an_output_without_weight_costs_nothing() -> None:
    """A network's base keeps its heatmaps where a plug-in takes their place."""
    outputs, batch = NETWORKS["guided"], batch_of_persons()
    maps = random_maps(outputs)
    broken = (*outputs[:2], replace(outputs[2], loss_weight=0.0))
    loss = bottomup_loss(
        (*maps[:2], torch.full_like(maps[2], torch.nan)), broken, batch, TargetConfig(), HeatmapConfig()
    )
    assert loss.isfinite()

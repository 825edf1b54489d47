"""Targets, losses and decoding follow from what outputs say of themselves."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from engine.config import ConfigError, override, parse_recipe
from engine.heatmap_targets import HeatmapTargets
from engine.topdown import TopDownTask
from models import OutputMap
from pipelines.topdown import TopDownBatch
from pose.heatmaps import HeatmapCodec, SeparableMaps
from pose.skeletons import COCO_17

ROWS, K, CROP = 6, 17, (64, 48)
SIZE = (16, 12)
BONES = (((5, 7),), ((7, 9), (8, 10)), ((0, 0),))


def make_task(*settings: str) -> TopDownTask:
    recipe = parse_recipe({"name": "x", "run_dir": "x", "data": {"crop_size": CROP}, "model": {"name": "x"}})
    return TopDownTask(override(recipe, settings), COCO_17)


def make_batch(seed: int = 0) -> TopDownBatch:
    """Keypoints in and around the crops, all three visibilities; what is not labelled lies nowhere."""
    rng = np.random.default_rng(seed)
    keypoints = rng.uniform([-6, -6], [CROP[1] + 6, CROP[0] + 6], (ROWS, K, 2)).astype(np.float32)
    visibility = rng.integers(0, 3, (ROWS, K))
    keypoints[visibility == 0] = np.nan
    return TopDownBatch(
        crops=torch.zeros(ROWS, 3, *CROP, dtype=torch.uint8),
        keypoints=torch.from_numpy(keypoints),
        visibility=torch.from_numpy(visibility.astype(np.uint8)),
        image_to_crop=torch.tensor([[1.0, 0, 0], [0, 1, 0]], dtype=torch.float64).expand(ROWS, 2, 3),
        instance_ids=torch.arange(ROWS),
        image_ids=torch.arange(ROWS),
        box_scores=torch.ones(ROWS, dtype=torch.float64),
        box_areas=torch.ones(ROWS, dtype=torch.float64),
        valid=torch.ones(ROWS, dtype=torch.bool),
    )


def answers(*outputs: OutputMap, seed: int = 0) -> tuple[Tensor, ...]:
    """What a network might say, (B, C, h, w) for each of the outputs."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [(round(CROP[0] / output.stride), round(CROP[1] / output.stride)) for output in outputs]
    channels = [K if output.parts is None else len(output.parts) for output in outputs]
    return tuple(
        output.peak * torch.randn(ROWS, count, *size, generator=generator)
        for output, size, count in zip(outputs, sizes, channels, strict=True)
    )


def one_by_one(task: TopDownTask, predicted: Tensor, output: OutputMap, batch: TopDownBatch) -> float:
    """The loss of one output of keypoints, one keypoint at a time."""
    codec = replace(task.codec(output), peak=1.0)
    rows = []
    for row in torch.nonzero(batch.valid).flatten():
        losses = []
        for k in range(K):
            seen = batch.visibility[row, k] > (1 if output.empty_unless_visible else 0)
            maps, weight = codec.encode(batch.keypoints[row, k].view(1, 1, 2), seen.view(1, 1).float())
            counts = 1.0 if output.empty_unless_visible else float(weight)
            error = predicted[row, k].double() - output.peak * maps[0, 0]
            losses.append(counts * 0.5 * float((error**2).mean()))
        rows.append(np.mean(sorted(losses)[-(output.hardest or K) :]))
    return output.loss_weight * float(np.mean(rows))


OUTPUTS = {
    "plain": OutputMap("maps", 4),
    "weight": OutputMap("maps", 4, loss_weight=0.3),
    "fine and wide": OutputMap("maps", 1, sigma_scale=4),
    "hardest 8": OutputMap("maps", 4, hardest=8),
    "hardest of many": OutputMap("maps", 4, hardest=99),
    "visible only": OutputMap("maps", 4, empty_unless_visible=True),
    "peak": OutputMap("maps", 4, peak=255.0),
    "all of it": OutputMap("maps", 2, 1.5, 2.0, hardest=5, empty_unless_visible=True, peak=255.0),
}


@pytest.mark.parametrize("encoding", ["rounded", "exact"])
@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
def test_the_loss_of_an_output_is_what_it_says_of_itself(output: OutputMap, encoding: str) -> None:
    task, batch = make_task(f"heatmap.encoding={encoding}"), make_batch()
    (predicted,) = answers(output)
    predicted.requires_grad_()
    loss = task.loss((predicted,), (output,), batch)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(one_by_one(task, predicted.detach(), output, batch), rel=1e-5)
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=OUTPUTS)
def test_rows_that_fill_up_a_batch_never_count(output: OutputMap) -> None:
    task, batch = make_task(), make_batch()
    valid = torch.tensor([True, False, True, True, False, True])
    (predicted,) = answers(output)
    filled = replace(batch, valid=valid, keypoints=torch.where(valid[:, None, None], batch.keypoints, 20.0))
    loss = task.loss((predicted * (1 + 1e3 * ~valid)[:, None, None, None],), (output,), filled)
    assert float(loss) == pytest.approx(one_by_one(task, predicted, output, filled), rel=1e-5)


def test_the_total_is_the_sum_over_all_outputs() -> None:
    task, batch, outputs = make_task(), make_batch(), tuple(OUTPUTS.values())
    maps = answers(*outputs)
    apart = [one_by_one(task, *one, batch) for one in zip(maps, outputs, strict=True)]
    assert float(task.loss(maps, outputs, batch)) == pytest.approx(sum(apart), rel=1e-5)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[OutputMap]:
    """For which outputs targets were made."""
    calls: list[OutputMap] = []
    make = HeatmapTargets._make

    def counted(targets: HeatmapTargets, output: OutputMap, codec: HeatmapCodec) -> Any:
        calls.append(output)
        return make(targets, output, codec)

    monkeypatch.setattr(HeatmapTargets, "_make", counted)
    return calls


def test_an_output_of_weight_zero_gets_no_target(made: list[OutputMap]) -> None:
    task, batch = make_task(), make_batch()
    outputs = (OutputMap("unused", 4, loss_weight=0), OutputMap("heatmaps", 4))
    low, high = answers(*outputs)
    low.requires_grad_()
    alone = task.loss((high,), outputs[1:], batch)
    assert task.loss((low, high), outputs, batch) == alone
    assert made == [outputs[1]] * 2


def test_outputs_that_share_a_target_share_it(made: list[OutputMap]) -> None:
    stacks = tuple(OutputMap(f"heatmaps_{n}", 4, loss_weight=1 + n, hardest=n or None) for n in range(8))
    make_task().loss(answers(*stacks), stacks, make_batch())
    assert made == [stacks[0]]


@pytest.mark.parametrize(
    "change",
    [{"stride": 2}, {"sigma_scale": 2.0}, {"empty_unless_visible": True}, {"peak": 255.0}, {"parts": BONES}],
    ids=str,
)
def test_outputs_of_different_targets_do_not_share_them(made: list[OutputMap], change: dict[str, Any]) -> None:
    outputs = (OutputMap("one", 4), replace(OutputMap("one", 4), **change))
    make_task().loss(answers(*outputs), outputs, make_batch())
    assert made == list(outputs)


def targets_of(output: OutputMap, batch: TopDownBatch) -> tuple[Tensor, Tensor]:
    made, weights = HeatmapTargets(batch.keypoints, batch.visibility).of(output, make_task().codec(output))
    return made.dense() if isinstance(made, SeparableMaps) else made, weights


def test_a_global_target_is_empty_unless_the_keypoint_is_visible_and_counts_always() -> None:
    batch = make_batch()
    maps, weights = targets_of(OutputMap("global", 4, empty_unless_visible=True), batch)
    plain, _ = targets_of(OutputMap("plain", 4), batch)
    assert (weights == 1).all()
    visible = (batch.visibility == 2)[..., None, None]
    assert torch.equal(maps, plain * visible)
    assert (plain * ~visible).any()


def test_peaks_of_targets() -> None:
    batch = make_batch()
    one, _ = targets_of(OutputMap("maps", 4), batch)
    maps, _ = targets_of(OutputMap("maps", 4, peak=255.0), batch)
    torch.testing.assert_close(maps, 255 * one)


def test_parts_are_drawn_between_keypoints_in_heatmap_px() -> None:
    """A bone along a row of heatmap px, a pair of bones of which one is not labelled, and a keypoint."""
    batch = make_batch()
    batch.visibility[:] = 2
    batch.visibility[:, 10] = 0
    batch.keypoints[:] = 20.0
    batch.keypoints[:, 10] = float("nan")
    batch.keypoints[:, 5], batch.keypoints[:, 7] = torch.tensor([8.4, 23.9]), torch.tensor([32.4, 23.9])
    maps, weights = targets_of(OutputMap("parts", 4, sigma_scale=0.5, parts=BONES, peak=10.0), batch)
    assert maps.shape == (ROWS, 3, *SIZE)
    assert (weights == 1).all()
    assert (maps[0, 0, 6, 2:9] == 10).all()
    assert maps[0, 0].max() == 10
    assert (maps[0, 0, 6, [0, 10]] < 2).all()
    keypoint, _ = targets_of(OutputMap("maps", 4, sigma_scale=0.5, peak=10.0), batch)
    torch.testing.assert_close(maps[:, 2], keypoint[:, 0])


def test_the_loss_of_parts_leaves_out_what_is_not_labelled() -> None:
    batch, output = make_batch(), OutputMap("parts", 4, parts=BONES)
    (predicted,) = answers(output)
    maps, weights = targets_of(output, batch)
    assert 0 < weights.sum() < weights.numel()
    expected = (0.5 * (weights[..., None, None] * (predicted - maps)) ** 2).mean()
    torch.testing.assert_close(make_task().loss((predicted,), (output,), batch), expected)


class Waits(TorchDispatchMode):
    """Fails where a GPU's host would wait: at a copy to it that blocks, or at reading a value from it."""

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        to_device = func is torch.ops.aten._to_copy.default and torch.device(kwargs.get("device") or "cpu").type
        assert to_device != "meta" or kwargs.get("non_blocking"), "a blocking copy"
        return func(*args, **kwargs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_loss_never_waits_for_its_device(dtype: torch.dtype) -> None:
    """A tensor without values stands for one whose values are still being computed: it has none to wait for."""
    outputs = (*OUTPUTS.values(), OutputMap("parts", 4, parts=BONES))
    maps = tuple(torch.empty_like(m, device="meta", dtype=dtype, requires_grad=True) for m in answers(*outputs))
    with Waits():
        loss = make_task("heatmap.encoding=exact").loss(maps, outputs, make_batch())
        loss.backward()
    assert loss.dtype == torch.float32
    assert all(m.grad is not None and m.grad.dtype == dtype for m in maps)


class Seer(torch.nn.Module):
    """Knows where the keypoints are in a crop and, where it shows white on the left, in its mirror image."""

    def __init__(self, codec: HeatmapCodec, keypoints: Tensor) -> None:
        super().__init__()
        self.codec, self.keypoints = codec, keypoints

    def forward(self, crops: Tensor) -> tuple[Tensor, ...]:
        keypoints = self.keypoints
        if crops[0, 0, 0, 0] > crops[0, 0, 0, -1]:
            keypoints = keypoints[:, list(COCO_17.flip_indices)].clone()
            keypoints[..., 0] = CROP[1] - 1 - keypoints[..., 0]
        maps, _ = self.codec.encode(keypoints, torch.ones(keypoints.shape[:2]))
        return torch.full((ROWS, K, *SIZE), -1.0), maps


@pytest.mark.parametrize("peak", [1.0, 255.0])
@pytest.mark.parametrize(("stride", "sigma_scale"), [(4, 1.0), (2, 2.0), (1, 4.0), (4 / 3, 3.0)])
def test_the_last_output_is_decoded_at_its_own_stride_with_its_own_flip_shift(
    stride: float, sigma_scale: float, peak: float
) -> None:
    task = make_task("heatmap.encoding=exact", "heatmap.decoding=dark", "heatmap.sigma=1", "evaluate.flip_shift=exact")
    outputs = (OutputMap("low", 4), OutputMap("high", stride, sigma_scale, peak=peak))
    crops = torch.zeros(ROWS, 3, *CROP, dtype=torch.uint8)
    crops[..., -1] = 255
    inner = torch.rand(ROWS, K, 2, generator=torch.Generator().manual_seed(3)) * torch.tensor([12.0, 28.0]) + 18
    batch = replace(make_batch(), crops=crops)
    found = task.predict(Seer(task.codec(outputs[1]), inner), outputs, batch)
    np.testing.assert_allclose(found.keypoints, inner, atol=0.2)
    assert found.keypoint_scores.min() > 0.7
    assert found.keypoint_scores.max() < 1.01


def test_maps_of_another_size_than_the_stride_says_are_refused() -> None:
    outputs = (OutputMap("heatmaps", 4),)
    with pytest.raises(ConfigError, match=r"heatmaps have \(8, 6\) px instead of \(16, 12\) at stride 4"):
        make_task().loss((torch.zeros(ROWS, K, 8, 6),), outputs, make_batch())

"""Training on mini shards: it learns, counts, accumulates, logs, and refuses what cannot work."""

import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

import engine.learner as learner
from engine.checkpoint import load_checkpoint
from engine.config import ConfigError, Recipe, parse_recipe
from engine.network_input import network_input
from engine.topdown import TopDownTask
from engine.train import train
from models import HeatmapNetwork, OutputMap
from models.crop_size import CropSizeError
from models.weights_file import WeightsError
from pipelines.samples import annotated_samples
from sharding.dataset import ShardedDataset
from sharding.manifest import NotADatasetError

MakeRecipe = Callable[..., Recipe]


def scalars(run: Path) -> dict[str, dict[int, float]]:
    """TensorBoard's view of a run: tag → step → value."""
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def steps_per_epoch(dataset: ShardedDataset, batch: int) -> int:
    return -(-int(dataset.trainable.sum()) // batch)


def test_the_loss_falls_and_the_log_says_so(
    tiny: MakeRecipe, mini_coco: ShardedDataset, console: Console, tmp_path: Path
) -> None:
    recipe = tiny("train.epochs=4", "optim.lr=1e-2", "optim.milestones=[3]", "augmentation.flip_probability=0")
    result = train(recipe, console)
    steps = steps_per_epoch(mini_coco, 8)
    assert result.steps == 4 * steps
    assert result.score is None
    logged = scalars(tmp_path / "run")
    losses = [logged["train/loss"][steps * epoch] for epoch in range(1, 5)]  # each epoch's mean
    assert losses[-1] < 0.85 * losses[0]
    assert list(logged["train/instances_per_s"]) == [steps * epoch for epoch in range(1, 5)]
    assert all(0 <= share <= 1 for share in logged["train/waiting_for_data"].values())
    assert parse_recipe((tmp_path / "run" / "recipe.json").read_text()) == recipe


def test_every_instance_is_trained_on_once_per_epoch_in_another_order(
    tiny: MakeRecipe, mini_coco: ShardedDataset, console: Console, seen: Any
) -> None:
    train(tiny("data.shuffle=instance"), console)
    steps = steps_per_epoch(mini_coco, 8)
    epochs = [list(chain(*part)) for part in (seen.batches[:steps], seen.batches[steps:])]
    expected = sorted(mini_coco.instance_column("instance_id").all()[mini_coco.trainable].tolist())
    assert sorted(epochs[0]) == sorted(epochs[1]) == expected
    assert epochs[0] != epochs[1]


class Recorder(torch.optim.SGD):
    """Keeps the weights still and remembers every gradient and rate that it was asked to step with."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__(network.parameters(), lr=0.0)
        self.gradients: list[Tensor] = []
        self.rates: list[float] = []

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        params = [p for group in self.param_groups for p in group["params"]]
        self.gradients.append(torch.cat([p.grad.flatten().clone() for p in params]))
        self.rates.append(self.param_groups[0]["lr"])


class TwoConvolutions(nn.Module):
    """A base network without norms."""

    outputs = (OutputMap("heatmaps", 4),)
    feature_channels = 4
    published_names = ()
    backbone = None

    def __init__(self, num_keypoints: int) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 4, 7, stride=4, padding=3)
        self.final_layer = nn.Conv2d(4, num_keypoints, 1)

    def forward(self, crops: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        features = self.features(crops)
        return (self.final_layer(features),), features


def small_network_without_norms(task: TopDownTask, pretrained: bool = True) -> HeatmapNetwork:
    torch.manual_seed(0)
    return HeatmapNetwork(TwoConvolutions(task.skeleton.num_keypoints))


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch, console: Console) -> Callable[[Recipe], Recorder]:
    def run(recipe: Recipe) -> Recorder:
        made: list[Recorder] = []

        def build(config: object, network: nn.Module) -> Recorder:
            made.append(Recorder(network))
            return made[0]

        with monkeypatch.context() as patch:
            patch.setattr(TopDownTask, "build_model", small_network_without_norms)
            patch.setattr(learner, "build_optimizer", build)
            train(recipe, console)
        return made[0]

    return run


def test_accumulated_gradients_are_those_of_one_large_batch(
    tiny: MakeRecipe, mini_coco: ShardedDataset, record: Callable[[Recipe], Recorder], tmp_path: Path
) -> None:
    # An odd number of batches: the last step of the optimiser is left with a single one.
    batch = next(size for size in (4, 5, 6, 7) if steps_per_epoch(mini_coco, size) % 2)
    steps = steps_per_epoch(mini_coco, 2 * batch)
    small = record(tiny(f"train.batch_size={batch}", "train.accumulate=2", f"run_dir={tmp_path / 'small'}"))
    large = record(tiny(f"train.batch_size={2 * batch}", f"run_dir={tmp_path / 'large'}"))
    assert len(small.gradients) == len(large.gradients) == 2 * steps
    for one, other in zip(small.gradients, large.gradients, strict=True):
        assert one.norm() > 0
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


def test_the_optimiser_gets_the_schedules_rates(
    tiny: MakeRecipe, mini_coco: ShardedDataset, record: Callable[[Recipe], Recorder]
) -> None:
    steps = steps_per_epoch(mini_coco, 8)
    recorder = record(tiny("optim.lr=0.5", "optim.milestones=[1]", "optim.warmup_steps=2"))
    assert recorder.rates == pytest.approx([0.25] + [0.5] * (steps - 1) + [0.05] * steps)


def test_mixed_precision_computes_in_bfloat16_and_keeps_single_precision_weights(
    tiny: MakeRecipe, console: Console, monkeypatch: pytest.MonkeyPatch
) -> None:
    types: set[tuple[torch.dtype, torch.dtype]] = set()
    forward = HeatmapNetwork.forward

    def recorded(network: HeatmapNetwork, crops: Tensor) -> tuple[Tensor, ...]:
        maps = forward(network, crops)
        types.add((crops.dtype, maps[0].dtype))
        return maps

    monkeypatch.setattr(HeatmapNetwork, "forward", recorded)
    result = train(tiny("train.precision=bf16-mixed", "train.batch_size=64", "train.epochs=1"), console)
    assert types == {(torch.bfloat16, torch.bfloat16)}
    weights = load_checkpoint(result.last).model
    assert {t.dtype for t in weights.values()} == {torch.float32, torch.int64}
    assert all(t.isfinite().all() for t in weights.values())


@pytest.mark.parametrize("order", ["rgb", "bgr"])
@pytest.mark.parametrize("channels_last", [True, False])
def test_memory_format_follows_the_recipe_and_crops_are_channels_last(
    tiny: MakeRecipe, console: Console, monkeypatch: pytest.MonkeyPatch, channels_last: bool, order: str
) -> None:
    formats: list[bool] = []
    crops: list[bool] = []
    forward = nn.Conv2d.forward

    def recorded(conv: nn.Conv2d, x: Tensor) -> Tensor:
        formats.append(conv.weight.is_contiguous(memory_format=torch.channels_last) or conv.weight[0, 0].numel() == 1)
        if x.shape[1] == 3:
            crops.append(x.is_contiguous(memory_format=torch.channels_last))
        return forward(conv, x)

    monkeypatch.setattr(nn.Conv2d, "forward", recorded)
    settings = (f"train.channels_last={str(channels_last).lower()}", f"data.channel_order={order}")
    train(tiny(*settings, "train.batch_size=64", "train.epochs=1"), console)
    assert all(formats) == channels_last
    assert crops
    assert all(crops)


def test_step_checkpoints_are_kept_where_asked_for(
    tiny: MakeRecipe, mini_coco: ShardedDataset, console: Console, tmp_path: Path
) -> None:
    steps = 2 * steps_per_epoch(mini_coco, 8)
    train(tiny("train.checkpoint_every_steps=3", "train.keep_step_checkpoints=true"), console)
    kept = sorted(path.name for path in (tmp_path / "run").glob("step-*.ckpt"))
    assert kept == [f"step-{step:08d}.ckpt" for step in range(3, steps + 1, 3)]
    assert [load_checkpoint(tmp_path / "run" / name).step for name in kept] == list(range(3, steps + 1, 3))
    assert sorted(path.name for path in (tmp_path / "run").iterdir() if path.suffix != ".ckpt") == [
        "lock",
        "recipe.json",
        "tensorboard",
    ]


def test_checkpoints_wait_for_accumulated_gradients_to_be_used(
    tiny: MakeRecipe, mini_coco: ShardedDataset, console: Console, tmp_path: Path
) -> None:
    settings = ("train.checkpoint_every_steps=1", "train.keep_step_checkpoints=true", "train.accumulate=2")
    settings += ("train.batch_size=16",)
    train(tiny(*settings, "train.epochs=1"), console)
    kept = {int(path.stem[5:]) for path in (tmp_path / "run").glob("step-*.ckpt")}
    batches = steps_per_epoch(mini_coco, 16)
    assert kept == {step for step in range(1, batches + 1) if step % 2 == 0 or step == batches}


@pytest.mark.parametrize("layout", ["coco", "mpii", "crowdpose"])
def test_each_benchmark_is_trained_scored_and_logged(
    tiny: MakeRecipe, mini_shards: Callable[[str], Path], console: Console, tmp_path: Path, layout: str
) -> None:
    recipe = tiny(f"data.val={mini_shards(layout)}", "train.epochs=1", layout=layout)
    result = train(recipe, console)
    assert result.score is not None
    logged = scalars(tmp_path / "run")
    assert {f"val/{name}" for name in result.score.metrics} == {tag for tag in logged if tag.startswith("val/")}
    assert logged[f"val/{result.score.primary}"][result.steps] == pytest.approx(result.score.value, nan_ok=True)
    assert load_checkpoint(result.best).best == pytest.approx(result.score.value, nan_ok=True)
    assert f"{result.score.primary}" in console.file.getvalue()  # type: ignore[attr-defined]


def test_the_network_starts_from_the_recipes_seed_alone(tiny: MakeRecipe, mini_coco: ShardedDataset) -> None:
    task = TopDownTask(tiny(), mini_coco.skeleton)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = task.build_model().state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    two = task.build_model().state_dict()
    other = TopDownTask(tiny("train.seed=5"), mini_coco.skeleton).build_model().state_dict()
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not torch.equal(one["base.backbone.conv1.weight"], other["base.backbone.conv1.weight"])


def test_backbone_weights_are_used_at_the_start_only(
    tiny: MakeRecipe, mini_coco: ShardedDataset, tmp_path: Path
) -> None:
    plain = TopDownTask(tiny(), mini_coco.skeleton).build_model()
    weights = {name: t + 1 for name, t in plain.base.backbone.state_dict().items()}
    torch.save(weights | {"fc.weight": torch.zeros(1000, 32), "fc.bias": torch.zeros(1000)}, tmp_path / "r18.pth")
    task = TopDownTask(tiny(f"model.weights={tmp_path / 'r18.pth'}"), mini_coco.skeleton)
    assert torch.equal(task.build_model().base.backbone.conv1.weight, weights["conv1.weight"])
    assert not torch.equal(task.build_model(pretrained=False).base.backbone.conv1.weight, weights["conv1.weight"])


def test_network_input_is_normalised_and_in_the_recipes_channel_order(
    tiny: MakeRecipe, mini_coco: ShardedDataset
) -> None:
    crops = torch.randint(0, 256, (2, 3, 4, 5), dtype=torch.uint8)
    for order, channels in (("rgb", [0, 1, 2]), ("bgr", [2, 1, 0])):
        given = network_input(tiny(f"data.channel_order={order}").data, crops)
        for position, channel in enumerate(channels):
            expected = (crops[:, channel].double() / 255 - (0.485, 0.456, 0.406)[position]) / (0.229, 0.224, 0.225)[
                position
            ]
            torch.testing.assert_close(given[:, position].double(), expected, rtol=0, atol=1e-5)


def test_the_total_loss_weights_every_output_at_its_own_stride_and_sigma(
    tiny: MakeRecipe, mini_coco: ShardedDataset
) -> None:
    task = TopDownTask(tiny(), mini_coco.skeleton)
    loader = task.training_loader(annotated_samples(mini_coco), torch.device("cpu"), rank=0, ranks=1)
    batch = next(iter(loader))
    loader.close()
    outputs = (OutputMap("low", 4), OutputMap("high", 1, sigma_scale=4, loss_weight=0.25))
    exact = tuple(task.codec(o).encode(batch.keypoints, (batch.visibility > 0).float())[0] for o in outputs)
    assert [tuple(m.shape[2:]) for m in exact] == [(16, 8), (64, 32)]
    assert task.loss(exact, outputs, batch) < 1e-12
    low = task.loss((torch.zeros_like(exact[0]), exact[1]), outputs, batch)
    high = task.loss((exact[0], torch.zeros_like(exact[1])), outputs, batch)
    both = task.loss((torch.zeros_like(exact[0]), torch.zeros_like(exact[1])), outputs, batch)
    assert low > 0
    assert high > 0
    torch.testing.assert_close(both, low + high)
    full = (outputs[0], OutputMap("high", 1, sigma_scale=4))
    torch.testing.assert_close(task.loss((exact[0], torch.zeros_like(exact[1])), full, batch), 4 * high)


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        (["data.train=null"], ConfigError, "data.train is not set"),
        (["data.train=nowhere"], NotADatasetError, "nowhere"),
        (["data.val=nowhere"], NotADatasetError, "nowhere"),
        (["model.name=hourglass"], ConfigError, "unknown model 'hourglass'; known: simplebaseline_resnet18"),
        (["model.options.depth=3"], ConfigError, "simplebaseline_resnet18: .*depth"),
        (["model.weights=gone.pth"], WeightsError, "gone.pth"),
        (["data.crop_size=64,48"], CropSizeError, r"data.crop_size=\(64, 48\).*multiples of 32"),
    ],
)
def test_what_cannot_work_is_refused_in_words(
    tiny: MakeRecipe, console: Console, settings: list[str], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        train(tiny(*settings), console)


def test_splits_of_different_keypoints_are_refused(
    tiny: MakeRecipe, mini_shards: Callable[[str], Path], console: Console, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"data\.train has coco_17 keypoints, data\.val has crowdpose_14"):
        train(tiny(f"data.val={mini_shards('crowdpose')}"), console)
    assert not (tmp_path / "run" / "last.ckpt").exists()


def test_the_recipe_is_written_as_json(tiny: MakeRecipe, console: Console, tmp_path: Path) -> None:
    train(tiny("train.epochs=1", "train.batch_size=64"), console)
    assert json.loads((tmp_path / "run" / "recipe.json").read_text())["train"]["batch_size"] == 64

"""Bottom-up networks are trained on mini shards, go on after a kill, and are scored from what was saved."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor

import engine.learner as learner
from engine.bottomup import BottomUpTask
from engine.checkpoint import CheckpointError, load_checkpoint, save_checkpoint, with_trained_settings
from engine.config import ConfigError, ModelConfig, Recipe, override
from engine.evaluate import evaluate_weights
from engine.topdown import TopDownTask
from engine.train import train
from engine.trained import OwnWeights, PublicWeights
from models import HeatmapNetwork
from models.crop_size import CropSizeError
from models.published import published_name
from models.weights_file import WeightsError
from pipelines.bottomup import BottomUpBatch
from sharding.dataset import ShardedDataset

MakeRecipe = Callable[..., Recipe]

_GUIDED = {"width": 4, "stem": 4, "modules": [1, 1, 1], "blocks": 1, "regression_width": 8}
_HIGHER = {"width": 4, "stem": 4, "modules": [1, 1, 1], "blocks": 1, "deconv_blocks": 1}
NETWORKS = {
    "guided": ModelConfig(name="guided_hrnet_w32", options=_GUIDED),
    "guided, two strides": ModelConfig(name="guided_higherhrnet_w48", options=_GUIDED),
    "higherhrnet": ModelConfig(name="higherhrnet_w32", options=_HIGHER),
    "hourglass": ModelConfig(name="ae_hourglass_4", options={"stacks": 2, "channels": 8, "increase": 4, "depth": 2}),
}
PLAIN = tuple(
    f"bottomup.augmentation.{name}" for name in ("scale_min=1", "scale_max=1", "max_rotation=0", "flip_probability=0")
)
EVERYTHING = ("bottomup.grouping.center_threshold=0", "bottomup.grouping.threshold=0")  # untrained maps are faint


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> "Recorded":
    return Recorded(monkeypatch)


class Recorded:
    """The batches that the loss was asked about; `die_at` ends the run in that call."""

    class Killed(BaseException):
        """Stands for a kill: nothing in the engine catches it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.batches: list[BottomUpBatch] = []
        self.die_at: int | None = None
        loss = BottomUpTask.loss

        def recorded(task: BottomUpTask, maps: Any, outputs: Any, batch: BottomUpBatch, *over_ranks: Any) -> Tensor:
            if self.die_at is not None and len(self.batches) >= self.die_at:
                raise Recorded.Killed
            self.batches.append(batch)
            return loss(task, maps, outputs, batch, *over_ranks)

        monkeypatch.setattr(BottomUpTask, "loss", recorded)

    def images(self) -> list[list[int]]:
        return [batch.image_ids[batch.valid].tolist() for batch in self.batches]


def scalars(run: Path) -> dict[str, dict[int, float]]:
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    return {tag: {e.step: e.value for e in events.Scalars(tag)} for tag in events.Tags()["scalars"]}


def as_public(checkpoint: Path, network: HeatmapNetwork, path: Path) -> PublicWeights:
    """The same weights under the names of public files."""
    state = load_checkpoint(checkpoint).model
    names = {name: published_name(network.base, name.removeprefix("base.")) for name in state}
    torch.save({"state_dict": {names[name]: tensor for name, tensor in state.items()}}, path)
    return PublicWeights(path)


@pytest.mark.parametrize(
    ("network", "layout"),
    [("guided", "coco"), ("guided, two strides", "crowdpose"), ("higherhrnet", "coco"), ("hourglass", "crowdpose")],
)
def test_each_network_learns_and_is_scored_the_same_from_its_files(
    tiny_bottomup: MakeRecipe, mini_shards: Callable[[str], Path], console: Console, tmp_path: Path, network: str,
    layout: str,
) -> None:  # fmt: skip
    settings = ("train.epochs=4", "train.validate_every=4", "optim.lr=1e-2", "optim.milestones=[4]")
    recipe = tiny_bottomup(f"data.val={mini_shards(layout)}", *settings, *PLAIN, *EVERYTHING, layout=layout)
    recipe = recipe.model_copy(update={"model": NETWORKS[network]})
    result = train(recipe, console)
    logged, steps = scalars(tmp_path / "run"), result.steps // 4
    assert logged["train/loss"][4 * steps] < 0.95 * logged["train/loss"][steps]  # each epoch's mean
    assert list(logged["train/pictures_per_s"]) == [steps * epoch for epoch in range(1, 5)]
    assert result.score is not None
    assert len(result.score.results) > 16  # that is, the scores below compare something
    assert logged["val/AP"] == {4 * steps: pytest.approx(result.score.value)}

    own = evaluate_weights(recipe, OwnWeights(result.last), console)
    assert own.score.results == result.score.results
    task = BottomUpTask(recipe, recipe.bottomup, own.dataset.skeleton)  # type: ignore[arg-type]
    public = as_public(result.last, task.build_model(), tmp_path / "public.pth")
    assert evaluate_weights(recipe, public, console).score.results == result.score.results
    untrained = evaluate_weights(recipe, None, console)
    assert untrained.score.results != result.score.results


def test_a_public_file_of_another_network_is_refused(
    tiny_bottomup: MakeRecipe, mini_coco: ShardedDataset, console: Console, tmp_path: Path
) -> None:
    recipe = tiny_bottomup(f"data.val={mini_coco.folder.uri}")
    task = BottomUpTask(recipe, recipe.bottomup, mini_coco.skeleton)  # type: ignore[arg-type]
    network = task.build_model()
    state = {published_name(network.base, name): t for name, t in network.base.state_dict().items()}
    state.popitem()
    torch.save(state, tmp_path / "public.pth")
    with pytest.raises(WeightsError, match=r"public\.pth does not fit HeatmapGuided"):
        evaluate_weights(recipe, PublicWeights(tmp_path / "public.pth"), console)


def assert_same_state(one: Path, other: Path) -> None:
    a, b = load_checkpoint(one), load_checkpoint(other)
    assert [name for name in a.model if not torch.equal(a.model[name], b.model[name])] == []
    assert (a.model.keys(), a.step, a.validated_epochs) == (b.model.keys(), b.step, b.validated_epochs)
    for number, state in a.optimizer["state"].items():
        assert all(torch.equal(value, b.optimizer["state"][number][name]) for name, value in state.items())


def test_killed_in_an_epoch_it_goes_on_as_if_nothing_had_happened(
    tiny_bottomup: MakeRecipe, console: Console, tmp_path: Path, recorded: Recorded
) -> None:
    common = ("train.checkpoint_every_steps=2", "data.shuffle=image")
    train(tiny_bottomup(*common, f"run_dir={tmp_path / 'whole'}"), console)
    undisturbed = recorded.images()
    steps = len(undisturbed) // 2
    assert sorted(chain(*undisturbed[:steps])) == sorted(chain(*undisturbed[steps:]))
    assert undisturbed[:steps] != undisturbed[steps:]

    recorded.batches, recorded.die_at = [], steps + 3
    with pytest.raises(Recorded.Killed):
        train(tiny_bottomup(*common), console)
    reached = load_checkpoint(tmp_path / "run" / "last.ckpt").step
    assert 0 < reached < steps + 3
    recorded.batches, recorded.die_at = [], None
    train(tiny_bottomup(*common, "bottomup.test.scales=[0.5,1]", "bottomup.grouping.scoring=learned"), console)
    assert recorded.images() == undisturbed[reached:]
    assert_same_state(tmp_path / "whole" / "last.ckpt", tmp_path / "run" / "last.ckpt")


def test_how_it_is_tested_may_change_in_a_run_and_what_it_was_trained_for_may_not(
    tiny_bottomup: MakeRecipe, console: Console
) -> None:
    common = ("train.epochs=1", "train.batch_size=16")
    train(tiny_bottomup(*common), console)
    for setting in (
        "bottomup.targets.background=1",
        "bottomup.targets.center_radius=3",
        "bottomup.augmentation.max_rotation=5",
        "bottomup.fit=long",
        "bottomup.pictures=all",
    ):
        with pytest.raises(CheckpointError, match=rf"\({setting.partition('=')[0]} was .*, is .*\)"):
            train(tiny_bottomup(*common, setting), console)
    free = ("bottomup.test.scales=[0.5,1]", "bottomup.grouping.scoring=learned", "bottomup.score_net.epochs=1")
    train(tiny_bottomup(*common, *free), console)


@pytest.mark.parametrize("skeleton", [None, "crowdpose_14"])
def test_mixed_splits_are_trained_together(
    tiny_bottomup: MakeRecipe, mini_shards: Callable[[str], Path], console: Console, recorded: Recorded,
    mini_coco: ShardedDataset, mini_crowdpose: ShardedDataset, skeleton: str | None,
) -> None:  # fmt: skip
    both = json.dumps([str(mini_shards("coco")), str(mini_shards("crowdpose"))])
    val = mini_shards("coco" if skeleton is None else "crowdpose")
    settings = ("train.epochs=1", "bottomup.pictures=all", f"data.val={val}")
    result = train(tiny_bottomup(f"data.train={both}", f"data.skeleton={skeleton}", *settings), console)
    assert result.score is not None
    assert len(list(chain(*recorded.images()))) == mini_coco.num_images + mini_crowdpose.num_images
    rows = torch.cat([batch.annotated[batch.valid] for batch in recorded.batches])
    kinds, counts = rows.unique(dim=0, return_counts=True)
    assert sorted(counts.tolist()) == sorted([mini_coco.num_images, mini_crowdpose.num_images])
    # CrowdPose has no face but head and neck, which COCO lacks.
    assert sorted(kinds.sum(dim=1).tolist()) == ([12, 17] if skeleton is None else [12, 14])
    mixed = [batch for batch in recorded.batches if len(batch.annotated[batch.valid].unique(dim=0)) == 2]
    assert mixed


class Recorder(torch.optim.SGD):
    """Keeps the weights still and remembers every gradient that it was asked to step with."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__(network.parameters(), lr=0.0)
        self.gradients: list[Tensor] = []

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        params = [p for group in self.param_groups for p in group["params"]]
        self.gradients.append(torch.cat([p.grad.flatten().clone() for p in params]))


def test_accumulated_gradients_are_those_of_one_large_batch(
    tiny_bottomup: MakeRecipe, console: Console, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """With a network without norms, and losses that are means over pictures."""
    made: list[Recorder] = []

    def build(config: object, network: torch.nn.Module) -> Recorder:
        made.append(Recorder(network))
        return made[-1]

    monkeypatch.setattr(learner, "build_optimizer", build)
    for name, batch, accumulate in (("small", 4, 2), ("large", 8, 1)):
        recipe = tiny_bottomup(
            f"train.batch_size={batch}", f"train.accumulate={accumulate}", f"run_dir={tmp_path / name}",
            "bottomup.pictures=all", "train.epochs=1",
        )  # fmt: skip
        train(recipe.model_copy(update={"model": NETWORKS["hourglass"]}), console)
    small, large = (recorder.gradients for recorder in made)
    assert len(small) == len(large) == 2
    for one, other in zip(small, large, strict=True):
        assert one.norm() > 0
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("network", "settings", "error", "message"),
    [
        ("guided", ["data.crop_size=64,32"], ConfigError, r"data: bottom-up crops are square, got .*\(64, 32\)"),
        ("guided", ["data.crop_size=48,48"], CropSizeError, r"data\.crop_size=\(48, 48\).*multiples of 32"),
        ("guided, two strides", ["data.crop_size=48,48"], CropSizeError, r"data\.crop_size=\(48, 48\)"),
        ("higherhrnet", ["data.crop_size=80,80"], CropSizeError, r"data\.crop_size=\(80, 80\).*multiples of 32"),
        ("hourglass", ["data.crop_size=72,72"], CropSizeError, r"data\.crop_size=\(72, 72\).*multiples of 16"),
        ("higherhrnet", ["bottomup.grouping.quality=heatmaps"], ConfigError, "networks with tags only have final"),
        ("guided", ["bottomup.test.to_input=false"], ConfigError, r"bottomup\.test\.to_input=false"),
        ("guided", ["data.skeleton=nose"], ConfigError, "data.skeleton=nose: unknown"),
        ("guided", ["data.weights=[1,2]"], ConfigError, "data.weights has 2 entries"),
    ],
)
def test_what_cannot_work_is_refused_in_words(
    tiny_bottomup: MakeRecipe, console: Console, network: str, settings: list[str], error: type[Exception], message: str
) -> None:
    recipe = tiny_bottomup(*settings).model_copy(update={"model": NETWORKS[network]})
    with pytest.raises(error, match=message):
        train(recipe, console)


def test_what_cannot_be_validated_is_refused_before_the_first_batch(
    tiny_bottomup: MakeRecipe, mini_shards: Callable[[str], Path], console: Console, recorded: Recorded
) -> None:
    val = f"data.val={mini_shards('coco')}"
    for settings, message in (
        (("data.crop_size=96,96",), r"bottomup\.test: short_side .*multiple=64 px, got 96.* is data\.crop_size's"),
        (("bottomup.test.scales=[0.3]",), r"bottomup\.test: .*0\.3"),
        (("bottomup.test.short_side=100",), r"bottomup\.test: short_side .*got 100$"),
        (("evaluate.detections=boxes.json",), "bottom-up recipes take no boxes"),
        ((f"data.val={mini_shards('crowdpose')}",), "data.train has coco_17 keypoints, data.val has crowdpose_14"),
    ):
        with pytest.raises(ConfigError, match=message):
            train(tiny_bottomup(val, *settings), console)
    mpii = mini_shards("mpii")
    with pytest.raises(ConfigError, match=r"data\.val: .* is MPII"):
        train(tiny_bottomup(f"data.val={mpii}", layout="mpii"), console)
    assert recorded.batches == []
    train(tiny_bottomup(val, "data.crop_size=96,96", "bottomup.test.multiple=32", "train.epochs=1"), console)


def test_inputs_that_a_network_cannot_take_in_a_test_are_not_blamed_on_the_crop(
    tiny_bottomup: MakeRecipe, mini_shards: Callable[[str], Path], console: Console
) -> None:
    recipe = tiny_bottomup(f"data.val={mini_shards('coco')}", "bottomup.test.scales=[0.5]", "data.crop_size=128,128")
    deep = ModelConfig(name="ae_hourglass_4", options={"stacks": 1, "channels": 4, "increase": 0, "depth": 4})
    with pytest.raises(
        ConfigError,
        match=r"bottomup\.test: at scale 0\.5 inputs are 64 px.*multiples of 32 px; ae_.*multiples of 64 px",
    ):
        evaluate_weights(recipe.model_copy(update={"model": deep}), None, console)


def test_persons_are_not_augmented_where_pictures_are(tiny_bottomup: MakeRecipe) -> None:
    with pytest.raises(ConfigError, match=r"that of whole pictures is bottomup\.augmentation"):
        tiny_bottomup("augmentation.flip_probability=0.5")


def test_a_network_and_the_way_it_is_looked_at_must_fit(
    tiny: MakeRecipe, tiny_bottomup: MakeRecipe, mini_coco: ShardedDataset, console: Console, tmp_path: Path
) -> None:
    """Tags are as many maps as heatmaps: read as such they would give a score and no error."""
    val = f"data.val={mini_coco.folder.uri}"
    single, whole = tiny(val, "data.crop_size=64,64"), tiny_bottomup(val, f"run_dir={tmp_path / 'whole'}")
    for network in NETWORKS.values():
        with pytest.raises(ConfigError, match=f"model.name={network.name} finds all persons.*take a recipe with"):
            TopDownTask(single.model_copy(update={"model": network}), mini_coco.skeleton).build_model()
    with pytest.raises(ConfigError, match="need a network with tags, or with centres and offsets"):
        train(whole.model_copy(update={"model": single.model}), console)
    result = train(whole.model_copy(update={"train": whole.train.model_copy(update={"epochs": 1})}), console)
    as_trained, _ = with_trained_settings(single, load_checkpoint(result.last))
    with pytest.raises(ConfigError, match="finds all persons of whole pictures, and recipe tiny looks at single"):
        evaluate_weights(as_trained, OwnWeights(result.last), console)


def test_a_checkpoint_brings_what_it_was_trained_for(
    tiny_bottomup: MakeRecipe, mini_coco: ShardedDataset, console: Console
) -> None:
    val = f"data.val={mini_coco.folder.uri}"
    trained_with = ("data.channel_order=bgr", "data.crop_size=128,128", "heatmap.encoding=truncated")
    result = train(tiny_bottomup(*trained_with, val, "train.epochs=1", *EVERYTHING), console)
    asked = tiny_bottomup(
        val, "model.options.width=8", "bottomup.test.scales=[0.5,1]", "bottomup.grouping.max_persons=2", *EVERYTHING
    )
    recipe, changes = with_trained_settings(asked, load_checkpoint(result.last))
    assert len(changes) == 5
    assert recipe.bottomup.test.scales == (1.0,)  # the network is looked at as in its validation
    assert recipe.bottomup.grouping == asked.bottomup.grouping
    answer = evaluate_weights(recipe, OwnWeights(result.last), console)
    found = answer.predictions.image_ids.tolist()
    assert max(found.count(image) for image in set(found)) == 2


@pytest.mark.parametrize("changed", ["bottomup.grouping.max_persons=5", "bottomup.test.fit=long", None])
def test_scores_of_another_test_are_not_compared_on_resuming(
    tiny_bottomup: MakeRecipe, mini_coco: ShardedDataset, console: Console, changed: str | None
) -> None:
    recipe = tiny_bottomup(f"data.val={mini_coco.folder.uri}", "train.epochs=1")
    last = train(recipe, console).last
    save_checkpoint(replace(load_checkpoint(last), best=0.9), last)
    train(override(recipe, ["train.epochs=2", *([changed] if changed else [])]), console)
    assert (load_checkpoint(last).best == 0.9) is (changed is None)


@pytest.mark.parametrize(
    "setting",
    [
        "data.box_padding=1.5", "data.convention=unbiased", "heatmap.decoding=dark", "evaluate.batch_size=8",
        "evaluate.soft_nms_sigma=0.5", "evaluate.nms_threshold=0.5",
    ],
)  # fmt: skip
def test_what_would_do_nothing_to_whole_pictures_is_refused(tiny_bottomup: MakeRecipe, setting: str) -> None:
    name = setting.partition("=")[0]
    with pytest.raises(ConfigError, match=rf"^{re.escape(name)} is of single persons and does nothing"):
        tiny_bottomup(setting)


def test_settings_of_whole_pictures_are_none_of_single_persons(tiny: MakeRecipe) -> None:
    with pytest.raises(ConfigError, match=r"bottomup\.pictures: this recipe is of single persons"):
        tiny("bottomup.pictures=all")

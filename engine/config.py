"""The configuration tree of an experiment: typed, frozen, and settable leaf by leaf from the command line."""

import contextlib
import difflib
import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self

from pydantic import (
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    ValidationError,
    model_validator,
)

from engine.bottomup_config import BottomUpConfig
from engine.frozen import Frozen
from pipelines.augmentation import Augmentation
from pipelines.plan import Shuffle
from pipelines.settings import OnBadSample
from pose.crop import CropConvention
from pose.errors import UserError
from pose.heatmaps import Decoding, Encoding, FlipShift

Size = tuple[PositiveInt, PositiveInt]
_TRUTH = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
Precision = Literal["auto", "32-true", "bf16-mixed"]


class ConfigError(UserError, ValueError):
    """A setting that does not exist or a value that it cannot take; the message lists what is valid."""


class DataConfig(Frozen):
    """Which splits, and how persons become crops. `crop_size` is (height, width).

    `train` may be several splits, which are mixed; `weights` says how many times an epoch goes through each (default:
    once), `skeleton` onto which keypoints they are mapped (default: those of the first).

    `shuffle_window` pictures are shuffled together; 0 for all of an epoch; by default all where the shards are local
    and 2048 where they are not. `on_bad_sample` "skip" goes on without pictures that are damaged or cannot be decoded,
    as long as at most `max_bad_share` of the samples lie in them.

    `normalisation` "imagenet" subtracts ImageNet's mean colour and divides by its deviation; "unit" divides by 255.
    """

    train: str | tuple[str, ...] | None = None
    weights: tuple[PositiveFloat, ...] | None = None
    skeleton: str | None = None
    val: str | None = None
    crop_size: Size = (256, 192)
    box_padding: PositiveFloat = 1.25
    convention: CropConvention = "hrnet"
    shuffle: Shuffle = "image"
    shuffle_window: NonNegativeInt | None = None
    on_bad_sample: OnBadSample = "raise"
    max_bad_share: float = Field(default=0.01, ge=0, le=1)
    channel_order: Literal["rgb", "bgr"] = "rgb"
    normalisation: Literal["imagenet", "unit"] = "imagenet"
    threads: PositiveInt = 2
    prefetch: PositiveInt = 2


class StorageConfig(Frozen):
    """How shards come from object storage. `cache` is a folder on a local disk for up to `cache_gb` gigabytes of them,
    shared by all processes of the machine; `ahead_mb` of pictures are fetched ahead into memory, over `connections`
    (pyarrow has 25 to a store at most).

    A request is tried `attempts` times, each for at most `timeout_s` seconds.
    """

    cache: str | None = None
    cache_gb: float = Field(default=100.0, ge=0.01)
    connections: int = Field(default=8, ge=1, le=25)
    ahead_mb: PositiveInt = 512
    attempts: PositiveInt = 6
    timeout_s: PositiveFloat = 30.0


class ModelConfig(Frozen):
    """`plugin` is put on the network `name`; `options` and `plugin_options` go to their builders.

    `weights` is a file to start from: a public checkpoint of the whole network, or ImageNet weights of its backbone.
    """

    name: str
    options: dict[str, Any] = Field(default={})
    plugin: str | None = None
    plugin_options: dict[str, Any] = Field(default={})
    weights: str | None = None


class HeatmapConfig(Frozen):
    """Targets and decoding; `sigma` is in px of the network's heatmaps, and is scaled by an output's `sigma_scale`."""

    sigma: PositiveFloat = 2.0
    encoding: Encoding = "rounded"
    decoding: Decoding = "quarter"


class OptimConfig(Frozen):
    """The optimiser and its learning rate: `lr`, after a linear warm-up, times `gamma` at each of `milestones` (epochs)
    or along a half cosine down to 0."""

    name: Literal["adam", "adamw", "rmsprop"] = "adam"
    lr: PositiveFloat = 1e-3
    weight_decay: NonNegativeFloat = 0.0
    schedule: Literal["multistep", "cosine"] = "multistep"
    milestones: tuple[PositiveInt, ...] = (90, 120)
    gamma: PositiveFloat = 0.1
    warmup_steps: NonNegativeInt = 0


class TrainConfig(Frozen):
    """`batch_size` counts samples of a loader's batch, of all processes that train together; `accumulate` such batches
    make one step of the optimiser. With `sync_batchnorm` batch normalisation takes its means over all processes.

    At the end loader and network are measured alone for `verdict_seconds` each, to say what limits the speed.
    `precision` "auto" is bf16 mixed precision where the hardware computes in it, else 32 bit.
    """

    epochs: PositiveInt = 140
    batch_size: PositiveInt = 128
    accumulate: PositiveInt = 1
    precision: Precision = "auto"
    sync_batchnorm: bool = False
    channels_last: bool = True
    seed: NonNegativeInt = 0
    validate_every: PositiveInt = 1
    checkpoint_every_steps: PositiveInt = 1000
    keep_step_checkpoints: bool = False
    verdict_seconds: NonNegativeFloat = 3.0


class EvaluateConfig(Frozen):
    """`detections` is a file of detector boxes (COCO results JSON); without it, ground-truth boxes are used.

    `flip_shift` says how far mirrored maps are moved: "public" as the public code does, "exact" by what they are off,
    "none" not at all (specs 0.3); with `data.convention` "unbiased" they fit as they are. `soft_nms_sigma` lowers,
    before any pose is estimated, the scores of detected boxes that overlap better ones (Gaussian Soft-NMS); None leaves
    them.

    `precision` is that of `posestream evaluate`: in bf16 neighbouring values of a heatmap round to the same number, so
    scores would depend on the hardware. While training, validation has the training's precision.
    """

    batch_size: PositiveInt = 64
    flip_test: bool = True
    flip_shift: FlipShift = "public"
    detections: str | None = None
    soft_nms_sigma: PositiveFloat | None = None
    nms_threshold: float = Field(default=0.9, gt=0, le=1)
    precision: Precision = "32-true"


_OF_SINGLE_PERSONS = {
    "data": ("box_padding", "convention"),
    "heatmap": ("decoding",),
    "evaluate": ("batch_size", "soft_nms_sigma", "nms_threshold"),
}


class Recipe(Frozen):
    """One experiment. `run_dir` is where checkpoints and logs go; runs/NAME if it is not given.

    With `bottomup`, the network looks at whole pictures instead of single persons.
    """

    name: str
    run_dir: str = Field(default_factory=lambda given: f"runs/{given.get('name')}")
    data: DataConfig
    storage: StorageConfig = StorageConfig()
    model: ModelConfig
    augmentation: Augmentation = Augmentation()
    heatmap: HeatmapConfig = HeatmapConfig()
    bottomup: BottomUpConfig | None = None
    optim: OptimConfig = OptimConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()

    @model_validator(mode="after")
    def _of_one_kind(self) -> Self:
        """What only single persons have would do nothing to whole pictures."""
        if self.bottomup is None:
            return self
        if self.augmentation != Augmentation():
            raise ValueError("augmentation is of single persons; that of whole pictures is bottomup.augmentation")
        for group, names in _OF_SINGLE_PERSONS.items():
            config = getattr(self, group)
            for name in names:
                default = type(config).model_fields[name].default
                if getattr(config, name) != default:
                    raise ValueError(
                        f"{group}.{name} is of single persons and does nothing in a bottom-up recipe; leave it at "
                        f"{default!r}"
                    )
        return self

    def to_json(self) -> str:
        return self.model_dump_json(indent=1)


def override(recipe: Recipe, assignments: Sequence[str]) -> Recipe:
    """The recipe with leaves replaced, each by a `dotted.path=value`; values are JSON or bare text.

    Raises:
        ConfigError: no such setting (with the nearest names), or a value that it cannot take (with what it can).
    """
    waiting = [_parsed(assignment) for assignment in assignments]
    while waiting:
        refused = []
        for path, text in waiting:
            try:
                recipe = _with_leaf(recipe, path, text)
            except ConfigError as error:
                refused.append((path, text, error))
        if len(refused) == len(waiting):
            raise refused[0][2]
        # One that another has to make room for, such as a range instead of a factor, is tried again after it.
        waiting = [(path, text) for path, text, _ in refused]
    return recipe


def variant(recipe: Recipe, name: str, *assignments: str) -> Recipe:
    """The recipe under another name, in a run folder of its own, with leaves replaced as by `override`."""
    return override(recipe, [f"name={name}", f"run_dir=runs/{name}", *assignments])


def _parsed(assignment: str) -> tuple[str, str]:
    path, separator, text = assignment.partition("=")
    if not separator:
        raise ConfigError(f"{assignment!r} is not of the form key=value, e.g. optim.lr=5e-4")
    return path.strip(), text


def _with_leaf(recipe: Recipe, path: str, text: str) -> Recipe:
    """The recipe with one leaf set to the first reading of `text` that it can take."""
    refusals = []
    for value in _readings(text, untyped=_is_option(path)):
        tree = recipe.model_dump()
        _set_leaf(tree, path, value)
        try:
            return parse_recipe(tree)
        except ConfigError as error:
            refusals.append(error)
    raise refusals[0]


def _is_option(path: str) -> bool:
    """Whether it is one of a network's or plug-in's own options, which only their builders can check."""
    return path.startswith(("model.options.", "model.plugin_options."))


def _readings(text: str, untyped: bool) -> Iterator[Any]:
    """What a word on the command line can mean: JSON, nothing, a list such as 256,192 or 256x192, or itself.

    Where no type tells that no and off are no text, they are truth values.
    """
    if untyped and text.lower() in _TRUTH:
        yield _TRUTH[text.lower()]
    with contextlib.suppress(ValueError):
        value = json.loads(text)
        yield value
        if isinstance(value, int | float):  # one number where several are asked for
            yield [value]
    if text.lower() == "none":
        yield None
    if re.search(r"[,x(]", text):
        inner = text.strip("()").rstrip(",")
        with contextlib.suppress(ValueError):
            yield [json.loads(part) for part in re.split("[,x]", inner)] if inner else []
    if untyped and "," in text:
        yield [word.strip() for word in text.strip("[]()").split(",")]
    yield text


def parse_recipe(tree: dict[str, Any] | str) -> Recipe:
    """A recipe from a tree or its JSON. Raises ConfigError."""
    try:
        return Recipe.model_validate_json(tree) if isinstance(tree, str) else Recipe.model_validate(tree)
    except ValidationError as error:
        # What a default is made from is missing: that is reported already.
        problems = [_problem(row) for row in error.errors() if row["type"] != "default_factory_not_called"]
        raise ConfigError("; ".join(problems)) from error


def _problem(row: Any) -> str:
    what = ": ".join(filter(None, [".".join(map(str, row["loc"])), row["msg"].removeprefix("Value error, ")]))
    return what if isinstance(row["input"], dict) else f"{what}, got {row['input']!r}"


def leaves(recipe: Recipe) -> dict[str, Any]:
    """Every leaf by its dotted path."""
    return _leaves(recipe.model_dump(mode="json"), "")


def _leaves(tree: dict[str, Any], prefix: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        if isinstance(value, dict):
            found |= _leaves(value, f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def _set_leaf(tree: dict[str, Any], path: str, value: Any) -> None:
    *branches, leaf = path.split(".")
    node = tree
    for depth, name in enumerate(branches):
        if name == "bottomup" and node.get(name, 0) is None:
            raise ConfigError(
                f"{path}: this recipe is of single persons; bottom-up ones are listed by `posestream recipes`"
            )
        if not isinstance(node.get(name), dict):
            raise _unknown(".".join(branches[:depth]), name, node, path)
        node = node[name]
    if not _is_option(path) and leaf not in node:
        raise _unknown(".".join(branches), leaf, node, path)
    if isinstance(node.get(leaf), dict):
        known = ", ".join(f"{path}.{name}" for name in node[leaf])
        raise ConfigError(f"{path} is a group; set one of {known or f'its own settings, {path}.NAME=VALUE'}")
    node[leaf] = value


def _unknown(prefix: str, name: str, node: dict[str, Any], path: str) -> ConfigError:
    near = difflib.get_close_matches(name, node, n=1)
    hint = f" Did you mean {'.'.join(filter(None, [prefix, near[0]]))}?" if near else ""
    where = prefix or "a recipe"
    return ConfigError(f"no setting {path!r}.{hint} {where} has: {', '.join(node)}")

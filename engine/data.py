"""The splits that a recipe names, opened; several training splits become one."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

from engine.config import ConfigError, Recipe, StorageConfig
from pipelines.bottomup_samples import BottomUpSamples, PictureChoice
from pipelines.mixed_samples import MixedSamples
from pipelines.plan import EmptyPlanError
from pipelines.samples import PersonSamples, TopDownSamples, annotated_samples
from pipelines.settings import ReadSettings
from pose.skeletons import SKELETONS, Skeleton, contrast
from sharding.dataset import ShardedDataset, open_dataset
from sharding.retry import RetryPolicy
from sharding.storage import Folder, open_folder


def open_split(uri: str, storage: StorageConfig) -> ShardedDataset:
    """A split at a URI, with the recipe's patience. Raises NotADatasetError, BrokenShardError or StorageError."""
    return open_dataset(uri, _patience(storage))


def open_storage(uri: str, storage: StorageConfig) -> Folder:
    """A folder at a URI, with the recipe's patience; it need not exist. Raises StorageError."""
    return open_folder(uri, _patience(storage))


def _patience(storage: StorageConfig) -> RetryPolicy:
    return RetryPolicy(attempts=storage.attempts, timeout_s=storage.timeout_s)


def read_settings(storage: StorageConfig) -> ReadSettings:
    """Raises ConfigError for a cache that is no local folder."""
    if storage.cache is not None and "://" in storage.cache:
        raise ConfigError(f"storage.cache={storage.cache}: the cache is a folder on a local disk, not a URI")
    return ReadSettings(
        cache=None if storage.cache is None else Path(storage.cache).expanduser(),
        cache_bytes=round(storage.cache_gb * 1e9),
        connections=storage.connections,
        ahead_bytes=storage.ahead_mb << 20,
    )


def open_training_splits(recipe: Recipe) -> list[ShardedDataset]:
    """The splits of data.train. Raises ConfigError if there is none, or two define one skeleton differently."""
    if recipe.data.train is None:
        raise ConfigError("data.train is not set; give the training split, e.g. data.train=/data/coco/train2017")
    uris = [recipe.data.train] if isinstance(recipe.data.train, str) else recipe.data.train
    if not uris:
        raise ConfigError("data.train is empty; give at least one split")
    if len(uris) == 1 and ("," in uris[0] or uris[0].startswith("[")) and not Path(uris[0]).exists():
        raise ConfigError(f'data.train={uris[0]}: several splits are given as JSON: \'data.train=["a", "b"]\'')
    datasets = [open_split(uri, recipe.storage) for uri in uris]
    if len({dataset.manifest.digest() for dataset in datasets}) < len(datasets):
        raise ConfigError(f"data.train={list(uris)} names a split twice; data.weights says how often one comes")
    _require_one_definition(datasets)
    return datasets


def _require_one_definition(datasets: Sequence[ShardedDataset]) -> None:
    """Skeletons of different names are mapped by their keypoints' names; one name for two is a mistake."""
    known = {dataset.skeleton.name: dataset for dataset in reversed(datasets)}
    for dataset in datasets:
        first = known[dataset.skeleton.name]
        if dataset.skeleton != first.skeleton:
            raise ConfigError(
                f"data.train: {first.folder.uri} and {dataset.folder.uri} have "
                f"{contrast(first.skeleton, dataset.skeleton)}: convert both with the same file, or rename one"
            )


def training_skeleton(recipe: Recipe, datasets: Sequence[ShardedDataset]) -> Skeleton:
    """The keypoints to train: those that data.skeleton names, built in or a split's own; else the first split's.

    Raises ConfigError for an unknown name.
    """
    name = recipe.data.skeleton
    if name is None:
        return datasets[0].skeleton
    known = SKELETONS | {dataset.skeleton.name: dataset.skeleton for dataset in datasets}
    if name not in known:
        raise ConfigError(f"data.skeleton={name}: unknown; known: {', '.join(known)}")
    return known[name]


def training_persons(recipe: Recipe, datasets: Sequence[ShardedDataset], skeleton: Skeleton) -> PersonSamples:
    """Every trainable person of the training splits, in the places of a skeleton.

    Raises:
        ConfigError: weights and splits do not match, or a split has none of the keypoints, or half bodies are wanted
            and the skeleton has no halves.
    """
    splits = [annotated_samples(dataset) for dataset in datasets]
    weights = _weights(recipe, datasets)
    _require_halves(recipe, skeleton)
    if len(splits) == 1 and weights == (1.0,) and skeleton == splits[0].skeleton:
        return splits[0]
    _require_persons(splits)
    try:
        return MixedSamples(splits, weights, skeleton)
    except ValueError as error:
        raise ConfigError(f"data.skeleton={skeleton.name}: {error}") from error


def _require_halves(recipe: Recipe, skeleton: Skeleton) -> None:
    wanted = recipe.augmentation.half_body_probability
    if wanted and not skeleton.upper_body and not skeleton.lower_body:
        raise ConfigError(
            f"augmentation.half_body_probability={wanted:g}: {skeleton.name} has neither upper_body nor lower_body; "
            "set augmentation.half_body_probability=0, or add them to the skeleton's file and convert again"
        )


def training_pictures(
    recipe: Recipe, datasets: Sequence[ShardedDataset], skeleton: Skeleton, choice: PictureChoice
) -> BottomUpSamples:
    """The pictures of the training splits that are chosen, with their persons in the places of a skeleton.

    Raises:
        ConfigError: as `training_persons`.
    """
    try:
        return BottomUpSamples(datasets, _weights(recipe, datasets), skeleton, choice)
    except EmptyPlanError as error:
        raise ConfigError(f"data.train: {error}") from error
    except ValueError as error:
        raise ConfigError(f"data.skeleton={skeleton.name}: {error}") from error


def _weights(recipe: Recipe, datasets: Sequence[ShardedDataset]) -> tuple[float, ...]:
    """How often an epoch goes through each split."""
    weights = recipe.data.weights or (1.0,) * len(datasets)
    if len(weights) != len(datasets):
        raise ConfigError(f"data.weights has {len(weights)} entries, data.train has {len(datasets)} splits")
    return weights


def _require_persons(splits: Sequence[TopDownSamples]) -> None:
    for split in splits:
        if not len(split):
            raise ConfigError(f"data.train: {split.dataset.folder.uri} has nobody with labelled keypoints and a box")


def training_digest(datasets: Sequence[ShardedDataset]) -> str:
    """Changes whenever a picture or an annotation of the training splits changes; their order counts."""
    digests = [dataset.manifest.digest() for dataset in datasets]
    return digests[0] if len(digests) == 1 else hashlib.sha256("".join(digests).encode()).hexdigest()

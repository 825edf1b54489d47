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
from pose.skeletons import SKELETONS, Skeleton
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
    """The splits of data.train. Raises ConfigError if there is none."""
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
    return datasets


def training_skeleton(recipe: Recipe, datasets: Sequence[ShardedDataset]) -> Skeleton:
    """The keypoints to train: data.skeleton's, else the first split's."""
    name = recipe.data.skeleton
    if name is None:
        return datasets[0].skeleton
    if name not in SKELETONS:
        raise ConfigError(f"data.skeleton={name}: unknown; known: {', '.join(SKELETONS)}")
    return SKELETONS[name]


def training_persons(recipe: Recipe, datasets: Sequence[ShardedDataset]) -> PersonSamples:
    """Every trainable person of the training splits, in the places of one skeleton.

    Raises:
        ConfigError: weights and splits do not match, or a split has none of the keypoints.
    """
    splits = [annotated_samples(dataset) for dataset in datasets]
    weights, skeleton = _weights(recipe, datasets), training_skeleton(recipe, datasets)
    if len(splits) == 1 and weights == (1.0,) and skeleton == splits[0].skeleton:
        return splits[0]
    _require_persons(splits)
    try:
        return MixedSamples(splits, weights, skeleton)
    except ValueError as error:
        raise ConfigError(f"data.skeleton={skeleton.name}: {error}") from error


def training_pictures(recipe: Recipe, datasets: Sequence[ShardedDataset], choice: PictureChoice) -> BottomUpSamples:
    """The pictures of the training splits that are chosen, with their persons in the places of one skeleton.

    Raises:
        ConfigError: as `training_persons`.
    """
    try:
        return BottomUpSamples(datasets, _weights(recipe, datasets), training_skeleton(recipe, datasets), choice)
    except EmptyPlanError as error:
        raise ConfigError(f"data.train: {error}") from error
    except ValueError as error:
        raise ConfigError(f"data.skeleton={recipe.data.skeleton}: {error}") from error


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

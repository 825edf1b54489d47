"""What `posestream inspect` shows of a split."""

from rich.markup import escape
from rich.table import Table

from sharding.dataset import ShardedDataset
from sharding.manifest import Manifest
from sharding.records import PERSON
from sharding.statistics import Statistics


def statistics_tables(dataset: ShardedDataset, counts: Statistics) -> list[Table]:
    """Three tables for the screen: the split, its keypoints, its shards."""
    return [_facts(dataset, counts), _keypoints(counts), _shards(dataset)]


def _facts(dataset: ShardedDataset, counts: Statistics) -> Table:
    manifest = dataset.manifest
    facts = Table(title=escape(dataset.folder.uri), show_header=False)
    facts.add_column()
    facts.add_column(overflow="fold")  # a digest that was cut short could not be compared
    for name, value in (
        ("dataset", _described(manifest)),
        ("images", f"{counts.images}, {counts.empty_images} without instances"),
        ("instances", f"{counts.instances}, {counts.instances_per_image:.2f} per image"),
        ("trainable", f"{counts.trainable}; {counts.without_keypoints} without keypoints, {counts.crowds} crowds"),
        ("keypoints", f"{counts.keypoints_per_instance:.1f} labelled per trainable instance"),
        ("box height", f"median {counts.median_box_height:.0f} px"),
        ("crowd index", _range(counts.crowd_index)),
        ("refused", f"{manifest.rejected} at conversion"),
        ("digest", manifest.digest()),
    ):
        facts.add_row(name, value)
    return facts


def _described(manifest: Manifest) -> str:
    category = "" if manifest.category == PERSON else f" of category {manifest.category.name}"
    return escape(f"{manifest.dataset} {manifest.split}, {manifest.skeleton.name}{category}")


def _keypoints(counts: Statistics) -> Table:
    keypoints = Table("keypoint", "labelled", "of these hidden")
    for row in counts.keypoints:
        keypoints.add_row(escape(row.name), f"{row.labelled:.1%}", f"{row.hidden:.1%}")
    return keypoints


def _shards(dataset: ShardedDataset) -> Table:
    shards = Table("shard", "images", "instances", "MB")
    for shard in dataset.manifest.shards:
        shards.add_row(shard.tar, str(shard.images), str(shard.instances), f"{shard.tar_bytes / 1e6:.1f}")
    return shards


def _range(values: tuple[float, float, float] | None) -> str:
    return "–" if values is None else "min {:.2f}, median {:.2f}, max {:.2f}".format(*values)

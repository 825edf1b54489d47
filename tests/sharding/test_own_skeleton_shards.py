"""Splits with keypoints of the user's own: converted, described, verified; and built-in ones as they always were."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_skeleton import STAR, write_stars

from pose.skeleton_file import parse_skeleton, skeleton_to_dict
from pose.skeletons import CROWDPOSE_14, MPII_16, Skeleton
from sharding.convert import ConversionError, ConversionSettings, convert
from sharding.dataset import open_dataset
from sharding.ground_truth import ground_truth
from sharding.manifest import MANIFEST, Manifest, NotADatasetError, ShardInfo, read_manifest
from sharding.raw import read_raw
from sharding.records import AnnotationError, Category
from sharding.statistics import statistics
from sharding.statistics_table import statistics_tables
from sharding.storage import open_folder
from sharding.synthetic import SyntheticFiles
from sharding.verify import verify

STAR_5 = parse_skeleton(STAR, "star")
Convert = Callable[..., Manifest]


@pytest.fixture
def stars(mini_raw: Callable[[str], SyntheticFiles], tmp_path: Path) -> Path:
    return write_stars(mini_raw("coco"), tmp_path)


@pytest.fixture
def to_split(mini_raw: Callable[[str], SyntheticFiles], stars: Path, tmp_path: Path) -> Convert:
    """to_split(skeleton, category=…, out=…, annotations=…): convert the stars."""

    def run(skeleton: Skeleton | None = STAR_5, category: str | None = None, **others: Any) -> Manifest:
        raw = read_raw("coco", others.get("annotations", stars), "mini", skeleton, category)
        settings = ConversionSettings(mini_raw("coco").images, "mini", 150_000, check_images=False)
        out = open_folder(others.get("out", tmp_path / "mini"))
        return convert(raw, out, settings, others.get("on_images", lambda count: None))

    return run


def test_the_split_holds_the_whole_definition(to_split: Convert, tmp_path: Path) -> None:
    manifest = to_split()
    written = json.loads((tmp_path / "mini" / MANIFEST).read_text())
    assert written["skeleton"] == skeleton_to_dict(STAR_5)
    assert written["category"] == {"id": 5, "name": "star"}
    assert (manifest.rejected, manifest.notes) == (0, ["1 annotations of other categories than 'star' left out"])
    dataset = open_dataset(tmp_path / "mini")
    assert (dataset.manifest, dataset.skeleton) == (manifest, STAR_5)
    assert dataset.manifest.digest() == manifest.digest()
    assert dataset.instance_column("keypoints").all().shape[1:] == (5, 3)
    for sidecar in dataset.sidecars:
        assert json.loads(sidecar.schema.metadata[b"skeleton_definition"]) == skeleton_to_dict(STAR_5)
    assert verify(dataset.folder) == []


def test_the_ground_truth_is_the_sources(to_split: Convert, stars: Path, tmp_path: Path) -> None:
    to_split()
    truth, source = ground_truth(open_dataset(tmp_path / "mini")), json.loads(stars.read_text())
    category = {"id": 5, "name": "star", "supercategory": "star", "keypoints": STAR["keypoint_names"]}
    assert truth["categories"] == [category]
    expected = {row["id"]: row for row in source["annotations"] if row["category_id"] == 5}
    assert {row["id"] for row in truth["annotations"]} == set(expected)
    for row in truth["annotations"]:
        assert {key: row[key] for key in ("category_id", "image_id", "area", "num_keypoints", "iscrowd")} == {
            key: expected[row["id"]][key] for key in ("category_id", "image_id", "area", "num_keypoints", "iscrowd")
        }
        np.testing.assert_array_equal(row["keypoints"], expected[row["id"]]["keypoints"])


def test_inspect_shows_it(to_split: Convert, tmp_path: Path) -> None:
    to_split()
    dataset = open_dataset(tmp_path / "mini")
    counts = statistics(dataset)
    assert [row.name for row in counts.keypoints] == STAR["keypoint_names"]
    assert counts.trainable > 5
    shown = next(iter(statistics_tables(dataset, counts)[0].columns[1].cells))
    assert shown == "coco mini, star_5 of category star"


def test_another_definition_under_the_same_name_is_noticed(to_split: Convert, tmp_path: Path) -> None:
    to_split()
    other = parse_skeleton(STAR | {"oks_sigmas": [0.1] * 5}, "other")
    with pytest.raises(ConversionError, match="two definitions of star_5, which differ in oks_sigmas; choose another"):
        to_split(other)
    path = tmp_path / "mini" / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"skeleton": skeleton_to_dict(other)}))
    assert "its columns are not those of coco mini (star_5)" in verify(open_folder(tmp_path / "mini"))[0]


def test_a_killed_conversion_does_not_go_on_with_other_keypoints(to_split: Convert, tmp_path: Path) -> None:
    class Killed(BaseException):
        """Stands for a kill: nothing in the conversion catches it."""

    def kill_late(count: int) -> None:
        done.append(count)
        if sum(done) > 12:
            raise Killed

    done: list[int] = []
    with pytest.raises(Killed):
        to_split(on_images=kill_late)
    assert list((tmp_path / "mini").glob("mini-*.arrow"))  # shards that the same command would use again
    other = parse_skeleton(STAR | {"limbs": []}, "other")
    to_split(other)
    dataset = open_dataset(tmp_path / "mini")
    assert dataset.skeleton == other
    assert verify(dataset.folder) == []


@pytest.mark.parametrize(
    ("skeleton", "message"),
    [
        ({"name": "coco_17"}, "skeleton: .*keypoint_names: expected a list"),
        ("star_5", "skeleton: .*unknown skeleton 'star_5'; known: coco_17"),
        (skeleton_to_dict(MPII_16) | {"limbs": []}, "mpii_16 is the name of a built-in skeleton"),
        (7, "skeleton: .*expected a JSON object"),
    ],
)
def test_a_broken_definition_is_named(to_split: Convert, tmp_path: Path, skeleton: Any, message: str) -> None:
    to_split()
    path = tmp_path / "mini" / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | {"skeleton": skeleton}))
    with pytest.raises(NotADatasetError, match=message):
        read_manifest(open_folder(tmp_path / "mini"))


@pytest.mark.parametrize(
    ("categories", "name", "message"),
    [
        (
            [("star", 5, 5), ("egg", 7, 5)],
            None,
            "several categories with keypoints: .*--category NAME of 'star', 'egg'",
        ),
        ([("star", 5, 5), ("egg", 7, 0)], "nest", "has 0 categories 'nest': .* of 'star', 'egg'"),
        ([("star", 5, 5), ("star", 7, 5)], "star", "has 2 categories 'star'"),
        ([("star", 5, 4)], None, "category 'star' has the keypoints .*; names and order must be the same"),
        ([("star", -5, 5)], None, "category 'star': id must not be negative"),
        ([(None, 5, 5)], None, "a category's name must be a string, got None"),
        ([], "star", "has 0 categories 'star': choose one with --category NAME of none"),
    ],
)
def test_a_category_that_cannot_be_chosen(
    to_split: Convert, stars: Path, categories: list[tuple[Any, int, int]], name: str | None, message: str
) -> None:
    rows = [
        {"id": number, "name": category, "keypoints": STAR["keypoint_names"][:count]}
        for category, number, count in categories
    ]
    stars.write_text(json.dumps(json.loads(stars.read_text()) | {"categories": rows}))
    with pytest.raises(AnnotationError, match=message):
        to_split(STAR_5, name)


def test_keypoints_in_another_order_are_refused(to_split: Convert) -> None:
    turned = parse_skeleton(STAR | {"keypoint_names": STAR["keypoint_names"][::-1]}, "turned")
    with pytest.raises(AnnotationError, match="names and order must be the same: change the skeleton's file"):
        to_split(turned)


def test_one_of_several_categories_is_chosen_by_name(to_split: Convert, stars: Path, tmp_path: Path) -> None:
    content = json.loads(stars.read_text())
    for row in content["annotations"][::2]:
        row["category_id"] = 0
    content["categories"] = [{"id": 0, "name": "moon"}, {"id": 5, "name": "star"}]
    stars.write_text(json.dumps(content))
    moons, found = to_split(STAR_5, "moon"), to_split(STAR_5, "star", out=tmp_path / "stars")
    assert (moons.category, found.category) == (Category(0, "moon"), Category(5, "star"))
    assert moons.rejected == 0
    assert moons.instances + found.instances == sum(row["category_id"] in (0, 5) for row in content["annotations"])
    with pytest.raises(ConversionError, match="category 'moon' and 'star'; choose another --out"):
        to_split(STAR_5, "star")


def test_annotations_that_fit_no_category_are_listed(to_split: Convert, stars: Path, tmp_path: Path) -> None:
    content = json.loads(stars.read_text())
    content["annotations"][0]["category_id"] = 99
    content["annotations"][1]["keypoints"] = [1, 2, 3]
    stars.write_text(json.dumps(content))
    assert to_split().rejected == 2
    reasons = [json.loads(line)["reason"] for line in (tmp_path / "mini" / "rejects.jsonl").read_text().splitlines()]
    assert reasons == ["category 99 is not a star", "keypoints must be a list of 15 numbers, got 3 values"]


def test_other_layouts_have_keypoints_of_their_own(mini_raw: Callable[[str], SyntheticFiles]) -> None:
    for layout in ("mpii", "crowdpose"):
        with pytest.raises(AnnotationError, match=f"{layout} has keypoints of its own"):
            read_raw(layout, mini_raw(layout).annotations, "mini", STAR_5)


def test_built_in_keypoints_in_cocos_layout(mini_raw: Callable[[str], SyntheticFiles], tmp_path: Path) -> None:
    files = mini_raw("crowdpose")
    raw = read_raw("coco", files.annotations, "mini", CROWDPOSE_14)
    manifest = convert(raw, open_folder(tmp_path / "c"), ConversionSettings(files.images, "mini", check_images=False))
    written = json.loads((tmp_path / "c" / MANIFEST).read_text())
    assert (manifest.dataset, written["skeleton"], "category" in written) == ("coco", "crowdpose_14", False)
    assert verify(open_folder(tmp_path / "c")) == []


_SHARD = ShardInfo(
    tar="s-000000.tar", sidecar="s-000000.arrow", images=1, instances=2, tar_bytes=3, tar_sha256="cd",
    sidecar_bytes=4, sidecar_sha256="ef",
)  # fmt: skip
_BEFORE = (
    b'{\n "schema_version": 1,\n "dataset": "crowdpose",\n "split": "s",\n "skeleton": "crowdpose_14",\n "images": 1,\n'
    b' "instances": 2,\n "rejected": 0,\n "annotations_file": "a.json",\n "annotations_sha256": "ab",\n "notes": [\n'
    b'  "n"\n ],\n "shards": [\n  {\n   "tar": "s-000000.tar",\n   "sidecar": "s-000000.arrow",\n   "images": 1,\n'
    b'   "instances": 2,\n   "tar_bytes": 3,\n   "tar_sha256": "cd",\n   "sidecar_bytes": 4,\n'
    b'   "sidecar_sha256": "ef"\n  }\n ]\n}\n'
)


def test_manifests_of_built_in_skeletons_are_what_they_were(tmp_path: Path) -> None:
    """Runs compare splits by the digest of these bytes; they are those of the time when there were three skeletons."""
    manifest = Manifest(
        schema_version=1, dataset="crowdpose", split="s", skeleton=CROWDPOSE_14, images=1, instances=2, rejected=0,
        annotations_file="a.json", annotations_sha256="ab", notes=["n"], shards=[_SHARD],
    )  # fmt: skip
    assert manifest.to_json() == _BEFORE
    assert manifest.digest() == "f41d926d811459765d3c058fd2a8617fc3e41632daad3347a377a525f157a038"
    (tmp_path / MANIFEST).write_bytes(_BEFORE)
    assert read_manifest(open_folder(tmp_path)) == manifest

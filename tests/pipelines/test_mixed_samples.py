"""Persons of several splits as one set: each as its own split gives it, under common numbers and keypoints."""

from dataclasses import fields

import numpy as np
import pytest

from pipelines.mixed_samples import MixedSamples
from pipelines.pictures import PictureIndex
from pipelines.samples import Instances, annotated_samples, detected_samples
from pose.skeletons import COCO_17, CROWDPOSE_14, MPII_16
from sharding.dataset import open_dataset

SIZE, PADDING = (256, 192), 1.25
SAME = COCO_17.keypoint_names[5:]  # all of the limbs, none of the face
# What keypoints a split of the first skeleton gives for those of the second: (target, source).
PAIRS = {
    ("coco", "mpii"): [(name, name) for name in SAME],
    ("mpii", "coco"): [(name, name) for name in SAME],
    ("coco", "crowdpose"): [(name, name) for name in SAME],
    ("crowdpose", "mpii"): [*((name, name) for name in SAME), ("head_top", "head"), ("upper_neck", "neck")],
    ("mpii", "crowdpose"): [*((name, name) for name in SAME), ("head", "head_top"), ("neck", "upper_neck")],
}
SKELETON = {"coco": COCO_17, "mpii": MPII_16, "crowdpose": CROWDPOSE_14}


@pytest.fixture
def persons_of(mini_shards):
    """persons_of("coco") → the annotated persons of the mini split."""
    return lambda layout: annotated_samples(open_dataset(mini_shards(layout)))


@pytest.mark.parametrize("layouts", PAIRS, ids="+".join)
def test_keypoints_land_on_those_of_the_same_name(persons_of, layouts):
    """The first split's on the second one's skeleton, and the second one's stay."""
    common = PAIRS[layouts]
    first, second = map(persons_of, layouts)
    source, target = (SKELETON[layout] for layout in layouts)
    mixed = MixedSamples([first, second], [1, 1], target)
    assert mixed.skeleton is target
    own = first.take(np.arange(len(first)), SIZE, PADDING).keypoints
    taken = mixed.take(np.arange(len(mixed)), SIZE, PADDING).keypoints
    assert taken.shape == (len(first) + len(second), target.num_keypoints, 3)
    for name, source_name in common:
        np.testing.assert_array_equal(taken[: len(first), target.index(name)], own[:, source.index(source_name)])
    others = [target.index(name) for name in target.keypoint_names if name not in dict(common)]
    assert (taken[: len(first), others] == 0).all()
    assert (taken[: len(first), :, 2] > 0).any()
    np.testing.assert_array_equal(taken[len(first) :], second.take(np.arange(len(second)), SIZE, PADDING).keypoints)


@pytest.mark.parametrize("order", ["as they are", "shuffled", "backwards", "repeated", "of one split"])
def test_take_is_each_splits_own_take(persons_of, order):
    splits = [persons_of(layout) for layout in ("coco", "mpii", "crowdpose")]
    mixed = MixedSamples(splits, [1, 0.5, 2], COCO_17)
    firsts = np.cumsum([0, *map(len, splits)])
    samples = {
        "as they are": np.arange(len(mixed)),
        "shuffled": np.random.default_rng(0).permutation(len(mixed)),
        "backwards": np.arange(len(mixed))[::-1],
        "repeated": np.array([len(mixed) - 1, 0, 0, firsts[1], firsts[2], firsts[1] - 1, len(mixed) - 1]),
        "of one split": np.arange(firsts[1], firsts[2])[::-1],
    }[order]
    taken = mixed.take(samples, SIZE, PADDING)
    first_images = np.cumsum([0, *(split.dataset.num_images for split in splits)])
    for place, sample in enumerate(samples.tolist()):
        number = int(np.searchsorted(firsts, sample, side="right")) - 1
        own = splits[number].take(np.array([sample - firsts[number]]), SIZE, PADDING)
        for name in ("instance_ids", "box_scores", "center", "extent"):
            np.testing.assert_array_equal(getattr(taken, name)[place], getattr(own, name)[0])
        assert taken.image_rows[place] == own.image_rows[0] + first_images[number] == mixed.image_rows[sample]
        shoulder = splits[number].skeleton.index("left_shoulder")
        np.testing.assert_array_equal(
            taken.keypoints[place, COCO_17.index("left_shoulder")], own.keypoints[0, shoulder]
        )
    assert {len(getattr(taken, field.name)) for field in fields(Instances)} == {len(samples)}


def test_image_rows_are_those_of_the_picture_index(persons_of):
    """So that a sample's picture is the one in its own split."""
    splits = [persons_of(layout) for layout in ("mpii", "coco", "mpii")]
    mixed = MixedSamples(splits, [1, 1, 1], MPII_16)
    index = PictureIndex(mixed.datasets)
    assert (np.diff(mixed.image_rows) >= 0).all()
    assert mixed.image_rows[-1] < len(index)
    ids = [split.dataset.image_column("image_id").all()[split.image_rows] for split in splits]
    np.testing.assert_array_equal(index.image_ids(mixed.image_rows), np.concatenate(ids))
    place = index.places(mixed.image_rows[-1:])[0]
    assert index.shard(place.shard)[0] == splits[2].dataset.folder
    assert [(part.count, part.weight) for part in mixed.parts] == [(len(split), 1) for split in splits]


def test_a_split_without_persons_changes_nothing(persons_of):
    coco, mpii = persons_of("coco"), persons_of("mpii")
    nobody = detected_samples(coco.dataset, [])
    mixed = MixedSamples([coco, nobody, mpii], [1, 1, 1], COCO_17)
    taken = mixed.take(np.arange(len(mixed)), SIZE, PADDING)
    assert len(mixed) == len(coco) + len(mpii)
    expected = mpii.image_rows + 2 * coco.dataset.num_images
    np.testing.assert_array_equal(taken.image_rows[len(coco) :], expected)
    np.testing.assert_array_equal(mixed.image_rows[len(coco) :], expected)


def test_an_instance_is_found_in_the_first_split_that_has_it(persons_of):
    coco, crowdpose = persons_of("coco"), persons_of("crowdpose")
    ids = [split.take(np.arange(len(split)), SIZE, PADDING).instance_ids for split in (coco, crowdpose)]
    mixed = MixedSamples([coco, crowdpose], [1, 1], COCO_17)
    everything = mixed.take(np.arange(len(mixed)), SIZE, PADDING).instance_ids
    assert set(ids[0].tolist()) & set(ids[1].tolist())  # numbers mean something in their own split only
    for instance_id in set(everything.tolist()):
        found = mixed.find(instance_id)
        assert found == np.flatnonzero(everything == instance_id)[0]
    only_second = MixedSamples([detected_samples(coco.dataset, []), crowdpose], [1, 1], COCO_17)
    assert only_second.find(int(ids[1][-1])) == len(crowdpose) - 1
    assert mixed.find(10**9) is None


def test_what_cannot_be_mixed_is_refused(persons_of):
    coco = persons_of("coco")
    with pytest.raises(ValueError, match="argument"):
        MixedSamples([coco, coco], [1], COCO_17)
    with pytest.raises(ValueError, match="weight must be positive, got 0"):
        MixedSamples([coco, coco], [1, 0], COCO_17)

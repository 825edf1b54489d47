"""Pictures as samples: which ones, who is in them, and several splits as one."""

import numpy as np
import pytest

from pipelines.bottomup_samples import BottomUpSamples
from pipelines.epoch_samples import Part
from pipelines.plan import EmptyPlanError
from pose.skeleton_mapping import MISSING, keypoint_sources
from pose.skeletons import COCO_17, CROWDPOSE_14

LABELLED = np.tile([20.0, 30.0, 2.0], (17, 1))
UNLABELLED = np.zeros((17, 3))


@pytest.fixture(scope="module")
def mixed_pictures(write_split, painted, encode):
    """Nobody; one labelled; one unlabelled; an unlabelled and a labelled one whose box has no width."""
    lone = np.zeros((17, 3))
    lone[[0, 5, 9]] = [(20, 30, 2), (26, 44, 1), (22, 90, 2)]
    persons = [[], [LABELLED], [UNLABELLED], [UNLABELLED, lone]]
    boxes = [[], [[5, 6, 40, 50]], [[1, 2, 30, 20]], [[1, 2, 10, 20], [20, 30, 0, 60]]]
    data = encode(np.zeros((96, 80, 3), dtype=np.uint8), "PNG")
    return write_split(
        [painted(data, (96, 80), list(zip(b, p, strict=True))) for b, p in zip(boxes, persons, strict=True)]
    )


@pytest.mark.parametrize(("pictures", "rows"), [("labelled", [1, 3]), ("annotated", [1, 2, 3]), ("all", [0, 1, 2, 3])])
def test_which_pictures(mixed_pictures, pictures, rows):
    samples = BottomUpSamples([mixed_pictures], pictures=pictures)
    assert samples.image_rows.tolist() == rows
    assert len(samples) == len(rows)
    assert samples.parts == [Part(len(rows))]


def test_an_unknown_choice_and_a_split_without_pictures_are_refused(mixed_pictures, write_split, painted, encode):
    with pytest.raises(ValueError, match="pictures must be 'labelled', 'annotated' or 'all', got 'some'"):
        BottomUpSamples([mixed_pictures], pictures="some")
    nobody = write_split([painted(encode(np.zeros((9, 9, 3), dtype=np.uint8), "PNG"), (9, 9))])
    with pytest.raises(EmptyPlanError, match=rf"{nobody.folder.uri} has no picture to train on"):
        BottomUpSamples([mixed_pictures, nobody])


def test_persons_of_pictures_in_any_order(mixed_pictures):
    persons = BottomUpSamples([mixed_pictures]).persons(np.array([3, 0, 1, 3]))
    assert persons.picture.tolist() == [0, 0, 2, 3, 3]
    assert persons.instance_ids.tolist() == [3, 4, 1, 3, 4]
    assert (persons.keypoints[:, :, 2] > 0).sum(axis=1).tolist() == [0, 3, 17, 0, 3]
    np.testing.assert_array_equal(persons.keypoints[2], LABELLED)


def test_a_box_without_an_area_becomes_that_of_the_keypoints(mixed_pictures):
    """Its person would otherwise be background with keypoints in it."""
    persons = BottomUpSamples([mixed_pictures]).persons(np.array([3]))
    np.testing.assert_array_equal(persons.box_xywh, [[1, 2, 10, 20], [20, 30, 6, 60]])
    np.testing.assert_allclose(persons.areas, [200, 0.53 * 6 * 60])


def test_no_pictures_have_no_persons(mixed_pictures):
    persons = BottomUpSamples([mixed_pictures]).persons(np.array([], dtype=np.int64))
    assert persons.keypoints.shape == (0, 17, 3)
    assert len(persons.areas) == 0


def test_crowds_are_no_persons(mini_coco):
    everything = BottomUpSamples([mini_coco], pictures="all").persons(np.arange(mini_coco.num_images))
    crowds = mini_coco.instance_column("iscrowd").all() == 1
    assert crowds.any()
    ids = mini_coco.instance_column("instance_id").all()
    assert everything.instance_ids.tolist() == ids[~crowds].tolist()
    assert everything.picture.tolist() == mini_coco.instance_images[~crowds].tolist()
    np.testing.assert_array_equal(everything.areas, mini_coco.instance_column("area").all()[~crowds])


def test_crowdpose_has_no_areas_and_takes_its_evaluators(mini_crowdpose):
    persons = BottomUpSamples([mini_crowdpose]).persons(np.arange(16))
    boxes = mini_crowdpose.instance_column("box_xywh").all()
    np.testing.assert_allclose(persons.areas, 0.53 * boxes[:, 2] * boxes[:, 3])


@pytest.mark.parametrize("skeleton", [COCO_17, CROWDPOSE_14])
def test_two_splits_are_numbered_through_and_share_a_skeleton(mini_coco, mini_crowdpose, skeleton):
    splits = [mini_coco, mini_crowdpose]
    samples = BottomUpSamples(splits, weights=[1, 0.5], skeleton=skeleton)
    assert samples.parts == [Part(16, 1), Part(16, 0.5)]
    assert samples.image_rows.tolist() == list(range(32))
    rows = np.array([20, 3, 16, 15])
    persons, known = samples.persons(rows), samples.annotated(rows)
    assert (np.diff(persons.picture) >= 0).all()
    for place, (split, own) in enumerate([(1, 4), (0, 3), (1, 0), (0, 15)]):
        here = persons.picture == place
        alone = BottomUpSamples([splits[split]]).persons(np.array([own]))
        assert persons.instance_ids[here].tolist() == alone.instance_ids.tolist()
        sources = np.array(keypoint_sources(splits[split].skeleton, skeleton))
        missing = sources == MISSING
        np.testing.assert_array_equal(known[place], ~missing)
        np.testing.assert_array_equal(persons.keypoints[here][:, ~missing], alone.keypoints[:, sources[~missing]])
        assert not persons.keypoints[here][:, missing].any()
    assert samples.annotated(np.array([0])).all() == (skeleton is COCO_17)

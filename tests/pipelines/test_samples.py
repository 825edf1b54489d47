"""Which boxes become samples, and the regions they show."""

import math

import numpy as np
import pytest

from pipelines.samples import NO_INSTANCE, annotated_samples, detected_samples
from pose.crop import box_to_center_extent, mpii_center_extent
from sharding.dataset import open_dataset
from sharding.testing import MINI_IMAGES

SIZE = (256, 192)


def detection(image_id, box, score=0.5, **more):
    return {"image_id": image_id, "bbox": box, "score": score, "category_id": 1} | more


@pytest.mark.parametrize("layout", ["coco", "mpii", "crowdpose"])
def test_annotated_samples_are_the_trainable_instances(mini_shards, layout):
    split = open_dataset(mini_shards(layout))
    samples = annotated_samples(split)
    expected_ids, expected_images = [], []
    for sidecar in split.sidecars:
        for row in sidecar.to_pylist():
            for instance in row["instances"]:
                labelled = any(visibility > 0 for _, _, visibility in instance["keypoints"])
                if labelled and not instance["iscrowd"] and min(instance["box_xywh"][2:]) > 0:
                    expected_ids.append(instance["instance_id"])
                    expected_images.append(row["image_id"])
    everything = samples.take(np.arange(len(samples)), SIZE, 1.25)
    assert len(samples) == len(expected_ids) > MINI_IMAGES // 2
    assert everything.instance_ids.tolist() == expected_ids
    assert split.image_column("image_id").all()[everything.image_rows].tolist() == expected_images
    assert (np.diff(samples.image_rows) >= 0).all()
    assert everything.box_scores.tolist() == [1.0] * len(samples)


def test_taking_samples_in_any_order_gives_their_own_values(mini_coco):
    samples = annotated_samples(mini_coco)
    everything = samples.take(np.arange(len(samples)), SIZE, 1.25)
    some = np.array([20, 3, 3, 11, 0])
    taken = samples.take(some, SIZE, 1.25)
    for name in ("image_rows", "instance_ids", "box_scores", "center", "extent", "keypoints"):
        np.testing.assert_array_equal(getattr(taken, name), getattr(everything, name)[some])


def test_coco_regions_come_from_the_box(mini_coco):
    samples = annotated_samples(mini_coco)
    boxes = mini_coco.instance_column("box_xywh").all()[mini_coco.trainable]
    for padding in (1.0, 1.25):
        taken = samples.take(np.arange(len(samples)), SIZE, padding)
        center, extent = box_to_center_extent(boxes, SIZE, padding)
        np.testing.assert_array_equal(taken.center, center)
        np.testing.assert_array_equal(taken.extent, extent)


def test_mpii_regions_come_from_centre_and_scale(mini_mpii):
    samples = annotated_samples(mini_mpii)
    taken = samples.take(np.arange(len(samples)), (256, 256), 1.25)
    trainable = mini_mpii.trainable
    centers = mini_mpii.instance_column("center").all()[trainable]
    scales = mini_mpii.instance_column("scale").all()[trainable]
    center, extent = mpii_center_extent(centers, scales)
    np.testing.assert_array_equal(taken.center, center)
    np.testing.assert_array_equal(taken.extent, extent)
    assert np.isfinite(taken.extent).all()


def test_detections_are_sorted_by_image_and_keep_their_boxes_and_scores(mini_coco):
    ids = mini_coco.image_column("image_id").all().tolist()
    rows = [
        detection(ids[9], [1, 2, 30, 40], 0.9),
        detection(ids[2], [3, 4, 50, 60], 0.8),
        detection(ids[9], [5, 6, 70, 80], 0.7),
        detection(ids[0], [7, 8, 90, 10], 0.6),
    ]
    samples = detected_samples(mini_coco, rows)
    assert samples.image_rows.tolist() == [0, 2, 9, 9]
    taken = samples.take(np.arange(4), SIZE, 1.25)
    assert taken.box_scores.tolist() == [0.6, 0.8, 0.9, 0.7]
    center, extent = box_to_center_extent(np.array([rows[n]["bbox"] for n in (3, 1, 0, 2)], dtype=float), SIZE)
    np.testing.assert_array_equal(taken.center, center)
    np.testing.assert_array_equal(taken.extent, extent)
    assert taken.instance_ids.tolist() == [NO_INSTANCE] * 4
    assert taken.keypoints.shape == (4, 17, 3)
    assert not taken.keypoints.any()


def test_other_categories_and_empty_boxes_are_left_out(mini_coco):
    image = int(mini_coco.image_column("image_id").all()[0])
    rows = [
        detection(image, [0, 0, 10, 10], 0.1),
        detection(image, [0, 0, 10, 10], 0.2, category_id=18),
        detection(image, [0, 0, 0, 10], 0.3),
        detection(image, [0, 0, 10, -1], 0.4),
        {"image_id": image, "bbox": [0, 0, 10, 10], "score": 0.5},  # no category: a person
    ]
    assert detected_samples(mini_coco, rows).take(np.arange(2), SIZE, 1.25).box_scores.tolist() == [0.1, 0.5]
    assert len(detected_samples(mini_coco, [])) == 0


def test_boxes_in_images_that_conversion_refused_are_left_out(mini_coco):
    image = int(mini_coco.image_column("image_id").all()[0])
    samples = detected_samples(mini_coco, [detection(987654321, [0, 0, 9, 9]), detection(image, [0, 0, 9, 9])])
    assert mini_coco.image_column("image_id").all()[samples.image_rows].tolist() == [image]


@pytest.mark.parametrize(
    "wrong",
    [
        [{"image_id": 1, "bbox": [0, 0, 9, 9]}],
        [{"image_id": 1, "score": 1.0}],
        [{"bbox": [0, 0, 9, 9], "score": 1.0}],
        [detection(1, [0, 0, 9, 9, 9])] * 4,
        [detection(1, [0, 0, 9])] * 4,
        [detection(1, "box")],
        [detection(1, [0, 0, 9, 9], None), detection(1, [0, 0, 9, 9], "high")],
        [7],
        {"images": [], "annotations": []},
    ],
    ids=str,
)
def test_malformed_detections_are_refused(mini_coco, wrong):
    with pytest.raises(ValueError, match="detections must be a list"):
        detected_samples(mini_coco, wrong)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("place", range(4))
def test_boxes_that_are_not_finite_are_refused(mini_coco, bad, place):
    """They would end as a black crop, or as an error in the middle of a run."""
    box = [10.0, 10.0, 20.0, 20.0]
    box[place] = bad
    image = int(mini_coco.image_column("image_id").all()[0])
    with pytest.raises(ValueError, match=rf"not finite.*{bad}"):
        detected_samples(mini_coco, [detection(image, box)])

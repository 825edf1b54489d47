"""Augmentation: how often, how far, and the half body of the public code as a loop."""

import dataclasses
import re

import numpy as np
import pytest

from pipelines.augmentation import Augmentation, augment, channel_gains
from pipelines.counter_rng import uniform
from pose.crop import box_to_center_extent
from pose.skeletons import COCO_17, CROWDPOSE_14, MPII_16

COUNT = 20_000
CROP_SIZE = (256, 192)
IDS = np.arange(COUNT) * 7 + 13
PINNED = {  # of instances 3, 42 and 183126 at seed 7 in epoch 2
    "normal scale": [0.7926623, 0.65, 0.8533277],
    "normal rotation": [-58.6995951, 19.329002, -6.1027793],
    "mirror": [False, False, True],
    "center": [[299.6181858, 202.31072], [303.2282458, 194.4749173], [291.2341241, 203.5404086]],
    "uniform scale": [1.1664352, 1.3318572, 0.778479],
    "uniform rotation": [5.5459503, -30.9267288, 16.0208836],
    "gains": [[1.0826055, 0.8783759, 1.070649], [1.0929412, 1.0683621, 1.0998347], [1.1086006, 0.8908164, 0.874535]],
}


def varied(augmentation, skeleton=COCO_17, seed=0, epoch=0, ids=IDS, keypoints=None):
    """Regions of a box of 60 x 120 px around (300, 200), one for each id."""
    count = len(ids)
    center, extent = box_to_center_extent(np.tile([270.0, 140.0, 60.0, 120.0], (count, 1)), CROP_SIZE)
    if keypoints is None:
        keypoints = np.zeros((count, skeleton.num_keypoints, 3))
    before = [array.copy() for array in (center, extent, keypoints)]
    regions = augment(augmentation, skeleton, CROP_SIZE, center, extent, keypoints, (seed, epoch, ids))
    for array, kept in zip((center, extent, keypoints), before, strict=True):
        np.testing.assert_array_equal(array, kept)  # nothing is changed in place
    return regions, center, extent


def test_switched_off_it_changes_nothing():
    keypoints = random_persons(COUNT)
    regions, center, extent = varied(Augmentation(), keypoints=keypoints)
    np.testing.assert_array_equal(regions.center, center)
    np.testing.assert_array_equal(regions.extent, extent)
    assert not regions.rotation.any()
    assert not regions.mirror.any()


@pytest.mark.parametrize("probability", [0.0, 0.1, 0.5, 1.0])
def test_flip_probability(probability):
    regions, _, _ = varied(Augmentation(flip_probability=probability))
    assert regions.mirror.mean() == pytest.approx(probability, abs=0 if probability in (0, 1) else 0.012)


def test_rotation():
    regions, _, _ = varied(Augmentation(rotation_factor=40, rotation_probability=0.6))
    angles = regions.rotation[regions.rotation != 0]
    assert len(angles) / COUNT == pytest.approx(0.6, abs=0.012)
    assert (angles.min(), angles.max()) == (-80, 80)  # clipped at twice the factor
    assert (np.abs(angles) == 80).mean() == pytest.approx(0.0455, abs=0.006)
    assert (np.abs(angles) < 40).mean() == pytest.approx(0.6827, abs=0.015)
    assert angles.mean() == pytest.approx(0, abs=1.2)


def test_scale():
    regions, _, extent = varied(Augmentation(scale_factor=0.35))
    factors = regions.extent / extent
    np.testing.assert_allclose(factors[:, 0], factors[:, 1])
    assert (factors.min(), factors.max()) == pytest.approx((0.65, 1.35))  # clipped at the factor
    clipped = np.isclose(factors[:, 0], 0.65) | np.isclose(factors[:, 0], 1.35)
    assert clipped.mean() == pytest.approx(0.3173, abs=0.015)
    assert factors.mean() == pytest.approx(1, abs=0.006)


def test_uniform_scale():
    regions, _, extent = varied(Augmentation(scale_range=(0.7, 1.35)))
    factors = regions.extent / extent
    np.testing.assert_allclose(factors[:, 0], factors[:, 1])
    shares = np.histogram(factors[:, 0], bins=10, range=(0.7, 1.35))[0] / COUNT
    np.testing.assert_allclose(shares, 0.1, atol=0.01)  # all of them in the range, none more often
    same, _, _ = varied(Augmentation(scale_range=(1.2, 1.2)))
    np.testing.assert_allclose(same.extent, 1.2 * extent)


def test_uniform_rotation():
    regions, _, _ = varied(Augmentation(rotation_range=45, rotation_probability=0.5))
    angles = regions.rotation[regions.rotation != 0]
    assert len(angles) / COUNT == pytest.approx(0.5, abs=0.012)
    shares = np.histogram(angles, bins=10, range=(-45, 45))[0] / len(angles)
    np.testing.assert_allclose(shares, 0.1, atol=0.015)


def test_uniform_draws_leave_all_others_as_they_are():
    normal = Augmentation(0.35, 45, 0.6, 0.5, translation_factor=0.1)
    uniform_ones = dataclasses.replace(
        normal, scale_factor=0, scale_range=(0.5, 2), rotation_factor=0, rotation_range=90, channel_gain=0.5
    )
    (one, center, _), (other, _, _) = varied(normal), varied(uniform_ones)
    np.testing.assert_array_equal(one.mirror, other.mirror)
    np.testing.assert_array_equal(one.rotation != 0, other.rotation != 0)
    shifts = [(regions.center - center) / regions.extent[:, ::-1] for regions in (one, other)]
    np.testing.assert_allclose(*shifts)
    assert (one.extent != other.extent).all()


def test_channel_gains():
    gains = channel_gains(Augmentation(channel_gain=0.2), (0, 0, IDS))
    assert (gains.shape, gains.dtype) == ((COUNT, 3), np.float32)
    for channel in range(3):
        shares = np.histogram(gains[:, channel], bins=10, range=(0.8, 1.2))[0] / COUNT
        np.testing.assert_allclose(shares, 0.1, atol=0.01)
    assert channel_gains(Augmentation(), (0, 0, IDS)) is None


def test_channel_gains_depend_on_seed_epoch_and_id_alone():
    augmentation = Augmentation(channel_gain=0.2)
    gains = channel_gains(augmentation, (3, 5, IDS))
    order = np.random.default_rng(0).permutation(COUNT)
    np.testing.assert_array_equal(channel_gains(augmentation, (3, 5, IDS[order])), gains[order])
    np.testing.assert_array_equal(channel_gains(augmentation, (3, np.full(COUNT, 5), IDS)), gains)
    for seed, epoch in ((4, 5), (3, 6)):
        assert (channel_gains(augmentation, (seed, epoch, IDS)) != gains).mean() > 0.99


def test_the_draws_of_an_instance_stay_as_they_were():
    """Pinned: a run that is resumed with a newer version sees the same crops."""
    ids = np.array([3, 42, 183126])
    normal, _, _ = varied(Augmentation(0.35, 45, 1.0, 0.5, translation_factor=0.1), seed=7, epoch=2, ids=ids)
    ranges = Augmentation(scale_range=(0.7, 1.35), rotation_range=45, rotation_probability=1.0, channel_gain=0.2)
    uniform_ones, _, extent = varied(ranges, seed=7, epoch=2, ids=ids)
    found = {
        "normal scale": normal.extent[:, 0] / extent[:, 0],
        "normal rotation": normal.rotation,
        "mirror": normal.mirror,
        "center": normal.center,
        "uniform scale": uniform_ones.extent[:, 0] / extent[:, 0],
        "uniform rotation": uniform_ones.rotation,
        "gains": channel_gains(ranges, (7, 2, ids)),
    }
    for name, values in PINNED.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-6, err_msg=name)


def test_translation():
    augmentation = Augmentation(translation_factor=0.2)
    regions, center, extent = varied(augmentation)
    shift = (regions.center - center) / extent[:, ::-1]
    assert np.abs(shift).max() <= 0.2
    assert shift.max(axis=0) == pytest.approx(0.2, abs=1e-3)
    assert shift.std(axis=0) == pytest.approx(0.2 / np.sqrt(3), abs=0.003)
    assert np.corrcoef(shift.T)[0, 1] == pytest.approx(0, abs=0.03)
    # It is a share of the region as scaled, not of the box.
    scaled, _, _ = varied(dataclasses.replace(augmentation, scale_factor=0.3))
    np.testing.assert_allclose((scaled.center - center) / scaled.extent[:, ::-1], shift)


@pytest.mark.parametrize(
    "everything",
    [
        Augmentation(0.35, 45, 0.6, 0.5, 0.3, translation_factor=0.1, channel_gain=0.2),
        Augmentation(
            flip_probability=0.5, translation_factor=0.1, scale_range=(0.7, 1.3), rotation_range=45, channel_gain=0.2
        ),
    ],
    ids=["normal", "uniform"],
)
def test_the_parts_are_independent(everything):
    regions, center, extent = varied(everything)
    shift = regions.center - center
    parts = [regions.extent[:, 0] / extent[:, 0], regions.rotation, regions.mirror, shift[:, 0], shift[:, 1]]
    parts.append(regions.rotation != 0)
    parts.extend(channel_gains(everything, (0, 0, IDS)).T)
    correlation = np.corrcoef(np.array(parts, dtype=float))
    assert np.abs(correlation - np.eye(len(parts))).max() < 0.03


def test_draws_depend_on_seed_epoch_and_id_alone():
    everything = Augmentation(0.35, 45, 0.6, 0.5, 0.3, translation_factor=0.1)
    keypoints = random_persons(200)
    regions, _, _ = varied(everything, ids=IDS[:200], keypoints=keypoints)
    order = np.random.default_rng(0).permutation(200)
    shuffled, _, _ = varied(everything, ids=IDS[order], keypoints=keypoints[order])
    alone, _, _ = varied(everything, ids=IDS[7:8], keypoints=keypoints[7:8])
    for name in ("center", "extent", "rotation", "mirror"):
        values = getattr(regions, name)
        np.testing.assert_array_equal(getattr(shuffled, name), values[order])
        np.testing.assert_array_equal(getattr(alone, name), values[7:8])
    for other in ({"seed": 1}, {"epoch": 1}):
        changed, _, _ = varied(everything, ids=IDS[:200], keypoints=keypoints, **other)
        assert (changed.extent != regions.extent).any(axis=1).mean() > 0.5
        assert (changed.mirror != regions.mirror).mean() > 0.3


def random_persons(count, skeleton=COCO_17, seed=0):
    """(count, K, 3): from nobody labelled to everything labelled, some with one half only."""
    rng = np.random.default_rng(seed)
    keypoints = np.concatenate(
        [rng.uniform(0, 400, (count, skeleton.num_keypoints, 2)), np.zeros((count, skeleton.num_keypoints, 1))], axis=2
    )
    labelled = rng.random((count, skeleton.num_keypoints)) < rng.uniform(0.3, 1.1, (count, 1))
    labelled[:, list(skeleton.lower_body)] &= rng.random((count, 1)) < 0.8
    labelled[:, list(skeleton.upper_body)] &= rng.random((count, 1)) < 0.9
    keypoints[:, :, 2] = labelled * rng.choice([1, 2], labelled.shape)
    keypoints[~labelled] = 0
    return keypoints


def half_body_of_one(keypoints, skeleton, crop_size, wants_upper):
    """half_body_transform of the public code: centre and (width, height), or None."""
    aspect = crop_size[1] / crop_size[0]
    upper, lower = [], []
    for k in range(skeleton.num_keypoints):
        if keypoints[k, 2] > 0:
            (upper if k in skeleton.upper_body else lower).append(keypoints[k, :2])
    selected = upper if wants_upper and len(upper) > 2 else lower if len(lower) > 2 else upper
    if len(selected) < 2:
        return None
    low, high = np.min(selected, axis=0), np.max(selected, axis=0)
    width, height = high - low
    if width > aspect * height:
        height = width / aspect
    elif width < aspect * height:
        width = height * aspect
    return np.mean(selected, axis=0), np.array([width, height]) * 1.5


@pytest.mark.parametrize("skeleton", [COCO_17, MPII_16, CROWDPOSE_14], ids=lambda skeleton: skeleton.name)
@pytest.mark.parametrize("crop_size", [CROP_SIZE, (256, 256)])
@pytest.mark.parametrize(("upper_probability", "minimum"), [(0.0, 8), (1.0, 8), (0.6915, 3), (0.5, 2)])
def test_half_body_equals_the_public_code(skeleton, crop_size, upper_probability, minimum):
    count = 400
    ids, keypoints = IDS[:count], random_persons(count, skeleton, seed=4)
    center, extent = box_to_center_extent(np.tile([270.0, 140.0, 60.0, 120.0], (count, 1)), crop_size)
    augmentation = Augmentation(
        half_body_probability=0.7,
        half_body_min_keypoints=minimum,
        half_body_upper_probability=upper_probability,
    )
    regions = augment(augmentation, skeleton, crop_size, center, extent, keypoints, (5, 1, ids))
    tried, wants_upper = uniform(5, 1, ids, 18) < 0.7, uniform(5, 1, ids, 19) < upper_probability
    cut = 0
    for n in range(count):
        expected = (center[n], extent[n, ::-1])
        if tried[n] and (keypoints[n, :, 2] > 0).sum() > minimum:
            half = half_body_of_one(keypoints[n], skeleton, crop_size, wants_upper[n])
            cut += half is not None
            expected = half or expected
        np.testing.assert_allclose(regions.center[n], expected[0])
        np.testing.assert_allclose(regions.extent[n, ::-1], expected[1])
    assert cut > 40


def full_persons(count):
    """Everybody's upper half around (100, 100), the lower one around (300, 300)."""
    keypoints = np.full((count, 17, 3), 2.0)
    spread = np.linspace(-20, 20, 17)[:, None]
    keypoints[:, :, :2] = np.where(np.arange(17)[:, None] < 11, 100, 300) + spread
    return keypoints


@pytest.mark.parametrize("upper_probability", [0.5, 0.6915])
def test_how_often_a_half_is_taken_and_which(upper_probability):
    """`randn() < 0.5` of the public code is true in 69.15 % of cases."""
    augmentation = Augmentation(half_body_probability=0.3, half_body_upper_probability=upper_probability)
    regions, center, _ = varied(augmentation, keypoints=full_persons(COUNT))
    cut = (regions.center != center).any(axis=1)
    assert cut.mean() == pytest.approx(0.3, abs=0.012)
    assert (regions.center[cut, 0] < 200).mean() == pytest.approx(upper_probability, abs=0.02)


@pytest.mark.parametrize(("labelled", "cut"), [(8, False), (9, True)])
def test_half_body_needs_more_than_eight_keypoints(labelled, cut):
    keypoints = full_persons(100)
    keypoints[:, labelled:] = 0
    regions, center, _ = varied(Augmentation(half_body_probability=1.0), ids=IDS[:100], keypoints=keypoints)
    assert (regions.center != center).any(axis=1).all() == cut
    assert (regions.center != center).any() == cut


def test_half_body_of_keypoints_on_one_spot_still_has_an_extent():
    keypoints = np.tile([50.0, 60.0, 2.0], (100, 17, 1))
    regions, _, _ = varied(Augmentation(half_body_probability=1.0), ids=IDS[:100], keypoints=keypoints)
    assert np.isfinite(regions.extent).all()
    assert (regions.extent >= 1).all()


@pytest.mark.parametrize(
    "wrong",
    [
        {"flip_probability": 1.1},
        {"flip_probability": -0.1},
        {"rotation_probability": float("nan")},
        {"half_body_probability": 2},
        {"half_body_upper_probability": -1},
        {"scale_factor": 1.0},
        {"scale_factor": -0.1},
        {"rotation_factor": -1.0},
        {"rotation_factor": float("nan")},
        {"translation_factor": -0.1},
        {"scale_range": (0, 1)},
        {"scale_range": (1.2, 0.8)},
        {"scale_range": (0.5, float("nan"))},
        {"rotation_range": -1.0},
        {"rotation_range": float("nan")},
        {"channel_gain": -0.1},
        {"channel_gain": 1.0},
    ],
    ids=str,
)
def test_impossible_settings_are_refused_by_name_and_value(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=rf"{name} must .*got {re.escape(str(value))}"):
        Augmentation(**wrong)


@pytest.mark.parametrize(("kind", "value"), [("scale", (0.7, 1.3)), ("rotation", 45)])
def test_normal_and_uniform_draws_exclude_each_other(kind, value):
    message = f"{kind}_factor and {kind}_range exclude each other, got 0.3 and {value}"
    with pytest.raises(ValueError, match=re.escape(message)):
        Augmentation(**{f"{kind}_factor": 0.3, f"{kind}_range": value})

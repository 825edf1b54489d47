"""Augmentation of whole pictures: the distributions of specs 3.4, and draws that depend on nothing but the picture."""

import numpy as np
import pytest
from scipy import stats

from pipelines.bottomup_augmentation import BottomUpAugmentation, augment_pictures
from pose.crop import crop_matrices, transform_points

SPECS = BottomUpAugmentation(
    scale_min=0.75, scale_max=1.5, max_rotation=30, translation_factor=0.2, flip_probability=0.5
)
COUNT = 20_000


def pictures(count=COUNT):
    """Sizes (N, 2), short side 200 to 600 px, of both orientations."""
    return np.random.default_rng(3).integers(200, 600, (count, 2))


def regions(augmentation=SPECS, sizes=None, fit="short", seed=0, epoch=0, ids=None):
    sizes = pictures() if sizes is None else sizes
    ids = np.arange(len(sizes)) if ids is None else ids
    return augment_pictures(augmentation, sizes, fit, (seed, epoch, ids))


def test_scale_rotation_translation_and_flip_are_distributed_as_in_the_specs():
    sizes, drawn = pictures(), regions()
    short = sizes.min(axis=1)
    scale = drawn.extent[:, 0] / short
    # ±40 of what the public code counts in 200ths of the shown region's side.
    shift = (drawn.center - sizes[:, ::-1] / 2) / (40 * scale * short / 200)[:, None]
    for values, low, high in (
        (scale, 0.75, 1.5),
        (drawn.rotation, -30, 30),
        (shift[:, 0], -1, 1),
        (shift[:, 1], -1, 1),
    ):
        assert low <= values.min() < values.max() <= high
        assert stats.kstest(values, stats.uniform(low, high - low).cdf).pvalue > 0.01
    assert abs(drawn.mirror.mean() - 0.5) < 0.015
    np.testing.assert_array_equal(drawn.extent[:, 0], drawn.extent[:, 1])


def test_draws_are_independent_of_each_other():
    sizes, drawn = pictures(), regions()
    shift = (drawn.center - sizes[:, ::-1] / 2) / drawn.extent
    values = np.stack([drawn.extent[:, 0] / sizes.min(axis=1), drawn.rotation, *shift.T, drawn.mirror])
    correlations = np.corrcoef(values) - np.eye(len(values))
    assert np.abs(correlations).max() < 0.03


def test_a_picture_alone_in_another_place_is_drawn_alike():
    whole = regions()
    some = np.array([17, 3, 11_000])
    alone = regions(sizes=pictures()[some], ids=some)
    for name in ("center", "extent", "rotation", "mirror"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(whole, name)[some])


def test_seed_pass_and_picture_all_change_the_draw():
    sizes, one = np.array([[300, 400]]), np.array([5])
    draws = [
        regions(sizes=sizes, seed=seed, epoch=epoch, ids=one + ids).rotation[0]
        for seed, epoch, ids in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))
    ]
    assert len(set(draws)) == 4
    by_picture = regions(sizes=np.repeat(sizes, 2, axis=0), epoch=np.array([0, 1]), ids=np.array([5, 5]))
    assert by_picture.rotation.tolist() == [draws[0], draws[2]]


@pytest.mark.parametrize(
    ("fit", "size", "first", "last"),
    [
        ("short", (400, 320), (0, -64), (512, 576)),
        ("short", (320, 400), (-64, 0), (576, 512)),
        ("long", (320, 240), (64, 0), (448, 512)),
        ("long", (240, 320), (0, 64), (512, 448)),
    ],
)
def test_without_augmentation_a_picture_is_centred_and_its_side_spans_the_crop(fit, size, first, last):
    """(height, width) of a picture, and where its first and last corner lie in a crop of 512 px."""
    drawn = regions(BottomUpAugmentation(), np.array([size]), fit)
    matrices = crop_matrices(drawn.center, drawn.extent, (512, 512), "hrnet", drawn.rotation, drawn.mirror)
    corners = transform_points(matrices, np.array([[(0.0, 0.0), size[::-1]]]))
    np.testing.assert_allclose(corners[0], [first, last], atol=1e-9)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scale_min": 1.2}, "scale_min <= scale_max must hold, got 1.2 and 1.0"),
        ({"scale_min": 0.0}, "0 < scale_min"),
        ({"scale_max": float("inf")}, "got 1.0 and inf"),
        ({"scale_max": float("nan")}, "got 1.0 and nan"),
        ({"max_rotation": -1}, "max_rotation must not be negative or infinite, got -1"),
        ({"translation_factor": float("nan")}, "translation_factor must not be negative or infinite, got nan"),
        ({"flip_probability": 1.5}, r"flip_probability must lie in \[0, 1\], got 1.5"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        BottomUpAugmentation(**wrong)

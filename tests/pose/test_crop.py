"""Box → image_to_crop against a restatement of the public HRNet procedure, and the geometry around it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pose.crop import (
    box_to_center_extent,
    crop_matrices,
    invert_affine,
    match_aspect,
    mirror_crop,
    mpii_center_extent,
    transform_points,
)

CROP_SIZES = [(256, 192), (384, 288), (128, 96), (256, 256), (96, 160), (101, 67)]  # (height, width)
SIDES = st.floats(4, 900)
PLACES = st.floats(-300, 1500)
BOXES = st.tuples(PLACES, PLACES, SIDES, SIDES)
ANGLES = st.floats(-180, 180)


def public_center_scale(box, crop_size):
    """_xywh2cs of the public code, in double precision: centre, and (w, h) / 200 of the enlarged box."""
    x, y, w, h = box
    aspect = crop_size[1] / crop_size[0]
    center = np.array([x + w * 0.5, y + h * 0.5])
    if w > aspect * h:
        h = w / aspect
    elif w < aspect * h:
        w = h * aspect
    return center, np.array([w / 200.0, h / 200.0]) * 1.25


def public_affine(center, scale, rotation, crop_size):
    """get_affine_transform of the public code: three points of the picture and where they go."""
    source_width = scale[0] * 200.0
    height, width = crop_size
    radians = np.pi * rotation / 180
    sin, cos = np.sin(radians), np.cos(radians)
    x, y = 0.0, source_width * -0.5
    source_direction = np.array([x * cos - y * sin, x * sin + y * cos])
    target_direction = np.array([0, width * -0.5])

    def third(a, b):
        direct = a - b
        return b + np.array([-direct[1], direct[0]])

    source = [center, center + source_direction]
    target = [np.array([width * 0.5, height * 0.5]), np.array([width * 0.5, height * 0.5]) + target_direction]
    source.append(third(*source))
    target.append(third(*target))
    equations = np.column_stack([np.array(source), np.ones(3)])
    return np.linalg.solve(equations, np.array(target)).T


def affine(matrix, points):
    return points @ matrix[:, :2].T + matrix[:, 2]


def one_crop(box, crop_size, convention="hrnet", **options):
    center, extent = box_to_center_extent(np.array([box]), crop_size)
    options = {name: np.array([value]) for name, value in options.items()}
    return crop_matrices(center, extent, crop_size, convention, **options)


@settings(deadline=None)
@given(box=BOXES, angle=ANGLES, crop_size=st.sampled_from(CROP_SIZES))
def test_crop_equals_the_public_code(box, angle, crop_size):
    center, scale = public_center_scale(box, crop_size)
    expected = public_affine(center, scale, angle, crop_size)
    corners = center + 200 * scale * np.array([[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5], [0.1, 0.3]])
    matrix = one_crop(box, crop_size, rotation=angle)[0]
    np.testing.assert_allclose(affine(matrix, corners), affine(expected, corners), atol=1e-6)


@settings(deadline=None)
@given(
    box=BOXES, angle=ANGLES, picture_width=st.integers(10, 2000), points=st.lists(st.tuples(PLACES, PLACES), min_size=1)
)
def test_mirror_equals_mirroring_the_picture_first(box, angle, picture_width, points):
    """The public training code mirrors picture, keypoints and centre, then crops as ever."""
    crop_size, points = (256, 192), np.array(points)
    center, scale = public_center_scale(box, crop_size)
    center[0] = picture_width - center[0] - 1
    mirrored = np.column_stack([picture_width - points[:, 0] - 1, points[:, 1]])
    expected = affine(public_affine(center, scale, angle, crop_size), mirrored)
    got = transform_points(one_crop(box, crop_size, rotation=angle, mirror=True), points[None])[0]
    np.testing.assert_allclose(got, expected, atol=1e-6)


def test_box_becomes_centre_and_extent():
    boxes = np.array([[10, 20, 30, 100], [10, 20, 300, 100]], dtype=float)
    center, extent = box_to_center_extent(boxes, (256, 192))
    np.testing.assert_allclose(center, [[25, 70], [160, 70]])
    np.testing.assert_allclose(extent, [[125, 93.75], [500, 375]])
    np.testing.assert_allclose(box_to_center_extent(boxes, (256, 192), padding=1)[1], [[100, 75], [400, 300]])


@given(size=st.tuples(SIDES, SIDES), crop_size=st.sampled_from(CROP_SIZES))
def test_matching_the_aspect_never_shrinks_a_side_and_keeps_one(size, crop_size):
    height, width = match_aspect(np.array([size]), crop_size)[0]
    assert width / height == pytest.approx(crop_size[1] / crop_size[0])
    assert height >= size[0] * (1 - 1e-12)
    assert width >= size[1] * (1 - 1e-12)
    assert height == pytest.approx(size[0]) or width == pytest.approx(size[1])


def test_mpii_rule():
    """c_y += 15 · scale, then scale · 1.25 of 200 px."""
    center, extent = mpii_center_extent(np.array([[320.0, 200.0], [0.0, 0.0]]), np.array([2.0, 0.5]))
    np.testing.assert_allclose(center, [[320, 230], [0, 7.5]])
    np.testing.assert_allclose(extent, [[500, 500], [125, 125]])
    expected = public_affine(np.array([320.0, 200.0 + 15 * 2.0]), np.array([2.0, 2.0]) * 1.25, 33.0, (256, 256))
    got = crop_matrices(center, extent, (256, 256), "hrnet", rotation=np.array([33.0, 0.0]))[0]
    np.testing.assert_allclose(got, expected, atol=1e-9)


@pytest.mark.parametrize("crop_size", CROP_SIZES)
@pytest.mark.parametrize(("convention", "one"), [("hrnet", 0), ("unbiased", 1)])
def test_where_centre_and_side_go(crop_size, convention, one):
    height, width = crop_size
    center, extent = np.array([[50.0, 60.0]]), np.array([[80.0 * height / width, 80.0]])
    for angle in (0.0, 90.0, -37.0):
        for mirror in (False, True):
            matrix = crop_matrices(
                center, extent, crop_size, convention, rotation=np.array([angle]), mirror=np.array([mirror])
            )
            middle = transform_points(matrix, center[None])[0, 0]
            np.testing.assert_allclose(middle, [(width - one) / 2, (height - one) / 2])
            assert np.linalg.det(matrix[0, :, :2]) == pytest.approx((-1 if mirror else 1) * ((width - one) / 80) ** 2)
    sides = transform_points(crop_matrices(center, extent, crop_size, convention), np.array([[[10.0, 60], [90, 60]]]))
    np.testing.assert_allclose(sides[0, :, 0], [0, width - one], atol=1e-9)


def test_positive_rotation_turns_the_content_anticlockwise_on_the_screen():
    center, extent = np.array([[100.0, 100.0]]), np.array([[64.0, 64.0]])
    matrix = crop_matrices(center, extent, (64, 64), "hrnet", rotation=np.array([90.0]))
    right, below = transform_points(matrix, np.array([[[110.0, 100.0], [100.0, 110.0]]]))[0]
    np.testing.assert_allclose(right, [32, 22], atol=1e-9)  # what lay to the right lies above
    np.testing.assert_allclose(below, [42, 32], atol=1e-9)


@settings(deadline=None)
@given(box=BOXES, angle=ANGLES, mirror=st.booleans(), convention=st.sampled_from(["hrnet", "unbiased"]))
def test_inverse_maps_back(box, angle, mirror, convention):
    matrices = one_crop(box, (256, 192), convention, rotation=angle, mirror=mirror)
    points = np.array([[[0.0, 0.0], [191.0, 255.0], [-50.0, 400.0]]])
    back = transform_points(matrices, transform_points(invert_affine(matrices), points))
    np.testing.assert_allclose(back, points, atol=1e-6)


def test_transform_points_uses_one_map_each_and_leading_axes_invert():
    rng = np.random.default_rng(0)
    matrices, points = rng.normal(size=(5, 2, 3)), rng.normal(size=(5, 7, 2))
    expected = [[matrices[n, :, :2] @ point + matrices[n, :, 2] for point in points[n]] for n in range(5)]
    np.testing.assert_allclose(transform_points(matrices, points), expected)
    np.testing.assert_allclose(invert_affine(matrices[:, None])[:, 0], invert_affine(matrices))


@pytest.mark.parametrize("convention", ["hrnet", "unbiased"])
def test_mirror_crop_reverses_the_columns(convention):
    matrices = one_crop((30, 40, 80, 120), (256, 192), convention, rotation=25.0)
    points = np.random.default_rng(1).uniform(0, 200, (1, 9, 2))
    before, kept = transform_points(matrices, points), matrices.copy()
    after = transform_points(mirror_crop(matrices, 192), points)
    np.testing.assert_allclose(after[..., 0], 192 - 1 - before[..., 0])
    np.testing.assert_allclose(after[..., 1], before[..., 1])
    np.testing.assert_array_equal(matrices, kept)  # not in place
    np.testing.assert_allclose(mirror_crop(mirror_crop(matrices, 192), 192), matrices)


@settings(deadline=None)
@given(box=BOXES, angle=ANGLES, crop_size=st.sampled_from(CROP_SIZES))
def test_unbiased_crops_mirror_without_a_shift(box, angle, crop_size):
    """Mirroring the picture and mirroring the crop are the same; turning changes its sense under a mirror."""
    reversed_columns = mirror_crop(one_crop(box, crop_size, "unbiased", rotation=-angle), crop_size[1])
    mirrored = one_crop(box, crop_size, "unbiased", rotation=angle, mirror=True)
    np.testing.assert_allclose(reversed_columns, mirrored, atol=1e-6)


def test_hrnet_crops_mirror_with_a_shift_of_one_crop_pixel():
    reversed_columns = mirror_crop(one_crop((30, 40, 80, 120), (256, 192)), 192)
    mirrored = one_crop((30, 40, 80, 120), (256, 192), mirror=True)
    np.testing.assert_allclose(mirrored - reversed_columns, [[[0, 0, 1], [0, 0, 0]]], atol=1e-9)


@pytest.mark.parametrize("bad", [0.0, -3.0, np.nan, np.inf])
@pytest.mark.parametrize("axis", [0, 1])
def test_extents_must_be_positive_and_finite(bad, axis):
    extent = np.full((4, 2), 100.0)
    extent[2, axis] = bad
    with pytest.raises(ValueError, match=rf"positive and finite.*{bad:.0f}"):
        crop_matrices(np.zeros((4, 2)), extent, (256, 192), "hrnet")


def test_no_instances_give_no_matrices():
    center, extent = box_to_center_extent(np.zeros((0, 4)), (256, 192))
    assert crop_matrices(center, extent, (256, 192), "hrnet").shape == (0, 2, 3)

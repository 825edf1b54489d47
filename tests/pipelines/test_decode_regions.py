"""What is decoded holds what is shown, and matrices move without rounding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.decode_regions import decode_regions, movable_matrices
from pose.crop import crop_matrices, invert_affine

CROP_SIZES = st.sampled_from([(256, 192), (37, 53), (1, 1), (512, 512)])
CASES = {
    "center": st.tuples(st.floats(-3000, 5000), st.floats(-3000, 5000)),
    "height": st.floats(0.5, 3000),
    "rotation": st.floats(-180, 180),
    "mirror": st.booleans(),
}


def crop_to_image(center, height, rotation, mirror, crop_size):
    extent = np.array([[height, height * crop_size[1] / crop_size[0]]])
    return invert_affine(
        crop_matrices(np.array([center]), extent, crop_size, "hrnet", np.array([rotation]), np.array([mirror]))
    )


def crop_grid(crop_size):
    """(3, n): every pixel of a crop as (x, y, 1)."""
    y, x = np.mgrid[: crop_size[0], : crop_size[1]]
    return np.stack([x.ravel(), y.ravel(), np.ones(x.size)])


def float32_coordinates(matrix, crop_size):
    """As the warp computes them: m1 · y + m2, then + m0 · x."""
    m, (x, y, _) = matrix.astype(np.float32), crop_grid(crop_size).astype(np.float32)
    return (m[:, 1, None] * y + m[:, 2, None]) + m[:, 0, None] * x


@given(crop_size=CROP_SIZES, shift=st.tuples(st.integers(0, 6000), st.integers(0, 6000)), **CASES)
def test_moved_matrices_lead_to_the_same_fractions(crop_size, shift, center, height, rotation, mirror):
    """Moved as regions move them: not beyond what is shown, nor beyond the picture's origin."""
    matrix = movable_matrices(crop_to_image(center, height, rotation, mirror, crop_size), crop_size)[0]
    whole = float32_coordinates(matrix, crop_size)
    shift = np.minimum(shift, np.maximum(np.floor(whole.min(axis=1)), 0))
    moved = float32_coordinates(matrix - np.array([[0, 0, shift[0]], [0, 0, shift[1]]]), crop_size)
    np.testing.assert_array_equal(moved + shift[:, None], whole)


@pytest.mark.parametrize(("farthest", "corner_px"), [(1024, 0.007), (4096, 0.028)])
def test_rounding_moves_no_corner_farther_than_promised(farthest, corner_px):
    rng, crop_size = np.random.default_rng(0), (256, 192)
    corners = np.array([[0, 191, 0, 191], [0, 0, 255, 255], [1, 1, 1, 1]])
    moved = []
    for _ in range(500):
        matrix = crop_to_image(
            rng.uniform(0, farthest, 2), rng.uniform(10, farthest), rng.uniform(-90, 90), rng.random() < 0.5, crop_size
        )
        if np.abs(matrix[0] @ corners).max() < farthest:
            moved.append(np.abs((movable_matrices(matrix, crop_size) - matrix)[0] @ corners).max())
    assert len(moved) > 100
    assert corner_px / 4 < max(moved) <= corner_px


@given(
    crop_size=CROP_SIZES,
    size=st.tuples(st.integers(1, 3000), st.integers(1, 3000)),
    **CASES,
)
def test_regions_hold_all_pixels_shown_and_a_margin(crop_size, size, center, height, rotation, mirror):
    matrices = crop_to_image(center, height, rotation, mirror, crop_size)
    start, end = decode_regions(matrices, crop_size, np.array([0]), np.array([size]))
    assert (start >= 0).all()
    assert (start < end).all()
    assert (end <= size).all()
    shown = (matrices[0] @ crop_grid(crop_size))[::-1]  # (y, x)
    low, high = shown.min(axis=1) - 4, shown.max(axis=1) + 4
    if (high < 0).any() or (low > np.array(size) - 1).any():
        return  # nothing of the picture is shown
    assert (start[0] <= np.maximum(low, 0)).all()
    assert (end[0] >= np.minimum(high, size)).all()
    assert (start % 16 == 0).all()
    assert ((end % 16 == 0) | (end == size)).all()


def test_a_region_is_the_union_of_its_pictures_crops():
    crop_size = (10, 10)
    one = [[[1.0, 0.0, x], [0.0, 1.0, y]] for x, y in [(100, 200), (300, 50), (400, 400)]]
    start, end = decode_regions(np.array(one), crop_size, np.array([0, 2]), np.array([[500, 600], [500, 600]]))
    assert start.tolist() == [[32, 96], [384, 384]]
    assert end.tolist() == [[224, 320], [416, 416]]

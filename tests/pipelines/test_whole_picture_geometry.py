"""Sizes of inputs and places of pictures in them, against what the public bottom-up code computes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.whole_picture_batch import WholePictureSettings
from pipelines.whole_picture_geometry import WholePictureInput, place_pictures
from pose.crop import invert_affine

# (height, width) of pictures; of the inputs at scale 1, factor and offset (x, y) as the code of HRNet bottom-up gives
# them for a short side of 512.
PUBLIC = [
    ((480, 640), (512, 704), 1.0667, (10.6667, 0.0)),
    ((640, 480), (704, 512), 1.0667, (0.0, 10.6667)),
    ((425, 640), (512, 832), 1.2047, (30.4941, -0.6024)),
    ((333, 500), (512, 768), 1.5375, (-0.3844, -0.7688)),  # 768.8 px wide; the fraction is cut off
    ((500, 333), (768, 512), 1.5375, (-0.7688, -0.3844)),
    ((427, 640), (512, 768), 1.1991, (0.2998, -0.5995)),
    ((375, 375), (512, 512), 1.3653, (-0.6827, -0.6827)),
    ((3, 7), (512, 1216), 170.6667, (-74.6667, -85.3333)),
    ((1, 1), (512, 512), 512.0, (-256.0, -256.0)),
]
SIDES = st.integers(1, 3000)


def placed(*sizes, short_side=512, multiple=64, fit="short", long_side_limit=4096):
    return place_pictures(np.array(sizes, dtype=np.int32), short_side, multiple, fit, long_side_limit)


def test_short_sides_as_in_the_public_code():
    matrices, sizes = placed(*[size for size, *_ in PUBLIC])
    assert sizes.tolist() == [list(expected) for _, expected, *_ in PUBLIC]
    for matrix, (_, _, factor, offset) in zip(matrices, PUBLIC, strict=True):
        np.testing.assert_allclose(matrix, [[factor, 0, offset[0]], [0, factor, offset[1]]], atol=6e-5)


def test_long_sides_as_in_the_associative_embedding_code():
    """Factor 512 / longer side, and 512·(1/2 − centre / longer side) for the offset, the centre not rounded."""
    matrices, sizes = placed((333, 500), (500, 333), (7, 3), fit="long")
    assert sizes.tolist() == [[512, 512]] * 3
    for matrix, (height, width) in zip(matrices, [(333, 500), (500, 333), (7, 3)], strict=True):
        longer = max(height, width)
        offset = [512 * (0.5 - width / 2 / longer), 512 * (0.5 - height / 2 / longer)]
        np.testing.assert_allclose(matrix[:, 2], offset)
        np.testing.assert_allclose(matrix[:, :2], np.eye(2) * 512 / longer)


@pytest.mark.parametrize("turned", [False, True])
def test_very_long_pictures_are_shown_smaller(turned):
    """The long side at the limit, the short one on a multiple; a picture just within the limit is not concerned."""
    pictures = [(1, 5000), (100, 900), (100, 801), (100, 800)]
    matrices, sizes = placed(*[size[::-1] if turned else size for size in pictures])
    assert (sizes[:, ::-1] if turned else sizes).tolist() == [[64, 4096], [512, 4096], [512, 4096], [512, 4096]]
    np.testing.assert_allclose(matrices[:, 0, 0], [4096 / 5000, 4096 / 900, 4096 / 801, 5.12])
    matrices, sizes = placed((100, 900), short_side=256, long_side_limit=512)
    assert sizes.tolist() == [[64, 512]]
    np.testing.assert_allclose(matrices[0], [[512 / 900, 0, 0], [0, 512 / 900, 32 - 50 * 512 / 900]])


@given(height=SIDES, width=SIDES, multiple=st.sampled_from([32, 64, 128]), fit=st.sampled_from(["short", "long"]))
def test_inputs_are_bounded_multiples_that_show_all_of_the_picture(height, width, multiple, fit):
    (matrix,), (size,) = placed((height, width), short_side=256, multiple=multiple, fit=fit, long_side_limit=1024)
    assert not (size % multiple).any()
    assert multiple <= size.min() <= 256
    assert size.max() <= 1024
    shown = matrix[0, 0] * np.array([width, height])
    assert (shown < size[::-1] + 1).all()
    center = matrix[:, :2] @ [width / 2, height / 2] + matrix[:, 2]
    # Half an image px from the rounding of the centre.
    assert (np.abs(center - size[::-1] / 2) <= matrix[0, 0] / 2 + 1e-6).all()


def test_px_of_a_scale_are_multiples_of_those_of_scale_1():
    matrices, sizes = placed((480, 640), (333, 500))
    graph_input = WholePictureInput([], np.arange(2), invert_affine(matrices), input_sizes=sizes)
    for scale in (0.5, 1.0, 1.5, 2.0):
        input_to_image, scaled = graph_input.warp(scale)
        for picture in range(2):
            assert scaled[picture].tolist() == (scale * sizes[picture]).tolist()
            place = matrices[picture] @ [123.0, 45.0, 1.0]
            np.testing.assert_allclose(input_to_image[picture] @ [*scale * place, 1.0], [123, 45, 1], atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"short_side": 500}, r"short_side must be a multiple of multiple=64 px, got 500"),
        ({"short_side": 0}, r"short_side must be at least 1 px, got 0"),
        ({"multiple": 0}, r"multiple must be at least 1 px, got 0"),
        ({"short_side": 512, "multiple": 16}, r"scales: at 1 multiple=16 becomes 16 px.* multiples of 32 px"),
        ({"scales": (0.5, 0.75)}, r"scales: at 0.75 multiple=64 becomes 48 px"),
        ({"scales": (0.25,)}, r"scales: at 0.25 multiple=64 becomes 16 px"),
        ({"scales": (1.001,)}, r"scales: at 1.001"),
        ({"scales": ()}, r"scales must be one or several different numbers, got \(\)"),
        ({"scales": (1.0, 2.0, 1.0)}, r"different numbers, got \(1.0, 2.0, 1.0\)"),
        ({"scales": (-1.0,)}, r"scales must be positive and finite, got -1.0"),
        ({"scales": (float("nan"),)}, r"scales must be positive and finite, got nan"),
        ({"long_side_limit": 448}, r"long_side_limit must be at least short_side=512 px, got 448"),
        ({"long_side_limit": 1000}, r"long_side_limit must be a multiple of multiple=64 px, got 1000"),
        ({"fit": "both"}, r"fit must be one of \('short', 'long'\), got 'both'"),
        ({"on_bad_sample": "ignore"}, r"on_bad_sample must be 'raise' or 'skip', got 'ignore'"),
        ({"threads": 0}, r"threads must be at least 1, got 0"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_name(options, message):
    with pytest.raises(ValueError, match=message):
        WholePictureSettings(**({"short_side": 512} | options))


@pytest.mark.parametrize(
    ("multiple", "scales"), [(32, (1.0, 2.0)), (64, (0.5, 1.0, 1.5, 2.0)), (128, (0.25, 0.75)), (320, (1.1,))]
)
def test_settings_that_a_network_can_take(multiple, scales):
    WholePictureSettings(multiple * 2, multiple, scales=scales, long_side_limit=multiple * 8)

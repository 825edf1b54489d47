"""Pictures that are stored turned."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from pipelines.dali_graph import CropGraph, GraphInput
from pipelines.loose_pictures import chained, encode_losslessly
from pipelines.orientation import turned_upright, upright_size, upright_to_stored


def stored_picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_are_turned_as_pillow_turns_them(orientation: int) -> None:
    picture = stored_picture()
    exif = Image.Exif()
    exif[0x0112] = orientation
    image = Image.fromarray(picture)
    image._exif = exif  # type: ignore[attr-defined]
    upright = np.asarray(ImageOps.exif_transpose(image))
    turned = turned_upright(picture, orientation)
    assert np.array_equal(turned, upright)
    assert upright_size((5, 7), orientation) == turned.shape[:2]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_points_lead_to_the_same_pixels(orientation: int) -> None:
    picture = stored_picture()
    turned, matrix = turned_upright(picture, orientation), upright_to_stored((5, 7), orientation)
    for y in range(turned.shape[0]):
        for x in range(turned.shape[1]):
            stored_x, stored_y = matrix @ (x, y, 1)
            assert (turned[y, x] == picture[int(stored_y), int(stored_x)]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_graph_shows_an_upright_crop_of_a_picture_that_is_stored_turned(orientation: int) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    upright = turned_upright(picture, orientation)
    crop_to_upright = np.array([[1.0, 0, 10], [0, 1, 20]])
    matrix = chained(upright_to_stored((50, 70), orientation), crop_to_upright)[None]
    batch = iter([GraphInput([encode_losslessly(picture)], np.zeros(1, np.int64), matrix, np.array([[50, 70]]))])
    graph = CropGraph(lambda: next(batch), 1, (16, 12), torch.device("cpu"), threads=1, prefetch=1)
    crop = graph.run()[0].permute(1, 2, 0).numpy().copy()
    graph.close()
    assert np.array_equal(crop, upright[20:36, 10:22])

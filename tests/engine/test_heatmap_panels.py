"""Heatmaps laid onto the picture."""

import numpy as np
import pytest

from engine.heatmap_panels import LocatedHeatmaps, heatmap_layer, heatmap_panel, heatmaps_on_picture
from pose.skeletons import COCO_17

STRIDE = 4


def located(x: float, y: float, offset: tuple[float, float] = (0, 0), keypoint: int = 0) -> LocatedHeatmaps:
    """A Gaussian at (x, y) of the picture, in maps that begin at `offset` of it."""
    matrix = np.array([[1 / STRIDE, 0, -offset[0] / STRIDE], [0, 1 / STRIDE, -offset[1] / STRIDE]])
    column, row = matrix @ (x, y, 1)
    rows, columns = np.mgrid[:32, :24]
    heat = np.zeros((17, 32, 24), np.float32)
    heat[keypoint] = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * 2.0**2))
    return LocatedHeatmaps(1, -1, heat, matrix)


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.37])
def test_a_peak_lies_at_its_keypoint(scale: float) -> None:
    heat = heatmaps_on_picture([located(98, 140, offset=(50, 60))], (240, 180), scale)
    assert heat.shape == (17, round(240 * scale), round(180 * scale))
    y, x = np.unravel_index(heat[0].argmax(), heat[0].shape)
    assert abs(x - (scale * 98.5 - 0.5)) <= 1
    assert abs(y - (scale * 140.5 - 0.5)) <= 1
    assert heat[0].max() > 0.9
    assert (heat[1:] == 0).all()
    assert heat[0][:, : int(40 * scale)].max() == 0  # the map does not reach


def test_persons_are_merged_by_their_maximum() -> None:
    one, other = located(60, 60), located(80, 60, offset=(40, 20))
    both = heatmaps_on_picture([one, other], (120, 120))
    alone = [heatmaps_on_picture([each], (120, 120)) for each in (one, other)]
    assert np.array_equal(both, np.maximum(*alone))


def test_maps_beside_the_picture_leave_nothing() -> None:
    for offset in ((500, 500), (-500, -500)):
        assert (heatmaps_on_picture([located(510, 510, offset)], (100, 80)) == 0).all()


def test_layers_are_clear_where_nothing_is() -> None:
    heat = heatmaps_on_picture([located(60, 60)], (120, 100))
    layer = heatmap_layer(heat)
    assert (layer.shape, layer.dtype) == ((120, 100, 4), np.uint8)
    assert layer[60, 60, 3] > 150
    assert layer[119, 99, 3] == 0


@pytest.mark.parametrize("size", [(120, 100), (5, 3)])
def test_panels_show_every_keypoint_brighter_where_it_is(size: tuple[int, int]) -> None:
    heat = heatmaps_on_picture([located(60, 60, keypoint=3)], size)
    panel = heatmap_panel(np.full((*size, 3), 90, np.uint8), heat, COCO_17)
    height, width = size[0] + 22 + 4, size[1] + 4
    assert panel.shape == (3 * height + 4, 6 * width + 4, 3)
    if size[0] > 60:
        tile = panel[4 + 22 :, 4 + 3 * width :][: size[0], : size[1]].astype(int).sum(2)
        assert tile[60, 60] > 450 > tile[5, 5] == round(90 * 0.5) * 3

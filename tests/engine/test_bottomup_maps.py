"""Maps of a picture, its mirror image and several scales come together where the keypoints are."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from engine.bottomup_config import PictureConfig
from engine.bottomup_maps import Mirror, PictureMaps, picture_maps
from models import OutputMap
from pose.map_size import resize
from pose.pose_cues import poses_from_offsets

SWAP = (1, 0)
SIZE = (64, 128)
CENTER, LEFT, RIGHT = (61.0, 30.0), (40.0, 30.0), (82.0, 34.0)  # input px at scale 1
NETWORKS = {
    "tags": (
        OutputMap("coarse", 4, averaged=True),
        OutputMap("tags", 4, kind="tags"),
        OutputMap("heatmaps", 2, averaged=True),
    ),
    "centers": (
        OutputMap("center", 4, kind="center"),
        OutputMap("offsets", 4, kind="offsets"),
        OutputMap("heatmaps", 4),
    ),
}


class Seeing(torch.nn.Module):
    """Finds three painted dots, one in each channel, and draws the maps that a perfect network would.

    It tells left from right by where they are, as a network does: red left of green is the left keypoint.
    """

    def __init__(self, outputs: Sequence[OutputMap]) -> None:
        super().__init__()
        self.kinds = outputs

    def forward(self, pixels: Tensor) -> tuple[Tensor, ...]:
        points = torch.stack([_centroid(channel) for channel in pixels[0]])
        keypoints = points[:2][points[:2, 0].argsort()]
        return tuple(self._map(output, pixels.shape[2:], keypoints, points[2])[None] for output in self.kinds)

    def _map(self, output: OutputMap, size: torch.Size, keypoints: Tensor, center: Tensor) -> Tensor:
        height, width = (round(side / output.stride) for side in size)
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        places = torch.stack([x, y])

        def drawn(point: Tensor) -> Tensor:
            return torch.exp(-(places - point[:, None, None] / output.stride).square().sum(0) / 8)

        if output.kind == "center":
            return drawn(center)[None]
        if output.kind == "offsets":
            return torch.cat([point[:, None, None] / output.stride - places for point in keypoints])
        maps = torch.stack([drawn(point) for point in keypoints])
        return maps * torch.tensor([3.0, -5.0])[:, None, None] if output.kind == "tags" else maps


def _centroid(channel: Tensor) -> Tensor:
    y, x = torch.meshgrid(*(torch.arange(side, dtype=torch.float32) for side in channel.shape), indexing="ij")
    return torch.stack([(channel * x).sum(), (channel * y).sum()]) / channel.sum()


def painted(scale: float) -> Tensor:
    """(1, 3, h, w) with a dot at each point, spread over four px where it lies between them."""
    pixels = torch.zeros(1, 3, *(round(side * scale) for side in SIZE))
    for channel, point in enumerate((LEFT, RIGHT, CENTER)):
        x, y = (value * scale for value in point)
        left, top = int(x), int(y)
        for column, row in ((0, 0), (1, 0), (0, 1), (1, 1)):
            share = (1 - abs(left + column - x)) * (1 - abs(top + row - y))
            pixels[0, channel, top + row, left + column] = share
    return pixels


def look(kind: str, shift: str | None, **settings: object) -> PictureMaps:
    config = PictureConfig(**settings)  # type: ignore[arg-type]
    outputs, mirror = NETWORKS[kind], None if shift is None else Mirror(SWAP, shift)  # type: ignore[arg-type]
    return picture_maps(Seeing(outputs), outputs, [painted(scale) for scale in config.scales], config, mirror)


def middle(heatmap: Tensor, around: tuple[float, float]) -> Tensor:
    """The centre of gravity of what is near a point, heatmap px."""
    y, x = torch.meshgrid(*(torch.arange(side, dtype=torch.float32) for side in heatmap.shape), indexing="ij")
    near = heatmap * (((x - around[0]).abs() < 20) & ((y - around[1]).abs() < 20))
    return torch.stack([(near * x).sum(), (near * y).sum()]) / near.sum()


@pytest.mark.parametrize("kind", NETWORKS)
@pytest.mark.parametrize("scales", [(1.0,), (0.5, 1.0, 2.0)])
@pytest.mark.parametrize("shift", [None, "exact", "public"])
def test_heatmaps_peak_at_the_keypoints_of_the_picture(kind: str, scales: tuple[float, ...], shift: str | None) -> None:
    maps = look(kind, shift, scales=scales)
    assert maps.input_px == 1
    assert tuple(maps.heatmaps.shape) == (2, *SIZE)
    for heatmap, point in zip(maps.heatmaps, (LEFT, RIGHT), strict=True):
        torch.testing.assert_close(middle(heatmap, point), torch.tensor(point), rtol=0, atol=0.35)
        assert heatmap.max() > 0.75


def test_without_alignment_a_mirror_image_moves_the_keypoints() -> None:
    off = middle(look("centers", "none").heatmaps[0], LEFT)[0] - LEFT[0]
    assert -1.7 < off < -1.2  # half of stride - 1 px, as the mean with the picture's own
    assert abs(middle(look("centers", "none", resizing="half_pixel").heatmaps[0], LEFT)[0] - LEFT[0]) < 0.1


@pytest.mark.parametrize("shift", [None, "exact", "public", "none"])
@pytest.mark.parametrize("scales", [(1.0,), (2.0, 1.0, 0.5)])
def test_every_place_speaks_of_the_same_pose(shift: str | None, scales: tuple[float, ...]) -> None:
    maps = look("centers", shift, scales=scales)
    assert [one.scale_1 for one in maps.poses] == [scale == 1 for scale in scales]
    for one, scale in zip(maps.poses, scales, strict=True):
        assert one.input_px_per_px == 4 / scale
        poses = one.poses.unflatten(0, (2, 2)) * one.input_px_per_px
        expected = torch.tensor([LEFT, RIGHT])[:, :, None, None].expand_as(poses)
        torch.testing.assert_close(poses, expected, rtol=0, atol=1e-3)


def test_tags_are_of_scale_1_and_those_of_the_mirror_image_stand_beside_them() -> None:
    maps = look("tags", "exact", scales=(2.0, 1.0))
    assert maps.tags is not None
    assert tuple(maps.tags.shape) == (2, 2, *SIZE)
    for keypoint, point in enumerate((LEFT, RIGHT)):
        own, mirrored = maps.tags[keypoint, :, round(point[1]), round(point[0])]
        # What is the left keypoint in the mirror image is the right one of the picture, and has the other's tag.
        assert (own, mirrored) == pytest.approx(((3, -5), (-5, 3))[keypoint], rel=0.1)
    single = look("tags", None)
    assert single.tags is not None
    assert single.tags.shape[1] == 1


def test_maps_of_the_largest_scale_are_looked_into_without_to_input() -> None:
    maps = look("tags", None, scales=(1.0, 2.0), to_input=False)
    assert tuple(maps.heatmaps.shape) == (2, *SIZE)
    assert maps.input_px == 1  # stride 2 at scale 2
    assert look("tags", None, to_input=False).input_px == 2


def test_only_the_finest_heatmaps_count_where_strides_are_not_averaged() -> None:
    outputs = NETWORKS["tags"]
    alone = Seeing(outputs)(painted(1.0))
    finest = look("tags", None, to_input=False, average_strides=False).heatmaps
    torch.testing.assert_close(finest, alone[2][0])
    both = look("tags", None, to_input=False).heatmaps
    torch.testing.assert_close(both, (alone[2] + resize(alone[0], finest.shape[1:], "aligned"))[0] / 2)


def test_of_several_heatmaps_of_a_stride_the_maximum_is_averaged() -> None:
    outputs = (OutputMap("a", 4, averaged=True), OutputMap("b", 4, averaged=True), OutputMap("c", 2, averaged=True))
    a, b, c = torch.rand(1, 2, 16, 32), torch.rand(1, 2, 16, 32), torch.rand(1, 2, 32, 64)
    config = PictureConfig(to_input=False)
    maps = picture_maps(lambda pixels: (a, b, c), outputs, [torch.zeros(1, 3, 64, 128)], config, None)  # type: ignore[arg-type]
    expected = (resize(torch.maximum(a, b), (32, 64), "aligned") + c) / 2
    torch.testing.assert_close(maps.heatmaps, expected[0])


@pytest.mark.parametrize("size", [(24, 36), (6, 9), (18, 27), (4, 6)])
def test_aligned_maps_keep_what_stands_where(size: tuple[int, int]) -> None:
    """A slope stays the same slope in input px, up to the last px, beyond which it is level."""
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(18.0), indexing="ij")
    resized = resize((3 * x + 5 * y)[None, None], size, "aligned")[0, 0]
    step = 12 / size[0]
    rows, columns = (torch.arange(side) * step for side in size)
    expected = 3 * columns.clamp(max=17) + 5 * rows.clamp(max=11)[:, None]
    torch.testing.assert_close(resized, expected)


def test_half_pixel_maps_keep_their_outer_edges() -> None:
    x = torch.arange(16.0).expand(1, 1, 8, 16)
    resized = resize(x, (16, 32), "half_pixel")[0, 0, 4]
    torch.testing.assert_close(resized[1:-1], (torch.arange(32) + 0.5)[1:-1] / 2 - 0.5)


def test_poses_are_offsets_and_places() -> None:
    poses = poses_from_offsets(torch.zeros(1, 4, 2, 3))
    assert poses[0, :, 1, 2].tolist() == [2, 1, 2, 1]


def test_maps_finer_than_the_input_are_mirrored_too() -> None:
    outputs = (OutputMap("heatmaps", 0.5),)
    config, mirror = PictureConfig(to_input=False), Mirror(SWAP, "public")
    seeing = Seeing(outputs)
    maps = picture_maps(seeing, outputs, [painted(1.0)], config, mirror)
    alone = seeing(painted(1.0))[0][0]
    torch.testing.assert_close(middle(maps.heatmaps[0], (80, 60)), middle(alone[0], (80, 60)), rtol=0, atol=0.6)

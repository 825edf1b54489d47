"""What a network says about a whole picture: its maps, brought together over mirror images, strides and scales."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.bottomup_config import PictureConfig
from models import OutputMap
from pose.heatmaps import FlipShift, flip_back, shift_right
from pose.map_size import resize
from pose.pose_cues import PoseMap, poses_from_offsets

Maps = tuple[Tensor, ...]


@dataclass(frozen=True)
class Mirror:
    """How the mirror image is looked at: `flip_indices` of the skeleton, and how maps are aligned.

    `shift` "public" moves the mirrored picture by stride − 1 px before the network sees it, as the bottom-up paper's
    code does, once for each stride; "exact" moves its maps by 1 − 1/stride map px; "none" leaves them (specs 0.3, 3.9).
    """

    flip_indices: tuple[int, ...]
    shift: FlipShift


@dataclass(frozen=True)
class PictureMaps:
    """Maps of one picture.

    Attributes:
        heatmaps: (K, h, w). tags: (K, T, h, w), T = 2 with the mirror image; None for networks without.
        input_px: what a px of these is in px of the scale-1 input.
        poses: one entry for each scale; none for networks without centres.
    """

    heatmaps: Tensor
    tags: Tensor | None
    input_px: float
    poses: tuple[PoseMap, ...]


def picture_maps(
    model: torch.nn.Module,
    outputs: Sequence[OutputMap],
    inputs: Sequence[Tensor],
    config: PictureConfig,
    mirror: Mirror | None,
) -> PictureMaps:
    """Look at a picture at every scale.

    Args:
        inputs: (1, 3, h, w) for each of `config.scales`; h and w are the scale times those at scale 1.
        mirror: None looks at the picture only as it is.
    """
    looks = {
        scale: _look(model, outputs, pixels, config, mirror)
        for scale, pixels in zip(config.scales, inputs, strict=True)
    }
    largest = max(looks)
    height, width = (round(side / largest) for side in inputs[config.scales.index(largest)].shape[2:])
    size = (height, width) if config.to_input else looks[largest].heatmaps.shape[2:]
    heatmaps = torch.zeros(())
    for scale in sorted(looks, reverse=True):
        resized = resize(looks[scale].heatmaps, size, config.resizing)
        heatmaps = heatmaps.to(resized.device) + resized / len(looks)
    # Tags of different scales do not compare.
    tags = looks[_main_scale(config)].tags
    return PictureMaps(
        heatmaps=heatmaps[0],
        tags=torch.stack([resize(tag, size, config.resizing)[0] for tag in tags], dim=1) if tags else None,
        input_px=width / size[1],
        poses=tuple(
            PoseMap(look.center[0, 0], look.poses[0], width / look.center.shape[3], scale == _main_scale(config))
            for scale, look in looks.items()
            if look.center is not None and look.poses is not None
        ),
    )


def _main_scale(config: PictureConfig) -> float:
    """The scale that is 1, or nearest to it."""
    return min(config.scales, key=lambda scale: abs(scale - 1))


@dataclass(frozen=True)
class _Look:
    """One scale: heatmaps (1, K, h, w), tags (1, K, h, w) of the picture and its mirror image, centre and poses."""

    heatmaps: Tensor
    tags: tuple[Tensor, ...]
    center: Tensor | None
    poses: Tensor | None


def _look(
    model: torch.nn.Module, outputs: Sequence[OutputMap], pixels: Tensor, config: PictureConfig, mirror: Mirror | None
) -> _Look:
    own = _read(_as_poses(model(pixels), outputs), outputs, config)
    if mirror is None:
        return own
    other = _read(_mirrored_maps(model, outputs, pixels, mirror), outputs, config)
    return _Look(
        heatmaps=(own.heatmaps + other.heatmaps) / 2,
        tags=own.tags + other.tags,
        center=None if own.center is None or other.center is None else (own.center + other.center) / 2,
        poses=None if own.poses is None or other.poses is None else (own.poses + other.poses) / 2,
    )


def _read(maps: Maps, outputs: Sequence[OutputMap], config: PictureConfig) -> _Look:
    """Of several outputs of a kind, such as a stack's, the last counts."""
    by_kind = {output.kind: one for one, output in zip(maps, outputs, strict=True)}
    tags, center, poses = (by_kind.get(kind) for kind in ("tags", "center", "offsets"))
    return _Look(_averaged(maps, outputs, config), () if tags is None else (tags,), center, poses)


def _averaged(maps: Maps, outputs: Sequence[OutputMap], config: PictureConfig) -> Tensor:
    """The heatmaps (1, K, h, w) of all strides that the network offers, in the size of the last ones."""
    if not (config.average_strides and outputs[-1].averaged):
        return maps[-1]
    of_stride: dict[float, Tensor] = {}
    for one, output in zip(maps, outputs, strict=True):
        if output.averaged:
            known = of_stride.get(output.stride)
            of_stride[output.stride] = one if known is None else torch.maximum(known, one)
    size = maps[-1].shape[2:]
    return torch.stack([resize(one, size, config.resizing) for one in of_stride.values()]).mean(dim=0)


def _mirrored_maps(model: torch.nn.Module, outputs: Sequence[OutputMap], pixels: Tensor, mirror: Mirror) -> Maps:
    """What the network makes of the mirror image, brought back onto the picture."""
    mirrored = pixels.flip(3)
    moves = [max(0, round(output.stride) - 1) if mirror.shift == "public" else 0 for output in outputs]
    seen = {move: _as_poses(model(_moved_left(mirrored, move)), outputs) for move in set(moves)}
    return tuple(
        _back(seen[move][number], output, mirror, move)
        for number, (output, move) in enumerate(zip(outputs, moves, strict=True))
    )


def _as_poses(maps: Maps, outputs: Sequence[OutputMap]) -> Maps:
    """The network's maps in single precision, offsets as the keypoints that they lead to."""
    return tuple(
        poses_from_offsets(one.float()) if output.kind == "offsets" else one.float()
        for one, output in zip(maps, outputs, strict=True)
    )


def _back(maps: Tensor, output: OutputMap, mirror: Mirror, move: int) -> Tensor:
    """Maps (1, C, h, w) of a mirror image that was moved by `move` px, as maps of the picture."""
    shift = 1 - 1 / output.stride if mirror.shift == "exact" else 0.0
    if output.kind == "center":
        return flip_back(maps, (0,), shift)
    if output.kind != "offsets":
        return flip_back(maps, mirror.flip_indices, shift)
    poses = maps.unflatten(1, (-1, 2))[:, list(mirror.flip_indices)]
    # The mirror image's column x is the picture's w − 1 − move − x, in input px.
    x = maps.shape[3] - (1 + move) / output.stride - poses[:, :, 0]
    return shift_right(torch.stack([x, poses[:, :, 1]], dim=2).flatten(1, 2).flip(3), shift)


def _moved_left(pixels: Tensor, move: int) -> Tensor:
    """The picture without its first columns, and as many empty ones behind."""
    return F.pad(pixels[..., move:], (0, move)) if move else pixels

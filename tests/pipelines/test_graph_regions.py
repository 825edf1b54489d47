"""Crops of pictures that are decoded in part equal crops of pictures decoded whole, to the bit.

A crop must not depend on which other crops its picture is decoded for: a replay draws a single instance.
"""

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from pipelines.dali_graph import CropGraph, GraphInput
from pipelines.graph_input import cut_into_pieces

CROP_SIZE = (48, 37)
CROPS = 24  # of each picture
SIZES = [(1, 1), (40, 1), (7, 9), (17, 33), (240, 321)]
SUBSAMPLINGS = {
    name: getattr(cv2, f"IMWRITE_JPEG_SAMPLING_FACTOR_{name.replace(':', '')}")
    for name in ("4:2:0", "4:2:2", "4:4:4", "4:4:0", "4:1:1")
}


def texture(height, width, channels):
    """Film grain over smooth shading: neighbouring pixels, blocks and colour samples all differ."""
    rng = np.random.default_rng(channels)
    smooth = cv2.GaussianBlur(rng.normal(size=(height, width, channels)), (0, 0), 2).reshape(height, width, channels)
    grain = rng.normal(size=smooth.shape)
    return np.clip(128 + 60 * smooth / max(smooth.std(), 1e-6) + 10 * grain, 0, 255).astype(np.uint8)


def subsampled(height, width, factor, progressive=0, restart=0):
    options = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, SUBSAMPLINGS[factor], cv2.IMWRITE_JPEG_QUALITY, 90]
    options += [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive, cv2.IMWRITE_JPEG_RST_INTERVAL, restart]
    return cv2.imencode(".jpg", texture(height, width, 3), options)[1].tobytes()


def turned(orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


FORMATS = {
    **{factor: lambda encode, h, w, factor=factor: subsampled(h, w, factor) for factor in SUBSAMPLINGS},
    "4:2:0 progressive": lambda encode, h, w: subsampled(h, w, "4:2:0", progressive=1),
    "4:4:4 progressive": lambda encode, h, w: subsampled(h, w, "4:4:4", progressive=1),
    "4:2:0 restart markers": lambda encode, h, w: subsampled(h, w, "4:2:0", restart=3),
    "grayscale JPEG": lambda encode, h, w: encode(texture(h, w, 1)[:, :, 0], "JPEG"),
    "EXIF 6 JPEG": lambda encode, h, w: encode(texture(h, w, 3), "JPEG", exif=turned(6)),
    "EXIF 3 JPEG": lambda encode, h, w: encode(texture(h, w, 3), "JPEG", exif=turned(3)),
    "CMYK JPEG": lambda encode, h, w: encode(Image.fromarray(texture(h, w, 4), mode="CMYK"), "JPEG"),
    "RGB PNG": lambda encode, h, w: encode(texture(h, w, 3), "PNG"),
    "RGBA PNG": lambda encode, h, w: encode(texture(h, w, 4), "PNG"),
    "palette PNG": lambda encode, h, w: encode(Image.fromarray(texture(h, w, 3)).quantize(64), "PNG"),
}


def random_matrices(rng, count, size):
    """crop_to_image of crops from tiny to larger than the picture, turned, mirrored, across the border and beyond."""
    angle = rng.uniform(-np.pi, np.pi, count) * (rng.random(count) < 0.6)
    scale = np.exp(rng.uniform(-4, 0.5, count)) * max(size) / CROP_SIZE[0]
    mirror = np.where(rng.random(count) < 0.5, -1, 1)
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.stack([np.stack([cos * mirror, sin], axis=1), np.stack([-sin * mirror, cos], axis=1)], axis=1)
    center = rng.uniform(-0.3, 1.3, (count, 2)) * size[::-1]
    offset = center - linear @ [(CROP_SIZE[1] - 1) / 2, (CROP_SIZE[0] - 1) / 2]
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def crops_of(batch, device, crop_size=CROP_SIZE):
    count = len(batch.crop_to_image)
    inputs = iter([batch] * 9)
    return CropGraph(lambda: next(inputs), count, crop_size, device, threads=2).run().cpu()


def decoded_shares(batch):
    """How much of its picture the graph is told to decode for each piece."""
    pieces = cut_into_pieces(batch, CROP_SIZE)
    return (pieces.end - pieces.start).prod(axis=1)


@pytest.mark.parametrize("kind", list(FORMATS))
def test_crops_do_not_depend_on_what_else_is_decoded(kind, encode, device):
    rng = np.random.default_rng(list(FORMATS).index(kind))
    data = [np.frombuffer(FORMATS[kind](encode, *size), dtype=np.uint8) for size in SIZES]
    matrices = np.concatenate([random_matrices(rng, CROPS, size) for size in SIZES])
    together = GraphInput(data, np.repeat(np.arange(len(SIZES)), CROPS), matrices, picture_sizes=np.array(SIZES))
    # Neighbours differ in picture, so that each picture is decoded once for each of its crops.
    order = np.arange(len(matrices)).reshape(len(SIZES), CROPS).T.reshape(-1)
    alone = replace(
        together, picture_of_instance=together.picture_of_instance[order], crop_to_image=together.crop_to_image[order]
    )
    expected = crops_of(replace(together, picture_sizes=None), device)
    assert (expected.flatten(1).amax(dim=1) > 0).float().mean() > 0.4  # they show something
    assert decoded_shares(alone)[len(SIZES) - 1 :: len(SIZES)].mean() < 0.4  # of the largest picture
    assert torch.equal(crops_of(together, device), expected)
    assert torch.equal(crops_of(alone, device), expected[order])


@pytest.mark.parametrize("crop_size", [(256, 192), (67, 45)])
def test_photographs_too(real_data, device, crop_size):
    rng = np.random.default_rng(0)
    paths = sorted(real_data.glob("mini/**/*.jpg"))
    sizes = np.array([Image.open(path).size[::-1] for path in paths])
    owners = np.repeat(np.arange(len(paths)), 8)
    batch = GraphInput(
        [np.fromfile(path, dtype=np.uint8) for path in paths],
        owners,
        np.concatenate([random_matrices(rng, 8, size) for size in sizes]),
        picture_sizes=sizes,
    )
    assert len(paths) >= 8
    expected = crops_of(replace(batch, picture_sizes=None), device, crop_size)
    assert torch.equal(crops_of(batch, device, crop_size), expected)


def test_pictures_of_known_and_unknown_size_follow_each_other(encode, device):
    data = [np.frombuffer(subsampled(240, 321, "4:2:0"), dtype=np.uint8)]
    matrices = random_matrices(np.random.default_rng(0), 4, (240, 321))
    known = GraphInput(data, np.zeros(4, np.int64), matrices, picture_sizes=np.array([[240, 321]], dtype=np.int32))
    inputs = iter([known, replace(known, picture_sizes=None)] * 5)
    graph = CropGraph(lambda: next(inputs), 4, CROP_SIZE, device, threads=1)
    first, second, third = graph.run(), graph.run(), graph.run()
    assert torch.equal(first, second)
    assert torch.equal(first, third)

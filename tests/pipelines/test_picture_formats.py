"""Every kind of picture decodes as with OpenCV's IMREAD_COLOR | IMREAD_IGNORE_ORIENTATION."""

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image

from pipelines.dali_graph import CropGraph, GraphInput

HEIGHT, WIDTH = 61, 83
# Grey levels, the largest found on a million random pixels: both round the last step to 8 bits in their own way.
TOLERANCE = {"CMYK JPEG": 2, "16 bit PNG": 1}


def texture(channels):
    noise = np.random.default_rng(channels).normal(size=(HEIGHT, WIDTH, channels))
    smooth = cv2.GaussianBlur(noise, (0, 0), 2).reshape(HEIGHT, WIDTH, channels)
    return np.clip(128 + 60 * smooth / smooth.std(), 0, 255).astype(np.uint8)


def turned_exif(orientation):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return exif


def png_16_bit():
    picture = texture(3).astype(np.uint16) * 257 + np.arange(WIDTH, dtype=np.uint16)[None, :, None]
    return cv2.imencode(".png", picture)[1].tobytes()


PICTURES = {
    "baseline JPEG": lambda encode: encode(texture(3), "JPEG", quality=90),
    "JPEG without chroma subsampling": lambda encode: encode(texture(3), "JPEG", quality=90, subsampling=0),
    "progressive JPEG": lambda encode: encode(texture(3), "JPEG", quality=75, progressive=True),
    "grayscale JPEG": lambda encode: encode(texture(1)[:, :, 0], "JPEG"),
    "EXIF 3 JPEG": lambda encode: encode(texture(3), "JPEG", exif=turned_exif(3)),
    "EXIF 6 JPEG": lambda encode: encode(texture(3), "JPEG", exif=turned_exif(6)),
    "EXIF 5 JPEG": lambda encode: encode(texture(3), "JPEG", exif=turned_exif(5)),
    "RGB PNG": lambda encode: encode(texture(3), "PNG"),
    "RGBA PNG": lambda encode: encode(texture(4), "PNG"),
    "palette PNG": lambda encode: encode(Image.fromarray(texture(3)).quantize(64), "PNG"),
    "grayscale PNG": lambda encode: encode(texture(1)[:, :, 0], "PNG"),
    "16 bit PNG": lambda encode: png_16_bit(),
    "CMYK JPEG": lambda encode: encode(Image.fromarray(texture(4), mode="CMYK"), "JPEG", quality=90),
}


def decode(data, device):
    """The whole picture through the graph: the identity as matrix."""
    encoded = np.frombuffer(data, dtype=np.uint8)
    identity = np.eye(3)[None, :2]
    inputs = iter([GraphInput([encoded], np.zeros(1, dtype=np.int64), identity)] * 9)
    graph = CropGraph(lambda: next(inputs), 1, (HEIGHT, WIDTH), device, threads=1)
    return graph.run()[0].permute(1, 2, 0).cpu().numpy()


@pytest.mark.parametrize("kind", list(PICTURES))
def test_decodes_as_opencv_does(kind, encode, device):
    data = PICTURES[kind](encode)
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    expected = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)[:, :, ::-1]
    assert expected.shape == (HEIGHT, WIDTH, 3)
    assert expected.std() > 20
    difference = np.abs(decode(data, device).astype(int) - expected)
    # nvJPEG's inverse transform and chroma upsampling differ a little from libjpeg-turbo's.
    assert difference.max() <= (TOLERANCE.get(kind, 0) if device.type == "cpu" else 6)


@pytest.mark.parametrize("kind", list(PICTURES))
def test_conversion_takes_it_and_the_loader_shows_it(kind, encode, write_split, painted, make_annotated_loader):
    """A crop that shows the picture pixel by pixel, through shards and loader."""
    data = PICTURES[kind](encode)
    box = [0, 0, WIDTH, HEIGHT]  # centre to (W/2, H/2): a crop of the picture's size is the picture
    person = (box, np.tile([20.0, 30.0, 2.0], (17, 1)))
    split = write_split([painted(data, (HEIGHT, WIDTH), [person], "png" if "PNG" in kind else "jpg")])
    loader = make_annotated_loader(split, crop_size=(HEIGHT, WIDTH), batch_size=1, padding=1.0)
    batch = next(iter(loader))
    assert batch.keypoints[0, 0].tolist() == pytest.approx([20, 30])
    crop = batch.crops[0].permute(1, 2, 0).numpy().astype(int)
    expected = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    assert np.abs(crop - expected[:, :, ::-1]).max() <= TOLERANCE.get(kind, 0)

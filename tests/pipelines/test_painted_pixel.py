"""Dots painted at the keypoints of a picture lie at the keypoints of its crops, whatever the augmentation.

Left keypoints are red dots, right ones green, the others blue: a dot shows not only where a keypoint is but which one.
"""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from pipelines.augmentation import Augmentation
from pose.skeletons import COCO_17

EVERYTHING = Augmentation(
    scale_factor=0.3,
    rotation_factor=45,
    rotation_probability=0.8,
    flip_probability=0.5,
    half_body_probability=0.4,
    translation_factor=0.1,
)
COLOR = np.array([0 if "left" in name else 1 if "right" in name else 2 for name in COCO_17.keypoint_names])
TOLERANCE_PX = 0.15


@dataclass(frozen=True)
class Regime:
    """How large a person is in the picture, px, and in the crop."""

    box: tuple[float, float]
    apart: float
    picture_size: tuple[int, int]
    crop_size: tuple[int, int]

    @property
    def dot_sigma(self) -> float:
        return self.apart / 6


REGIMES = {
    "upscaling": Regime((48, 64), 7.5, (120, 150), (256, 192)),
    "same size": Regime((150, 200), 24, (330, 300), (256, 192)),
    "downscaling": Regime((450, 620), 76, (900, 800), (96, 72)),
}
FORMATS = {
    "png": {"format": "PNG", "compress_level": 1},
    "jpg": {"format": "JPEG", "quality": 98, "subsampling": 0},
}


def scattered(rng, regime):
    """17 places in a box around the origin, none close to another."""
    places = []
    while len(places) < 17:
        place = rng.uniform(-0.5, 0.5, 2) * regime.box
        if all(np.hypot(*(place - other)) >= regime.apart for other in places):
            places.append(place)
    return np.array(places)


def person(rng, regime):
    """Box, and keypoints (17, 3) of which a few are not labelled."""
    height, width = regime.picture_size
    middle = np.array([width / 2, height / 2]) + rng.uniform(-0.05, 0.05, 2) * width
    keypoints = np.column_stack([middle + scattered(rng, regime), rng.choice([0, 1, 2], 17, p=[0.1, 0.3, 0.6])])
    keypoints[keypoints[:, 2] == 0] = 0
    return [*(middle - np.array(regime.box) / 2), *regime.box], keypoints


def dots(regime, keypoints):
    """A black picture (H, W, 3) with a Gaussian dot at each labelled keypoint."""
    height, width = regime.picture_size
    y, x = np.mgrid[:height, :width]
    picture = np.zeros((height, width, 3))
    for place, color in zip(keypoints, COLOR, strict=True):
        if place[2] > 0:
            squared = (x - place[0]) ** 2 + (y - place[1]) ** 2
            picture[:, :, color] = np.maximum(picture[:, :, color], np.exp(-squared / (2 * regime.dot_sigma**2)))
    return np.round(255 * picture).astype(np.uint8)


def turned_exif():
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    return exif


@pytest.fixture(scope="module")
def painted_split(write_split, painted, encode):
    """painted_split(regime, format): five pictures of one person each; the second has an EXIF rotation to ignore."""
    made = {}

    def split(regime_name, extension):
        if (regime_name, extension) not in made:
            regime, rng = REGIMES[regime_name], np.random.default_rng(11)
            pictures = []
            for number in range(5):
                box, keypoints = person(rng, regime)
                options = dict(FORMATS[extension])
                if extension == "jpg" and number == 1:
                    options["exif"] = turned_exif()
                data = encode(dots(regime, keypoints), **options)
                pictures.append(painted(data, regime.picture_size, [(box, keypoints)], extension))
            made[regime_name, extension] = write_split(pictures)
        return made[regime_name, extension]

    return split


def centroid(crop, color, expected, radius):
    """Of the dot of that colour within `radius` of the expected place; None where none is bright enough."""
    (x0, y0), (x1, y1) = np.floor(expected - radius).astype(int), np.ceil(expected + radius).astype(int)
    window = crop[color, y0 : y1 + 1, x0 : x1 + 1].astype(float)
    mass = np.maximum(window - 50, 0)
    if window.max() < 110:
        return None
    y, x = np.mgrid[y0 : y1 + 1, x0 : x1 + 1]
    return np.array([(mass * x).sum(), (mass * y).sum()]) / mass.sum()


def check(batch, regime):
    """Distances, crop px, of every dot that lies well inside a crop, and how many crops were mirrored and turned."""
    crops, distances, mirrored, turned = batch.crops.cpu().numpy(), [], 0, 0
    height, width = regime.crop_size
    for row in np.flatnonzero(batch.valid.numpy()):
        linear = batch.image_to_crop[row, :, :2].numpy()
        mirror = np.linalg.det(linear) < 0
        mirrored, turned = mirrored + mirror, turned + (abs(linear[0, 1]) > 0.01)
        radius = 2.6 * regime.dot_sigma * np.sqrt(abs(np.linalg.det(linear)))
        for k in np.flatnonzero(batch.visibility[row].numpy()):
            expected = batch.keypoints[row, k].numpy().astype(float)
            if (expected < radius + 1).any() or (expected > np.array([width, height]) - radius - 2).any():
                continue
            color = COLOR[COCO_17.flip_indices[k]] if mirror else COLOR[k]
            found = centroid(crops[row], color, expected, radius)
            assert found is not None, f"no dot of colour {color} at {COCO_17.keypoint_names[k]} {expected}"
            distances.append(np.hypot(*(found - expected)))
    return distances, mirrored, turned


@pytest.mark.parametrize("convention", ["hrnet", "unbiased"])
@pytest.mark.parametrize("extension", list(FORMATS))
@pytest.mark.parametrize("regime_name", list(REGIMES))
def test_dots_lie_at_the_keypoints_of_augmented_crops(
    painted_split, make_annotated_loader, device, regime_name, extension, convention
):
    regime, distances, mirrored, turned = REGIMES[regime_name], [], 0, 0
    for seed in (0, 1):
        loader = make_annotated_loader(
            painted_split(regime_name, extension),
            crop_size=regime.crop_size,
            batch_size=4,
            seed=seed,
            convention=convention,
            augmentation=EVERYTHING,
            device=device,
        )
        for _ in range(4):
            for batch in loader:
                found = check(batch, regime)
                distances, mirrored, turned = distances + found[0], mirrored + found[1], turned + found[2]
    assert len(distances) > 200
    assert mirrored > 10
    assert turned > 20
    assert max(distances) < TOLERANCE_PX


@pytest.mark.parametrize("convention", ["hrnet", "unbiased"])
def test_dots_lie_at_the_keypoints_of_plain_crops(painted_split, make_annotated_loader, device, convention):
    regime = REGIMES["upscaling"]
    loader = make_annotated_loader(
        painted_split("upscaling", "png"),
        crop_size=regime.crop_size,
        batch_size=5,
        convention=convention,
        device=device,
    )
    distances, mirrored, turned = check(next(iter(loader)), regime)
    assert (mirrored, turned) == (0, 0)
    assert len(distances) > 60
    assert max(distances) < TOLERANCE_PX


def test_keypoints_map_back_to_the_annotation(painted_split, make_annotated_loader):
    """Batch keypoints through the inverse of image_to_crop, sides swapped back, are the annotated ones."""
    split = painted_split("same size", "png")
    annotated = split.instance_column("keypoints").all()
    ids = split.instance_column("instance_id").all().tolist()
    loader = make_annotated_loader(split, crop_size=(256, 192), batch_size=5, augmentation=EVERYTHING)
    for _ in range(3):
        batch = next(iter(loader))
        for row in range(5):
            linear, offset = batch.image_to_crop[row, :, :2], batch.image_to_crop[row, :, 2]
            back = torch.linalg.solve(linear, (batch.keypoints[row].double() - offset).T).T.numpy()
            visibility = batch.visibility[row].numpy()
            if torch.linalg.det(linear) < 0:
                back, visibility = back[list(COCO_17.flip_indices)], visibility[list(COCO_17.flip_indices)]
            expected = annotated[ids.index(int(batch.instance_ids[row]))]
            np.testing.assert_array_equal(visibility, expected[:, 2])
            np.testing.assert_allclose(back, expected[:, :2], atol=1e-3)

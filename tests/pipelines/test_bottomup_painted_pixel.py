"""Dots and patches painted into a picture lie at the keypoints and under the mask of its crop, whatever is augmented.

Left keypoints are red dots, right ones green, the nose both: a dot shows not only where a keypoint is but which one.
Crowds and persons without labelled keypoints are blue patches, so `ignore` must be where blue is.
"""

import json
from collections import Counter

import cv2
import numpy as np
import pytest
import torch
from pycocotools import mask as coco_mask

from pipelines.bottomup import BottomUpLoader, BottomUpSettings
from pipelines.bottomup_augmentation import BottomUpAugmentation
from pipelines.bottomup_samples import BottomUpSamples
from pose.skeletons import COCO_17
from sharding.coco import read_coco
from sharding.convert import ConversionSettings, convert
from sharding.dataset import open_dataset
from sharding.storage import open_folder

SPECS = BottomUpAugmentation(
    scale_min=0.75, scale_max=1.5, max_rotation=30, translation_factor=0.2, flip_probability=0.5
)
CHANNELS = [(0,) if "left" in name else (1,) if "right" in name else (0, 1) for name in COCO_17.keypoint_names]
SIZES = [(150, 190), (240, 160), (333, 500), (480, 360)]
DOT_SIGMA_PX = 3.0
APART_PX = 24.0
TOLERANCE_PX = 0.15


def scattered(rng, size, count):
    """Places (count, 2) in a picture, none close to another."""
    places = []
    while len(places) < count:
        place = rng.uniform(8, np.array(size[::-1]) - 8)
        if all(np.hypot(*(place - other)) >= APART_PX for other in places):
            places.append(place)
    return np.array(places)


def painted_picture(rng, size, format):
    """Encoded bytes, keypoints of two persons (2, 17, 3), a crowd's mask and that of an unlabelled person."""
    height, width = size
    labelled = rng.random((2, 17)) < (0.6 if height > 300 else 0.25)
    labelled[:, 0] = True
    keypoints = np.zeros((2, 17, 3))
    keypoints[labelled] = np.column_stack([scattered(rng, size, labelled.sum()), rng.integers(1, 3, labelled.sum())])
    y, x = np.mgrid[:height, :width]
    picture = np.zeros((height, width, 3))
    for place, channels in zip(keypoints.reshape(-1, 3), CHANNELS * 2, strict=True):
        if place[2]:
            dot = np.exp(-((x - place[0]) ** 2 + (y - place[1]) ** 2) / (2 * DOT_SIGMA_PX**2))
            for channel in channels:
                picture[:, :, channel] = np.maximum(picture[:, :, channel], dot)
    crowd = (x - 0.2 * width) ** 2 + (y - 0.3 * height) ** 2 < (0.2 * height) ** 2
    alone = (abs(x - 0.8 * width) < 0.15 * width) & (abs(y - 0.6 * height) < 0.25 * height)
    picture[:, :, 2] = crowd | alone
    _, data = cv2.imencode(format, np.round(255 * picture[:, :, ::-1]).astype(np.uint8))
    return data.tobytes(), keypoints, crowd, alone


def annotation(image_id, keypoints, size, mask=None, iscrowd=0):
    """A row of COCO's annotations; its box is the whole picture."""
    row = {
        "image_id": image_id,
        "category_id": 1,
        "bbox": [0, 0, size[1], size[0]],
        "area": 100.0 + image_id,
        "iscrowd": iscrowd,
        "keypoints": keypoints.reshape(-1).tolist(),
        "num_keypoints": int((keypoints[:, 2] > 0).sum()),
    }
    if mask is not None:
        code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
        row["segmentation"] = {"size": list(mask.shape), "counts": code["counts"].decode()}
    return row


def write_split(folder, extension, sizes=SIZES):
    """Picture n has id 100 + n, two labelled persons, an unlabelled one and a crowd; the last has persons only."""
    rng, images, annotations = np.random.default_rng(5), [], []
    for number, size in enumerate(sizes):
        data, keypoints, crowd, alone = painted_picture(rng, size, extension)
        name, image_id, nobody = f"{number:04d}{extension}", 100 + number, np.zeros((17, 3))
        (folder / name).write_bytes(data)
        images.append({"id": image_id, "file_name": name, "width": size[1], "height": size[0]})
        annotations += [annotation(image_id, person, size) for person in keypoints]
        annotations.append(annotation(image_id, nobody, size, alone))
        annotations.append(
            annotation(image_id, keypoints[0], size, crowd, iscrowd=1)
        )  # keypoints of a crowd: of nobody
    annotations = [{"id": number, **row} for number, row in enumerate(annotations, start=1)]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
    (folder / "annotations.json").write_text(json.dumps(content))
    out = open_folder(folder / "split")
    convert(read_coco(folder / "annotations.json"), out, ConversionSettings(folder, "split"))
    assert not (folder / "split" / "rejects.jsonl").read_text()
    return open_dataset(folder / "split")


@pytest.fixture(scope="module")
def painted_splits(tmp_path_factory):
    return {extension: write_split(tmp_path_factory.mktemp("painted"), extension) for extension in (".png", ".jpg")}


def make_loader(split, **options):
    options = {"crop_size": (256, 256), "batch_size": 4, "augmentation": SPECS} | options
    return BottomUpLoader(BottomUpSamples([split]), BottomUpSettings(**options))


def centroid(crop, channel, expected, radius):
    """Of the dot in that channel around the expected place."""
    (x0, y0), (x1, y1) = np.floor(expected - radius).astype(int), np.ceil(expected + radius).astype(int)
    window = crop[channel, y0 : y1 + 1, x0 : x1 + 1].astype(float)
    assert window.max() > 110, f"no dot in channel {channel} at {expected}"
    mass = np.maximum(window - 50, 0)
    y, x = np.mgrid[y0 : y1 + 1, x0 : x1 + 1]
    return np.array([(mass * x).sum(), (mass * y).sum()]) / mass.sum()


def check_dots(batch):
    """Distances, crop px, of every dot that lies well inside a crop."""
    crops, distances = batch.crops.cpu().numpy(), []
    size = crops.shape[-1]
    for person, row in enumerate(batch.person_image.tolist()):
        determinant = np.linalg.det(batch.image_to_crop[row, :, :2].numpy())
        radius = 2.6 * DOT_SIGMA_PX * np.sqrt(abs(determinant))
        for k in np.flatnonzero(batch.visibility[person].numpy()):
            expected = batch.keypoints[person, k].numpy().astype(float)
            if (expected < radius + 1).any() or (expected > size - radius - 2).any():
                continue
            painted = COCO_17.flip_indices[k] if determinant < 0 else k
            found = [centroid(crops[row], channel, expected, radius) for channel in CHANNELS[painted]]
            distances.extend(np.hypot(*(place - expected)) for place in found)
    return distances


@pytest.mark.parametrize("convention", ["hrnet", "unbiased"])
@pytest.mark.parametrize("fit", ["short", "long"])
@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_dots_lie_at_the_keypoints_and_patches_under_the_mask(painted_splits, device, extension, fit, convention):
    distances, kinds = [], Counter()
    loader = make_loader(painted_splits[extension], fit=fit, convention=convention, device=device)
    for _ in range(8):
        for batch in loader:
            distances += check_dots(batch)
            blue = batch.crops[:, 2] > 127
            wrong = (blue != batch.ignore.bool()).float().mean(dim=(1, 2)).max()
            # A pixel that is half marked may round either way, and JPEG's blocks blur the outline.
            assert wrong < (1e-4 if extension == ".png" else 0.01)
            assert batch.ignore.unique().tolist() == [0, 1]
            determinants = np.linalg.det(batch.image_to_crop[:, :, :2].numpy())
            kinds.update(["mirrored" if determinant < 0 else "plain" for determinant in determinants])
            kinds.update(["turned" if abs(matrix[0, 1]) > 0.01 else "upright" for matrix in batch.image_to_crop])
    assert len(distances) > 200
    assert max(distances) < (TOLERANCE_PX if extension == ".png" else 3 * TOLERANCE_PX)
    assert min(kinds["mirrored"], kinds["plain"], kinds["turned"]) > 10


def test_without_augmentation_a_picture_of_the_crops_size_is_the_crop(tmp_path, device):
    split = write_split(tmp_path, ".png", [(200, 200)])
    (batch,) = make_loader(
        split, crop_size=(200, 200), batch_size=1, augmentation=BottomUpAugmentation(), device=device
    )
    picture = cv2.imread(str(tmp_path / "0000.png"))[:, :, ::-1]
    np.testing.assert_array_equal(batch.crops[0].permute(1, 2, 0).cpu(), picture)
    np.testing.assert_array_equal(batch.ignore[0].cpu(), picture[:, :, 2] // 255)


def test_crowds_are_ignored_but_no_persons_and_unlabelled_persons_are_both(painted_splits):
    split = painted_splits[".png"]
    for batch in make_loader(split, shuffle="none", augmentation=BottomUpAugmentation(), fit="long"):
        assert batch.person_image.tolist() == np.repeat(range(4), 3).tolist()
        assert batch.instance_ids.tolist() == [number for number in range(1, 17) if number % 4]
        labelled = batch.visibility.any(dim=1)
        assert labelled.tolist() == [True, True, False] * 4
        for row in range(4):
            for patch, picture_share in (("crowd", 0.2), ("alone", 0.8)):
                height, width = SIZES[row]
                place = np.array([picture_share * width, (0.3 if patch == "crowd" else 0.6) * height, 1])
                x, y = np.round(batch.image_to_crop[row].numpy() @ place).astype(int)
                assert batch.ignore[row, y, x] == 1, patch


def test_outside_of_the_picture_nothing_is_ignored(tmp_path):
    """A crop that shows all of a picture and black beside it, whose masks reach the picture's border."""
    split = write_split(tmp_path, ".png", [(100, 300)])
    (batch,) = make_loader(split, crop_size=(300, 300), batch_size=1, augmentation=BottomUpAugmentation(), fit="long")
    assert batch.ignore[0, 100:200].any()
    assert not batch.ignore[0, :100].any()
    assert not batch.ignore[0, 200:].any()


def test_areas_and_boxes_scale_with_the_picture(painted_splits):
    """A painted person's box is the picture, so its corners are the picture's corners."""
    for batch in make_loader(painted_splits[".png"], shuffle="none"):
        matrices = batch.image_to_crop[batch.person_image]
        determinants = torch.linalg.det(matrices[:, :, :2]).abs()
        torch.testing.assert_close(batch.areas, (100.0 + batch.image_ids[batch.person_image]) * determinants)
        for corners, row in zip(batch.box_corners.double(), batch.person_image.tolist(), strict=True):
            height, width = SIZES[row]
            expected = torch.tensor([[0, 0], [width, 0], [width, height], [0, height]], dtype=torch.float64)
            linear, offset = batch.image_to_crop[row, :, :2], batch.image_to_crop[row, :, 2]
            torch.testing.assert_close(corners, expected @ linear.T + offset, atol=1e-3, rtol=0)

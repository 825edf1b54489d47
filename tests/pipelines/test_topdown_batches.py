"""What the loader's batches hold: order, padding, ranks, detections, crowded pictures."""

import cv2
import numpy as np
import pytest
import torch

from pipelines.augmentation import Augmentation
from pipelines.samples import NO_INSTANCE, annotated_samples, detected_samples
from pipelines.topdown import TopDownSettings
from pose.crop import box_to_center_extent, crop_matrices, transform_points
from sharding.dataset import open_dataset
from sharding.storage import Folder

EVERYTHING = Augmentation(0.35, 45, 0.6, 0.5, 0.3, translation_factor=0.1)
FIELDS = ("keypoints", "visibility", "image_to_crop", "instance_ids", "image_ids", "box_scores", "box_areas", "valid")


def epochs_of(loader, count=1):
    return [batch for _ in range(count) for batch in loader]


def fingerprint(batch):
    """Every number of a batch, the valid rows only where filling rows may differ."""
    return [getattr(batch, name)[batch.valid].numpy().tobytes() for name in ("crops", *FIELDS)]


def test_shapes_and_types(make_loader, device):
    batch = next(iter(make_loader(batch_size=6, augmentation=EVERYTHING, device=device)))
    assert batch.crops.shape == (6, 3, 32, 24)
    assert batch.crops.dtype == torch.uint8
    assert batch.crops.device.type == device.type
    assert batch.crops.is_contiguous(memory_format=torch.channels_last)
    described = {name: (tuple(getattr(batch, name).shape), getattr(batch, name).dtype) for name in FIELDS}
    assert described == {
        "keypoints": ((6, 17, 2), torch.float32),
        "visibility": ((6, 17), torch.uint8),
        "image_to_crop": ((6, 2, 3), torch.float64),
        "instance_ids": ((6,), torch.int64),
        "image_ids": ((6,), torch.int64),
        "box_scores": ((6,), torch.float64),
        "box_areas": ((6,), torch.float64),
        "valid": ((6,), torch.bool),
    }


@pytest.mark.parametrize("shuffle", ["image", "instance", "none"])
def test_every_instance_once_per_epoch_with_its_own_image(make_loader, mini_coco, shuffle):
    loader = make_loader(shuffle=shuffle)
    trainable = mini_coco.trainable
    ids = mini_coco.instance_column("instance_id").all()
    images = mini_coco.image_column("image_id").all()[mini_coco.instance_images]
    image_of = dict(zip(ids.tolist(), images.tolist(), strict=True))
    for _ in range(2):
        batches = epochs_of(loader)
        assert len(batches) == len(loader)
        seen = torch.cat([batch.instance_ids[batch.valid] for batch in batches]).tolist()
        assert sorted(seen) == sorted(ids[trainable].tolist())
        shown = torch.cat([batch.image_ids[batch.valid] for batch in batches]).tolist()
        assert shown == [image_of[number] for number in seen]
        if shuffle == "none":
            assert seen == ids[trainable].tolist()


def test_only_the_last_batch_is_filled_up_and_nothing_counts_the_filling(make_loader, mini_coco):
    batches = epochs_of(make_loader(batch_size=8))
    count = int(mini_coco.trainable.sum())
    assert count % 8 != 0
    assert all(batch.valid.all() for batch in batches[:-1])
    last = batches[-1]
    assert last.valid.tolist() == [True] * (count % 8) + [False] * (8 - count % 8)
    assert not last.visibility[~last.valid].any()
    assert last.visibility[last.valid].any()


def test_labels_are_the_annotation_through_image_to_crop(make_loader, mini_coco):
    ids = mini_coco.instance_column("instance_id").all().tolist()
    annotated = mini_coco.instance_column("keypoints").all()
    for batch in epochs_of(make_loader()):
        rows = [ids.index(number) for number in batch.instance_ids.tolist()]
        expected = transform_points(batch.image_to_crop.numpy(), annotated[rows][:, :, :2])
        np.testing.assert_allclose(batch.keypoints.numpy(), expected, rtol=1e-5, atol=1e-3)
        np.testing.assert_array_equal(batch.visibility[batch.valid], annotated[rows][batch.valid.numpy(), :, 2])


@pytest.mark.parametrize("convention", ["hrnet", "unbiased"])
def test_regions_are_those_of_the_boxes(make_loader, mini_coco, convention):
    ids = mini_coco.instance_column("instance_id").all().tolist()
    boxes = mini_coco.instance_column("box_xywh").all()
    for batch in epochs_of(make_loader(convention=convention, padding=1.1)):
        rows = [ids.index(number) for number in batch.instance_ids.tolist()]
        center, extent = box_to_center_extent(boxes[rows], (32, 24), 1.1)
        np.testing.assert_allclose(batch.image_to_crop, crop_matrices(center, extent, (32, 24), convention))
        np.testing.assert_allclose(batch.box_areas, extent[:, 0] * extent[:, 1])


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_slice_the_global_batch(make_loader, world_size):
    options = {"batch_size": 8, "augmentation": EVERYTHING, "seed": 3}
    whole = epochs_of(make_loader(**options), 2)
    ranks = [epochs_of(make_loader(**options, rank=n, world_size=world_size), 2) for n in range(world_size)]
    assert {len(batches) for batches in ranks} == {len(whole)}
    for step, expected in enumerate(whole):
        parts = [batches[step] for batches in ranks]
        assert {len(part.valid) for part in parts} == {8 // world_size}
        valid = expected.valid
        np.testing.assert_array_equal(torch.cat([part.valid for part in parts]), valid)
        for name in ("crops", *FIELDS):
            together = torch.cat([getattr(part, name) for part in parts])
            assert torch.equal(together, getattr(expected, name)), name  # filling too: batch normalisation sees it
            assert name != "visibility" or not together[~valid].any()


def test_a_rank_may_have_nothing_but_filling(make_loader, mini_coco):
    count = int(mini_coco.trainable.sum())
    size = 2 * count  # rank 0 has every sample, rank 1 none
    batches = [epochs_of(make_loader(batch_size=size, rank=rank, world_size=2)) for rank in (0, 1)]
    assert batches[0][0].valid.all()
    assert not batches[1][0].valid.any()
    assert not batches[1][0].visibility.any()
    assert (batches[1][0].crops == batches[0][0].crops[0]).all()


def test_another_epoch_is_another_order_and_other_crops_of_the_same_instance(make_loader):
    loader = make_loader(augmentation=EVERYTHING)
    first, second = (torch.cat([batch.instance_ids[batch.valid] for batch in epochs_of(loader)]) for _ in range(2))
    assert first.tolist() != second.tolist()
    assert sorted(first.tolist()) == sorted(second.tolist())
    plain = make_loader(augmentation=EVERYTHING, shuffle="none")
    before, after = epochs_of(plain), epochs_of(plain)
    for a, b in zip(before, after, strict=True):
        assert torch.equal(a.instance_ids, b.instance_ids)
        assert (a.image_to_crop != b.image_to_crop).any(dim=(1, 2)).double().mean() > 0.9


def test_a_crop_does_not_depend_on_the_batch_around_it(make_loader):
    """Same seed and epoch, other batch size and order: the same crop of the same instance."""

    def crops(**options):
        rows = {}
        for batch in epochs_of(make_loader(augmentation=EVERYTHING, seed=5, **options)):
            for row in np.flatnonzero(batch.valid.numpy()):
                rows[int(batch.instance_ids[row])] = (batch.crops[row], batch.keypoints[row], batch.image_to_crop[row])
        return rows

    expected = crops(batch_size=8)
    for options in ({"batch_size": 3}, {"batch_size": 8, "shuffle": "none"}, {"batch_size": 50, "shuffle": "instance"}):
        for number, values in crops(**options).items():
            assert all(torch.equal(a, b) for a, b in zip(values, expected[number], strict=True))


@pytest.mark.parametrize("window", [0, 8])
def test_a_remote_folder_gives_the_same_batches(make_loader, mini_coco, mini_shards, monkeypatch, window):
    expected = [fingerprint(batch) for batch in epochs_of(make_loader(augmentation=EVERYTHING, window=window))]
    monkeypatch.setattr(Folder, "local", property(lambda folder: None))
    remote = open_dataset(mini_shards("coco"))
    loader = make_loader(annotated_samples(remote), augmentation=EVERYTHING, window=window)
    assert [fingerprint(batch) for batch in epochs_of(loader)] == expected


def test_detected_boxes(make_loader, mini_coco):
    """Scores and image ids travel along; nothing is labelled; each image's boxes are cut from that image."""
    ids = mini_coco.image_column("image_id").all().tolist()
    rng = np.random.default_rng(0)
    rows = [
        {"image_id": ids[n], "bbox": [*rng.uniform(0, 60, 2), *rng.uniform(20, 120, 2)], "score": float(score)}
        for score, n in enumerate(rng.integers(0, 16, 19))
    ]
    samples = detected_samples(mini_coco, rows)
    batches = epochs_of(make_loader(samples, batch_size=4, shuffle="none", epochs=1))
    valid = [batch.valid for batch in batches]
    scores = torch.cat([b.box_scores[v] for b, v in zip(batches, valid, strict=True)]).tolist()
    assert sorted(scores) == list(range(19))
    images = torch.cat([b.image_ids[v] for b, v in zip(batches, valid, strict=True)]).tolist()
    assert images == [rows[int(score)]["image_id"] for score in scores]
    assert all((b.instance_ids == NO_INSTANCE).all() and not b.visibility.any() for b in batches)
    matrices = torch.cat([b.image_to_crop[v] for b, v in zip(batches, valid, strict=True)])
    center, extent = box_to_center_extent(np.array([rows[int(score)]["bbox"] for score in scores]), (32, 24))
    np.testing.assert_allclose(matrices, crop_matrices(center, extent, (32, 24), "hrnet"))


def test_detected_boxes_of_one_image_are_augmented_apart(make_loader, mini_coco):
    image = int(mini_coco.image_column("image_id").all()[0])
    rows = [{"image_id": image, "bbox": [10, 10, 40, 60], "score": 1.0}] * 12
    batch = next(iter(make_loader(detected_samples(mini_coco, rows), batch_size=12, augmentation=EVERYTHING)))
    assert len({matrix.tobytes() for matrix in batch.image_to_crop.numpy()}) == 12


@pytest.fixture(scope="module")
def crowded(write_split, painted, encode):
    """Forty persons in the second of three pictures, one in each of the others."""
    pictures, shades = [], []
    for number, persons in enumerate((1, 40, 1)):
        noise = np.random.default_rng(number).normal(size=(200, 240, 3))
        shade = cv2.GaussianBlur(noise, (0, 0), 6)
        shade = np.clip(128 + 50 * shade / shade.std(), 0, 255).astype(np.uint8)
        boxes = [[5.0 * (n % 40), 3.0 * (n % 40), 30.0 + n, 50.0 + n] for n in range(persons)]
        keypoints = np.tile([100.0, 100.0, 2.0], (17, 1))
        pictures.append(painted(encode(shade, "PNG"), (200, 240), [(box, keypoints) for box in boxes]))
        shades.append(shade)
    return write_split(pictures), shades


@pytest.mark.parametrize("batch_size", [1, 16, 64])
def test_forty_persons_in_one_picture(crowded, make_annotated_loader, device, batch_size):
    split, shades = crowded
    options = {"crop_size": (48, 36), "batch_size": batch_size, "device": device, "augmentation": EVERYTHING}
    seen = []
    for batch in epochs_of(make_annotated_loader(split, **options)):
        for row in np.flatnonzero(batch.valid.numpy()):
            seen.append(int(batch.image_ids[row]))
            picture = shades[seen[-1] - 100]
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            inverse = cv2.invertAffineTransform(batch.image_to_crop[row].numpy())
            expected = cv2.warpAffine(picture, inverse, (36, 48), flags=flags, borderMode=cv2.BORDER_CONSTANT)
            crop = batch.crops[row].cpu().permute(1, 2, 0).numpy()
            assert np.quantile(np.abs(crop.astype(int) - expected), 0.99) <= 2
    assert sorted(seen) == [100] + [101] * 40 + [102]
    assert np.count_nonzero(np.diff(seen)) == 2  # one picture after the other


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"batch_size": 9, "world_size": 2}, "batch_size 9 is not a multiple of the 2 ranks"),
        ({"rank": 2, "world_size": 2}, r"rank must lie in \[0, 2\), got 2"),
        ({"rank": -1}, r"rank must lie in \[0, 1\), got -1"),
        ({"prefetch": 0}, "prefetch must be at least 1, got 0"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        TopDownSettings(**({"crop_size": (32, 24), "batch_size": 8} | wrong))


def test_a_batch_size_of_nothing_and_a_split_of_nothing_are_refused(make_loader, mini_coco):
    with pytest.raises(ValueError, match="batch_size must be at least 1"):
        make_loader(batch_size=0)
    with pytest.raises(ValueError, match="nobody to train"):
        make_loader(detected_samples(mini_coco, []))

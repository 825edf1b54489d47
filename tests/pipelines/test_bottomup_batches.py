"""What bottom-up batches hold: every picture once per epoch, the same on any number of ranks, its persons flattened."""

import hashlib

import numpy as np
import pytest
import torch

from pipelines.bottomup import BottomUpLoader, BottomUpSettings
from pipelines.bottomup_augmentation import BottomUpAugmentation
from pipelines.bottomup_samples import BottomUpSamples
from pose.crop import transform_points
from pose.skeletons import CROWDPOSE_14
from sharding.dataset import open_dataset
from sharding.storage import Folder

SPECS = BottomUpAugmentation(
    scale_min=0.75, scale_max=1.5, max_rotation=30, translation_factor=0.2, flip_probability=0.5
)
OF_PICTURES = ("crops", "ignore", "image_to_crop", "image_ids", "valid", "annotated")
OF_PERSONS = ("instance_ids", "keypoints", "visibility", "box_corners", "areas")
GOLDEN = "e1d79d4d07d8c08d"


@pytest.fixture
def make_loader(mini_coco):
    """make_loader(samples=…, **BottomUpSettings): over the pictures of the mini split by default."""

    def make(samples=None, **options):
        options = {"crop_size": (32, 32), "batch_size": 6, "augmentation": SPECS} | options
        return BottomUpLoader(samples or BottomUpSamples([mini_coco]), BottomUpSettings(**options))

    return make


def epochs_of(loader, count=1):
    return [batch for _ in range(count) for batch in loader]


def content(batches):
    """Every number of every picture, in the order of the batches: what must not change."""
    pictures = []
    for batch in batches:
        for row in np.flatnonzero(batch.valid.numpy()):
            here = batch.person_image == row
            values = [getattr(batch, name)[row] for name in OF_PICTURES] + [
                getattr(batch, name)[here] for name in OF_PERSONS
            ]
            pictures.append([value.cpu().numpy().tobytes() for value in values])
    return pictures


def test_shapes_and_types(make_loader, device):
    batch = next(iter(make_loader(device=device)))
    persons = len(batch.person_image)
    assert persons > 6
    for name in ("crops", "ignore"):
        assert getattr(batch, name).device.type == device.type
    assert batch.crops.is_contiguous(memory_format=torch.channels_last)
    fields = (*OF_PICTURES, "person_image", *OF_PERSONS)
    assert {name: (tuple(getattr(batch, name).shape), getattr(batch, name).dtype) for name in fields} == {
        "crops": ((6, 3, 32, 32), torch.uint8),
        "ignore": ((6, 32, 32), torch.uint8),
        "image_to_crop": ((6, 2, 3), torch.float64),
        "image_ids": ((6,), torch.int64),
        "valid": ((6,), torch.bool),
        "annotated": ((6, 17), torch.bool),
        "person_image": ((persons,), torch.int64),
        "instance_ids": ((persons,), torch.int64),
        "keypoints": ((persons, 17, 2), torch.float32),
        "visibility": ((persons, 17), torch.uint8),
        "box_corners": ((persons, 4, 2), torch.float32),
        "areas": ((persons,), torch.float64),
    }


@pytest.mark.parametrize("shuffle", ["image", "none"])
def test_every_picture_once_per_epoch_with_all_its_persons(make_loader, mini_coco, shuffle):
    ids = mini_coco.instance_column("instance_id").all()
    single = mini_coco.instance_column("iscrowd").all() == 0
    images = mini_coco.image_column("image_id").all()
    loader = make_loader(shuffle=shuffle)
    assert len(loader) == 3
    for _ in range(2):
        batches = epochs_of(loader)
        shown = torch.cat([batch.image_ids[batch.valid] for batch in batches])
        assert sorted(shown.tolist()) == sorted(images.tolist())
        assert (shown.tolist() == images.tolist()) == (shuffle == "none")
        persons = {}
        for batch in batches:
            assert (batch.person_image.diff() >= 0).all()
            for number, row in zip(batch.instance_ids.tolist(), batch.person_image.tolist(), strict=True):
                persons[number] = int(batch.image_ids[row])
        expected = zip(ids[single].tolist(), images[mini_coco.instance_images[single]].tolist(), strict=True)
        assert persons == dict(expected)


def test_nobody_is_in_the_rows_that_fill_up_a_batch(make_loader, mini_coco):
    batches = epochs_of(make_loader(shuffle="none"))
    assert [batch.valid.sum().item() for batch in batches] == [6, 6, 4]
    assert batches[-1].person_image.max() < 4
    assert not batches[-1].ignore[4:].any()


def test_a_crowd_that_fills_up_a_batch_is_not_ignored_there(make_loader, mini_coco):
    """Filling repeats the batch's first picture; here that is the one with a crowd."""
    crowded = next(i for i, s in enumerate(r for c in mini_coco.sidecars for r in c["crowd_regions"].to_pylist()) if s)
    loader = make_loader(shuffle="none", batch_size=crowded, augmentation=BottomUpAugmentation(), fit="long")
    batch = loader.prepare(1).batch
    assert batch.image_ids[0] == mini_coco.image_column("image_id").all()[crowded]
    filled = epochs_of(loader)[1]
    assert filled.valid.sum() < len(filled.valid)
    assert filled.ignore[0].any()
    assert not filled.ignore[~filled.valid].any()


def test_labels_are_the_annotation_through_image_to_crop(make_loader, mini_coco):
    ids = mini_coco.instance_column("instance_id").all().tolist()
    annotated = mini_coco.instance_column("keypoints").all()
    areas = mini_coco.instance_column("area").all()
    flip = list(mini_coco.skeleton.flip_indices)
    mirrored = 0
    for batch in epochs_of(make_loader(), 2):
        matrices = batch.image_to_crop[batch.person_image].numpy()
        rows = [ids.index(number) for number in batch.instance_ids.tolist()]
        expected = transform_points(matrices, annotated[rows][:, :, :2])
        visibility = annotated[rows][:, :, 2]
        determinants = np.linalg.det(matrices[:, :, :2])
        mirrored += (determinants < 0).sum()
        expected[determinants < 0] = expected[determinants < 0][:, flip]
        visibility[determinants < 0] = visibility[determinants < 0][:, flip]
        np.testing.assert_allclose(batch.keypoints, expected, rtol=1e-5, atol=1e-3)
        np.testing.assert_array_equal(batch.visibility, visibility)
        np.testing.assert_allclose(batch.areas, areas[rows] * abs(determinants))
    assert mirrored > 10


@pytest.mark.parametrize("window", [0, 5])
@pytest.mark.parametrize("world_size", [2, 3, 4, 8])
def test_any_number_of_ranks_gives_the_same_batches(make_loader, world_size, window):
    options = {"batch_size": 24 if world_size == 3 else 8, "window": window, "seed": 3}
    whole = epochs_of(make_loader(**options), 2)
    ranks = [epochs_of(make_loader(**options, rank=rank, world_size=world_size), 2) for rank in range(world_size)]
    together = [part for parts in zip(*ranks, strict=True) for part in parts]
    assert content(together) == content(whole)
    assert torch.equal(torch.cat([part.valid for part in together]), torch.cat([batch.valid for batch in whole]))


def test_a_rank_may_have_nothing_but_filling(make_loader):
    (batch,) = epochs_of(make_loader(batch_size=32, rank=1, world_size=2))
    assert not batch.valid.any()
    assert batch.keypoints.shape == (0, 17, 2)
    assert not batch.ignore.any()


@pytest.mark.parametrize("options", [{"prefetch": 1}, {"prefetch": 5}, {"threads": 1}, {"threads": 4, "prefetch": 3}])
def test_threads_and_prefetch_change_nothing(make_loader, options):
    assert content(epochs_of(make_loader(**options))) == content(epochs_of(make_loader()))


@pytest.mark.parametrize("options", [{"batch_size": 5}, {"shuffle": "none"}, {"window": 4}])
def test_a_picture_does_not_depend_on_the_batch_around_it(make_loader, options):
    assert sorted(content(epochs_of(make_loader(**options)))) == sorted(content(epochs_of(make_loader())))


@pytest.mark.parametrize("window", [0, 4])
def test_a_remote_folder_gives_the_same_batches(make_loader, mini_shards, monkeypatch, window):
    expected = content(epochs_of(make_loader(window=window)))
    monkeypatch.setattr(Folder, "local", property(lambda folder: None))
    remote = open_dataset(mini_shards("coco"))
    assert content(epochs_of(make_loader(BottomUpSamples([remote]), window=window))) == expected


def test_seed_and_epoch_change_order_and_matrices(make_loader):
    loader = make_loader(seed=1)
    first, second, other = epochs_of(loader), epochs_of(loader), epochs_of(make_loader(seed=2))
    for batches in (second, other):
        assert [b.image_ids.tolist() for b in batches] != [b.image_ids.tolist() for b in first]
        assert not set(map(bytes, matrices_of(batches))) & set(map(bytes, matrices_of(first)))


def matrices_of(batches):
    return [matrix.numpy() for batch in batches for matrix in batch.image_to_crop[batch.valid]]


def test_golden_order_and_matrices(make_loader, write_split, painted, encode):
    """Two epochs of image ids and matrices, for ever. A change here changes every training that goes on."""
    sizes = [(300 + 17 * number, 500 - 13 * number) for number in range(20)]
    keypoints = np.tile([50.0, 60.0, 2.0], (17, 1))
    split = write_split(
        [painted(encode(np.zeros((*s, 3), np.uint8), "PNG"), s, [([9, 9, 90, 120], keypoints)]) for s in sizes]
    )
    loader, digest = make_loader(BottomUpSamples([split]), crop_size=(512, 512)), hashlib.sha256()
    for step in range(2 * len(loader)):
        batch = loader.prepare(step).batch
        digest.update(batch.image_ids[batch.valid].numpy().tobytes())
        digest.update(np.round(1e4 * batch.image_to_crop[batch.valid].numpy()).astype(np.int64).tobytes())
    assert digest.hexdigest()[:16] == GOLDEN


def test_two_splits_of_two_skeletons(make_loader, mini_coco, mini_crowdpose):
    """Each split's pictures come as often as its weight says, keypoints in the places of the common skeleton."""
    samples = BottomUpSamples([mini_coco, mini_crowdpose], weights=[1, 2], skeleton=CROWDPOSE_14)
    batches = epochs_of(make_loader(samples))
    shown = torch.cat([batch.image_ids[batch.valid] for batch in batches])
    coco, crowdpose = (split.image_column("image_id").all().tolist() for split in (mini_coco, mini_crowdpose))
    assert sorted(shown.tolist()) == sorted(coco + 2 * crowdpose)
    head, neck = CROWDPOSE_14.index("head"), CROWDPOSE_14.index("neck")
    labelled = 0
    for batch in batches:
        is_coco = np.isin(batch.image_ids, coco)
        np.testing.assert_array_equal(batch.annotated[:, [head, neck]].all(dim=1), ~is_coco)
        np.testing.assert_array_equal(batch.annotated.all(dim=1), ~is_coco)
        of_coco = is_coco[batch.person_image]
        assert not batch.visibility[of_coco][:, [head, neck]].any()
        labelled += batch.visibility[of_coco].any(dim=1).sum()
    assert labelled > 10


def test_both_passes_over_a_picture_in_one_epoch_differ(make_loader, mini_coco):
    batches = epochs_of(make_loader(BottomUpSamples([mini_coco], weights=[2])))
    shown = torch.cat([batch.image_ids[batch.valid] for batch in batches]).tolist()
    assert len({(number, matrix.tobytes()) for number, matrix in zip(shown, matrices_of(batches), strict=True)}) == 32


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"crop_size": (512, 640)}, r"bottom-up crops are square, got crop_size \(512, 640\)"),
        ({"fit": "middle"}, r"fit must be one of \('short', 'long'\), got 'middle'"),
        ({"batch_size": 7, "world_size": 2}, "not a multiple of the 2 ranks"),
    ],
)
def test_impossible_settings_are_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        BottomUpSettings(**({"crop_size": (512, 512), "batch_size": 8} | wrong))

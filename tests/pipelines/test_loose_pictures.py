"""Pictures that belong to no split: batches for the graph, in order, whatever cannot be decoded."""

from collections.abc import Iterator

import numpy as np
import pytest

from pipelines.loose_crops import crop_batches
from pipelines.loose_loader import LooseLoader, crop_graph, whole_picture_graph
from pipelines.loose_pictures import LoosePicture, Regions, encode_losslessly
from pipelines.loose_whole_pictures import whole_picture_batches
from pipelines.orientation import turned_upright
from pipelines.topdown_batch import TopDownSettings
from pipelines.whole_picture_batch import WholePictureSettings

BROKEN = np.frombuffer(b"P6\n8 8\n255\nshort", np.uint8)


def picture(number: int, persons: int, broken: bool = False, side: int = 8) -> LoosePicture:
    """All its px are of that value; its crops have extents that are their numbers + 4."""
    center = np.full((persons, 2), (side - 1) / 2)
    regions = Regions(center, np.full((persons, 2), 4.0), np.arange(persons) + 1.0, np.arange(persons) + 10 * number)
    encoded = BROKEN if broken else encode_losslessly(np.full((side, side, 3), number, np.uint8))
    return LoosePicture(1000 + number, encoded, (side, side), regions=regions)


def settings(batch_size: int) -> TopDownSettings:
    return TopDownSettings(crop_size=(4, 4), batch_size=batch_size, threads=1)


def seen(pictures: list[LoosePicture | None], batch_size: int, most_bytes: int = 1 << 30) -> tuple:  # type: ignore[type-arg]
    """Instance ids with the value of their crops, `complete` after each batch, and problems."""
    prepared = crop_batches(iter(pictures), settings(batch_size), 3, 100, most_bytes)
    loader = LooseLoader(prepared, crop_graph(settings(batch_size)), 2)
    found, complete = [], []
    for loose in loader:
        batch = loose.batch
        for row in np.flatnonzero(batch.valid.numpy()).tolist():
            crop = batch.crops[row]
            assert (crop == crop[0, 0, 0]).all()
            assert int(batch.image_ids[row]) == 1000 + int(loose.picture_numbers[row])
            found.append((int(batch.instance_ids[row]), int(crop[0, 0, 0])))
        complete.append(loose.complete)
    return found, complete, loader.problems


@pytest.mark.parametrize("batch_size", [1, 2, 3, 5, 64])
def test_every_region_comes_once_in_order(batch_size: int) -> None:
    counts = [2, 0, 1, 7, 0, 0, 3]
    pictures: list[LoosePicture | None] = [picture(number, count) for number, count in enumerate(counts)]
    pictures[4] = None
    found, complete, problems = seen(pictures, batch_size)
    wanted = [(10 * number + k, number) for number, count in enumerate(counts) for k in range(count)]
    assert found == wanted
    assert complete[-1] == len(counts)
    assert complete == sorted(complete)
    assert problems == {}


@pytest.mark.parametrize("batch_size", [1, 3, 64])
@pytest.mark.parametrize("broken", [[0], [1], [3], [0, 1, 2, 3, 4, 5], [2, 5]])
def test_what_cannot_be_decoded_takes_nothing_else_along(batch_size: int, broken: list[int]) -> None:
    pictures: list[LoosePicture | None] = [picture(number, 2, number in broken) for number in range(6)]
    found, complete, problems = seen(pictures, batch_size)
    assert found == [(10 * n + k, n) for n in range(6) if n not in broken for k in range(2)]
    assert sorted(problems) == broken
    assert all("cannot be decoded" in problem for problem in problems.values())
    assert complete[-1] == 6


def test_a_batch_does_not_wait_for_more_than_it_may_hold() -> None:
    pictures: list[LoosePicture | None] = [picture(number, 1) for number in range(10)]
    _, complete, _ = seen(pictures, 64, most_bytes=400)  # two pictures of 203 bytes
    assert complete == [2, 4, 6, 8, 10]
    _, complete, _ = seen([picture(0, 0)] * 250, 4)
    assert complete == [100, 200, 250]
    _, complete, _ = seen([picture(0, 0)] * 10, 64, most_bytes=400)  # whoever asks keeps those without persons as well
    assert complete == [2, 4, 6, 8, 10]


def test_no_pictures_give_no_batches() -> None:
    assert seen([], 4) == ([], [], {})


def test_what_fails_in_the_source_comes_after_everything_before_it() -> None:
    def pictures() -> Iterator[LoosePicture]:
        yield picture(0, 2)
        raise OSError("the disk is gone")

    loader = LooseLoader(crop_batches(pictures(), settings(2), 3, 100, 1 << 30), crop_graph(settings(2)), 2)
    batches = iter(loader)
    assert next(batches).complete == 1
    with pytest.raises(OSError, match="gone"):
        next(batches)


def test_whole_pictures_come_in_order_too() -> None:
    whole = WholePictureSettings(short_side=64, threads=1)
    pictures: list[LoosePicture | None] = [picture(number, 0, broken=number == 3, side=40) for number in range(11)]
    pictures[5] = None
    loader = LooseLoader(whole_picture_batches(iter(pictures), whole, 100), whole_picture_graph(whole), 2)
    numbers, values = [], []
    for loose in loader:
        for one in loose.batch.pictures():
            numbers.append(one.image_row)
            values.append(int(one.inputs[0][0, 32, 32]))
            assert one.image_id == 1000 + one.image_row
    assert numbers == values == [0, 1, 2, 4, 6, 7, 8, 9, 10]
    assert list(loader.problems) == [3]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_whole_pictures_that_are_stored_turned_come_upright(orientation: int) -> None:
    whole = WholePictureSettings(short_side=64, threads=1)
    stored = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    upright = np.ascontiguousarray(turned_upright(stored, orientation))
    turned = LoosePicture(1, encode_losslessly(stored), (40, 60), orientation)
    plain = LoosePicture(2, encode_losslessly(upright), (upright.shape[0], upright.shape[1]))
    loader = LooseLoader(whole_picture_batches(iter([turned, plain]), whole, 100), whole_picture_graph(whole), 1)
    one, other = [picture for loose in loader for picture in loose.batch.pictures()]
    assert one.inputs[0].shape == other.inputs[0].shape
    assert (one.inputs[0].int() - other.inputs[0].int()).abs().max() <= 1
    assert np.array_equal(one.image_to_input, other.image_to_input)

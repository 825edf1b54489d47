"""Pictures that several groups of the schedule want, each for steps of its own."""

import time

import numpy as np
import pytest

from pipelines.block_fetch import BlockFetcher
from pipelines.fetch_schedule import FetchGroup
from pipelines.pictures import PictureIndex
from pipelines.remote_pictures import RemotePictures

pytestmark = pytest.mark.timeout(30)


def group(rows, last_steps, first_step):
    return FetchGroup(np.array(rows), np.array(last_steps), first_step)


@pytest.mark.parametrize(("first", "second"), [(5, 2), (2, 5)])
def test_a_picture_stays_until_its_last_group_is_done(mini_coco, first, second):
    """Windows of two lanes may overlap in a picture, and the one that begins first may end last."""
    index = PictureIndex([mini_coco])
    groups = iter([group([0, 1], [first, 1], 0), group([0, 2], [second, 2], 1)])
    source = RemotePictures(index, BlockFetcher(index, False, None), groups, 6, 0, 2, 10_000_000)
    try:
        for step in (0, 1, 2, 5):
            while step == 5 and not source._scheduled:  # a late schedule would fetch the picture anew
                time.sleep(0.01)
            (picture,) = source.read(step, np.array([0]))
            assert len(picture) == index.sizes.all()[0]
        with pytest.raises(RuntimeError, match="step 6 asks for pictures that nobody fetches"):
            source.read(6, np.array([0]))
    finally:
        source.close()

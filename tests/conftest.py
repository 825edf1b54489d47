"""Fixtures for all tests: mini shards of synthetic people, and the real photographs where they exist."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

pytest_plugins = ["sharding.testing", "object_store.fixtures"]

_REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Bit-identical weights need the same number of torch threads, and small networks are faster on one.

    With two, torch 2.13 crashes in the gradient of a 1x1 convolution of stride 2 with 4 or 8 input channels, a
    channels-last input and 3 rows.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder with `mini/` and `lsp/`: a few real pictures of each benchmark. Skips where it is absent."""
    if not _REAL_DATA.is_dir():
        pytest.skip("no folder of real pictures beside the checkout")
    return _REAL_DATA

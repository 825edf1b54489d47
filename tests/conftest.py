"""Fixtures for all tests: mini shards of synthetic people, and the real photographs where they exist."""

from pathlib import Path

import pytest

pytest_plugins = ["sharding.testing", "object_store.fixtures"]

_REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """A folder with `mini/` and `lsp/`: a few real pictures of each benchmark. Skips where it is absent."""
    if not _REAL_DATA.is_dir():
        pytest.skip("no folder of real pictures beside the checkout")
    return _REAL_DATA

"""pytest fixtures: an S3 server, and for each test a fresh bucket with a fault proxy in front of it.

    def test_something(object_store: ObjectStore, mini_shards) -> None:
        uri = object_store.put_folder(mini_shards("coco"), "shards/mini")        # leads through the proxy
        object_store.proxy.script = at_rate(0.1, [Reset(5000), Stall(5), Status(503)], seed=1)
        …
        assert object_store.proxy.faults["Reset"] > 0
        assert object_store.proxy.body_bytes < 1.1 * total

The server is moto, which wants another python-dateutil than this project pins; so it has an environment of its own,
which `make object-store` makes.
"""

import itertools
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store.fault_proxy import FaultProxy
from object_store.store import ObjectStore, credentials, running_server

_SERVER_PYTHON = Path(sys.prefix) / "object-store" / "bin" / "python"
_numbers = itertools.count()


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Host and port of an S3 server that lives as long as the test run. Skips where moto is not installed."""
    if not _SERVER_PYTHON.exists():
        pytest.skip(
            f"no S3 server: {_SERVER_PYTHON} does not exist; tests/object_store/fixtures.py says how to make it"
        )
    with running_server(_SERVER_PYTHON, tmp_path_factory.mktemp("s3") / "server.log") as address:
        yield address


@pytest.fixture
def object_store(s3_server: tuple[str, int], monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """A fresh bucket and its proxy; the environment holds the credentials and nothing else of AWS."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in credentials().items():
        monkeypatch.setenv(name, value)
    with FaultProxy(s3_server) as proxy:
        store = ObjectStore(s3_server, f"bucket-{next(_numbers)}", proxy)
        store.put("", b"")  # makes the bucket
        yield store

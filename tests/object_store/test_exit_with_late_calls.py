"""A process whose calls to a store hang can end: in time, in order, with its own status."""

import os
import subprocess
import sys
import time

import pytest
from object_store.faults import Fault, Stall, Trickle, on_every
from object_store.store import ObjectStore

PROGRAM = """
import atexit, sys
from sharding.retry import RetryPolicy, StorageError
from sharding.storage import open_folder

atexit.register(lambda: print("at exit"))
folder = open_folder(sys.argv[1], RetryPolicy(attempts=2, first_wait_s=0, timeout_s=0.3))
try:
    folder.ranges("x.bin", 1_000_000).read(0, 1_000_000)
except StorageError as error:
    print(error)
if sys.argv[2] == "error":
    raise ValueError("the end")
sys.exit(int(sys.argv[2]))
"""


def run(uri: str, ending: str) -> tuple[int, str, str]:
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, uri, ending],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    return process.returncode, output, errors


@pytest.mark.parametrize(("ending", "status"), [("3", 3), pytest.param("error", 1, marks=pytest.mark.slow)])
def test_hanging_calls_do_not_hold_up_the_exit(object_store: ObjectStore, ending: str, status: int) -> None:
    object_store.put("folder/x.bin", bytes(1_000_000))
    object_store.proxy.script = on_every(1, Trickle(1000))
    started = time.monotonic()
    returned, output, errors = run(object_store.uri("folder"), ending)
    assert returned == status
    assert time.monotonic() - started < 15  # the trickle would take a quarter of an hour
    assert "2 attempts in" in output
    assert output.endswith("at exit\n")
    assert errors == "" if ending != "error" else errors.endswith("ValueError: the end\n")


@pytest.mark.slow
@pytest.mark.parametrize("fault", [Trickle(1_000_000 / seconds) for seconds in (0.7, 0.8, 0.9)] + [Stall(0.7)], ids=str)
def test_calls_that_end_during_the_exit_do_no_harm(object_store: ObjectStore, fault: Fault) -> None:
    object_store.put("folder/x.bin", bytes(1_000_000))
    object_store.proxy.script = on_every(1, fault)
    for _ in range(15):
        returned, output, errors = run(object_store.uri("folder"), "3")
        assert (returned, errors) == (3, "")
        assert output.endswith("at exit\n")


def test_without_hanging_calls_s3_is_cleaned_up_as_usual(object_store: ObjectStore) -> None:
    object_store.put("folder/x.bin", bytes(1_000_000))
    assert run(object_store.uri("folder"), "3") == (3, "at exit\n", "")

"""Real jobs on a real head node: sent, watched, stopped."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray.job_submission import JobStatus, JobSubmissionClient

from engine.config import override, parse_recipe
from tune.job_arguments import portable_arguments
from tune.job_client import JobError, open_client
from tune.job_table import exit_status, failure
from tune.jobs import job, jobs, last_lines, stop, submit, watch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(150)]

TINY: dict[str, Any] = {
    "name": "tiny",
    "data": {"crop_size": [64, 32], "threads": 1},
    "model": {"name": "simplebaseline_resnet18", "options": {"width": 8, "deconv_channels": [8, 8, 8]}},
    "train": {"epochs": 1, "batch_size": 8, "precision": "32-true", "verdict_seconds": 0},
}


def free_ports(count: int) -> list[int]:
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


@pytest.fixture(scope="module")
def head() -> Iterator[str]:
    """The address of a dashboard, of a cluster of this test's own."""
    temp = tempfile.mkdtemp(prefix="rj", dir="/tmp")
    port, dashboard, agent, client = free_ports(4)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1", "RAY_TMPDIR": temp}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    words = f"""start --head --block --num-cpus=2 --port={port} --dashboard-port={dashboard} --min-worker-port=0
        --max-worker-port=0 --dashboard-agent-listen-port={agent} --ray-client-server-port={client}
        --disable-usage-stats --object-store-memory=100000000 --temp-dir={temp}"""
    with Path(temp, "head.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "ray.scripts.scripts", *words.split()],
            env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        _wait_for(f"http://127.0.0.1:{dashboard}", Path(temp, "head.log"))
        yield f"http://127.0.0.1:{dashboard}"
    finally:
        process.send_signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):  # nothing is left of it
            os.killpg(process.pid, signal.SIGKILL)
        shutil.rmtree(temp, ignore_errors=True)


def _wait_for(address: str, log: Path) -> None:
    for _ in range(120):
        try:
            open_client(address)
        except JobError:
            time.sleep(0.5)
        else:
            return
    pytest.fail(f"no dashboard: {log.read_text()}")


@pytest.fixture
def recipe(mini_shards: Callable[[str], Path], tmp_path: Path) -> Path:
    """A file with a recipe that trains on mini shards, outside of the checkout."""
    tree = TINY | {"run_dir": str(tmp_path / "run")}
    path = tmp_path / "tiny.json"
    path.write_text(override(parse_recipe(tree), [f"data.train={mini_shards('coco')}"]).to_json())
    return path


def train(client: JobSubmissionClient, recipe: Path, *settings: str, **environment: str) -> str:
    parameters = {"recipe": str(recipe), "settings": settings}
    arguments = portable_arguments("train", [str(recipe), *settings], parameters)
    return submit(client, "train", arguments, environment)


def test_a_training_runs_on_the_cluster_and_its_output_is_seen(head: str, recipe: Path, tmp_path: Path) -> None:
    client, seen = open_client(head), []
    job_id = train(client, recipe)
    found = watch(client, job_id, seen.append)
    output = "".join(seen)
    assert found.status == JobStatus.SUCCEEDED, output
    assert exit_status(found) == 0
    assert str(tmp_path / "run" / "last.ckpt") in output
    assert (tmp_path / "run" / "last.ckpt").is_file()
    assert job_id in [one.submission_id for one in jobs(client)]
    assert last_lines(client, job_id, 1) == output.splitlines(keepends=True)[-1]


def test_a_job_that_fails_says_why_and_has_its_exit_status(head: str, recipe: Path) -> None:
    client, seen = open_client(head), []
    found = watch(client, train(client, recipe, "data.train=/nowhere"), seen.append)
    assert found.status == JobStatus.FAILED
    assert exit_status(found) == 1
    assert "error: /nowhere/manifest.json does not exist" in "".join(seen)
    assert "Traceback" not in "".join(seen)


def test_whoever_stops_watching_does_not_stop_the_job(head: str, recipe: Path) -> None:
    client = open_client(head)
    job_id = train(client, recipe, "train.epochs=100000")

    def interrupted(text: str) -> None:
        if "epoch 2" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(client, job_id, interrupted)
    assert job(client, job_id).status == JobStatus.RUNNING
    assert "epoch" in last_lines(client, job_id, 3)
    stopped = stop(client, job_id)
    assert stopped.status == JobStatus.STOPPED
    assert exit_status(stopped) == 1
    assert failure(stopped) is None
    assert stop(client, job_id).status == JobStatus.STOPPED


def test_a_python_without_the_dependencies_is_explained(head: str, recipe: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare" / "python"
    bare.parent.mkdir()
    bare.write_text(f'#!/bin/sh\nexec {sys.executable} -S "$@"\n')
    bare.chmod(0o755)
    client = open_client(head)
    path = f"{bare.parent}{os.pathsep}{os.environ['PATH']}"
    found = watch(client, train(client, recipe, PATH=path), lambda text: None)
    assert "the job's python lacks 'typer'" in str(failure(found))


def test_environment_reaches_the_job(head: str, recipe: Path) -> None:
    """Where shards are looked for depends on it."""
    client, seen = open_client(head), []
    settings = ("data.train=s3://bucket/x", "storage.attempts=1", "storage.timeout_s=3")
    given = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9", "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    found = watch(client, train(client, recipe, *settings, **given), seen.append)
    assert found.status == JobStatus.FAILED
    assert "s3://bucket/x" in "".join(seen)
    assert "127.0.0.1" in "".join(seen)


def test_an_unknown_job_is_an_error(head: str) -> None:
    client = open_client(head)
    for action in (job, stop, lambda one, name: last_lines(one, name, 3)):
        with pytest.raises(JobError, match="the cluster knows no job raysubmit_x"):
            action(client, "raysubmit_x")

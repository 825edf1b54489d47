"""posestream's commands as Ray jobs: sent, watched, stopped. A job outlives whoever submitted it."""

import asyncio
import os
import shlex
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import aiohttp
from ray.job_submission import JobDetails, JobSubmissionClient

from tune.job_arguments import Arguments
from tune.job_client import JobError, explained
from tune.shipping import pack

PASSED_ON = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION", "AWS_REGION")  # nothing secret

_OUTAGE_S = 60.0  # that watching survives
_QUIET_S = 300.0  # without output, until the connection is suspected to be dead
_POLL_S = 1.0
_STOP_S = 30.0


def submit(client: JobSubmissionClient, command: str, arguments: Arguments, environment: dict[str, str]) -> str:
    """Start `posestream COMMAND ARGUMENTS` on the cluster, with a copy of this checkout as its working directory.

    Returns:
        the job's id.
    Raises:
        ShippingError: the checkout is too large. JobError: the cluster does not take the job.
    """
    entrypoint = shlex.join(["python", "posestream.py", command, *arguments.words])
    with tempfile.TemporaryDirectory() as folder, explained("the cluster does not take the job"):
        package = Path(folder) / "checkout.zip"
        pack(package, arguments.files)
        runtime_env = {"working_dir": str(package), "env_vars": environment}
        return str(client.submit_job(entrypoint=entrypoint, runtime_env=runtime_env))


def passed_on(names: Sequence[str]) -> dict[str, str]:
    """Variables for a job: those of PASSED_ON that are set here, and those asked for, as NAME or NAME=VALUE."""
    given = {name: os.environ[name] for name in PASSED_ON if os.environ.get(name)}
    for word in names:
        name, equals, value = word.partition("=")
        if not equals and name not in os.environ:
            raise JobError(f"--env {name}: there is no such variable here; set it, or give --env {name}=VALUE")
        given[name] = value if equals else os.environ[name]
    return given


def job(client: JobSubmissionClient, job_id: str) -> JobDetails:
    """What is known of a job. Raises JobError if there is none of that id."""
    with explained(f"no answer about job {job_id}"):
        return client.get_job_info(job_id)


def jobs(client: JobSubmissionClient) -> list[JobDetails]:
    """All that were submitted to the cluster, the newest first."""
    with explained("no answer"):
        found = [one for one in client.list_jobs() if one.submission_id]
    return sorted(found, key=lambda one: -(one.start_time or 0))


def last_lines(client: JobSubmissionClient, job_id: str, count: int) -> str:
    """The end of what a job printed."""
    with explained(f"no output of job {job_id}"):
        return "".join(client.get_job_logs(job_id).splitlines(keepends=True)[-count:])


def stop(client: JobSubmissionClient, job_id: str) -> JobDetails:
    """End a job: SIGTERM, and SIGKILL some seconds later. Returns when it has ended; one that had stays as it was."""
    with explained(f"cannot stop job {job_id}"):
        client.stop_job(job_id)
    give_up = time.monotonic() + _STOP_S
    while not (found := job(client, job_id)).status.is_terminal():
        if time.monotonic() > give_up:
            raise JobError(f"job {job_id} was told to stop {_STOP_S:g} s ago and is still {found.status.value}")
        time.sleep(_POLL_S)
    return found


def watch(client: JobSubmissionClient, job_id: str, write: Callable[[str], object]) -> JobDetails:
    """Pass on what a job prints, from its beginning, until it ends. A lost connection is taken up again.

    Raises:
        JobError: there is no such job (any more), or the cluster has not answered for a minute.
    """
    output, found = _Output(write), job(client, job_id)
    answered = time.monotonic()
    while True:
        try:
            asyncio.run(output.follow(client.tail_job_logs(job_id)))
            found, answered = client.get_job_info(job_id), time.monotonic()
            if found.status.is_terminal():
                return found
        except (OSError, RuntimeError, aiohttp.ClientError) as lost:
            if "404" in str(lost):
                raise JobError(f"job {job_id} is not known any more: was the head node started again?") from lost
            if time.monotonic() - max(answered, output.heard) > _OUTAGE_S:
                raise JobError(f"no answer for {_OUTAGE_S:g} s while watching job {job_id}: {lost}") from lost
        time.sleep(_POLL_S)


class _Output:
    """What a job prints; each connection brings it from the beginning, and it is shown once."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write = write
        self._shown = 0  # characters
        self.heard = time.monotonic()

    async def follow(self, chunks: AsyncIterator[str]) -> None:
        """Until the connection ends, or nothing has come for a long time, which may mean the same."""
        come = 0
        while (text := await _within(_QUIET_S, chunks)) is not None:
            self.heard = time.monotonic()
            new = text[max(self._shown - come, 0) :]
            come += len(text)
            self._shown = max(self._shown, come)
            if new:
                self._write(new)


async def _within(seconds: float, chunks: AsyncIterator[str]) -> str | None:
    """The next one; None if there is none, or none in time."""
    try:
        return await asyncio.wait_for(anext(chunks, None), seconds)
    except TimeoutError:
        return None

"""Jobs for people: a table of all, a line on one, and why it failed."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta

from ray.job_submission import JobDetails, JobStatus
from rich import box
from rich.table import Table
from rich.text import Text

from sharding.store_uri import redacted

_STYLES = {"SUCCEEDED": "green", "FAILED": "red", "STOPPED": "yellow", "RUNNING": "bold"}
_WIDTHS = {"job": 26, "status": 9, "began": 11, "took": 7}  # of what lies in them: an id is copied from here
_NO_PYTHON = 127


def job_table(found: Sequence[JobDetails]) -> Table:
    """A row per job: id, status, when it began, how long it took, command."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, width in _WIDTHS.items():
        table.add_column(name, no_wrap=True, min_width=width)
    table.add_column("command")
    for one in found:
        status = Text(one.status.value, style=_STYLES.get(one.status.value, ""))
        words = Text(command(one).removeprefix("posestream "), no_wrap=True, overflow="ellipsis")
        table.add_row(one.submission_id, status, _began(one), _took(one), words)
    return table


def summary(found: JobDetails) -> str:
    """One line on one job."""
    return f"{found.submission_id}: {found.status.value}, began {_began(found)}, took {_took(found)}: {command(found)}"


def command(found: JobDetails) -> str:
    """What the job runs, as it was submitted, without the secrets of its URIs."""
    return redacted(found.entrypoint.replace("python posestream.py", "posestream", 1))


def exit_status(found: JobDetails) -> int:
    """0 if the job succeeded; else its own exit status, or 1 where it has none."""
    if found.status == JobStatus.SUCCEEDED:
        return 0
    return found.driver_exit_code if found.driver_exit_code and found.driver_exit_code > 0 else 1


def failure(found: JobDetails) -> str | None:
    """Why a job failed, beyond what it printed itself; None for one that did not fail."""
    if found.status != JobStatus.FAILED:
        return None
    message = found.message or ""
    missing = re.search(r"ModuleNotFoundError: No module named '([^']+)'", message)
    if missing is not None or found.driver_exit_code == _NO_PYTHON:
        lacks = f"lacks {missing[1]!r}" if missing is not None else "is not there"
        return (
            f"the job's python {lacks}: a job runs the `python` that was on the PATH of its node when `ray start` ran "
            "there; start Ray again with posestream's environment active"
        )
    if message.startswith("Job entrypoint command failed"):
        return None
    return redacted(message or found.error_type or "no reason is known")


def _began(found: JobDetails) -> str:
    return "" if found.start_time is None else f"{datetime.fromtimestamp(found.start_time / 1000):%m-%d %H:%M}"


def _took(found: JobDetails) -> str:
    if found.start_time is None:
        return ""
    end = datetime.now().timestamp() if found.end_time is None else found.end_time / 1000
    return str(timedelta(seconds=round(max(0.0, end - found.start_time / 1000))))

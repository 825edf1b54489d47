"""The dashboard of a cluster, which takes jobs: how to get at it, and what its refusals mean."""

import http.client
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

from ray.exceptions import AuthenticationError
from ray.job_submission import JobSubmissionClient

from pose.errors import UserError
from sharding.store_uri import redacted

_CONNECT_S = 10.0
_WINS_OVER_AN_ADDRESS = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")


class JobError(UserError, RuntimeError):
    """A cluster that does not answer, or a job that is not there; the message says what to do."""


def open_client(address: str) -> JobSubmissionClient:
    """A client of the cluster whose dashboard is at an address such as http://head:8265. Raises JobError."""
    _require_dashboard(address)
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # Ray would make a token on a fresh home and then send it
    for name in ("job.sdk", "dashboard_sdk"):
        logging.getLogger(f"ray.dashboard.modules.{name}").setLevel(logging.WARNING)
    with _without_other_addresses(), explained(f"cannot submit to {address}"):
        return JobSubmissionClient(address.rstrip("/"))


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Raises JobError that begins with `what` for whatever Ray's client raises."""
    try:
        yield
    except UserError:
        raise
    except AuthenticationError as error:
        raise JobError(
            f"{what}: the cluster asks for its token; set RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN or "
            "RAY_AUTH_TOKEN_PATH, to what they are on its head node"
        ) from error
    except (OSError, RuntimeError) as error:
        unknown = re.search(r"404: Job (\S+) does not exist", str(error))
        if unknown is not None:
            raise JobError(f"the cluster knows no job {unknown[1]}; `posestream status` lists its jobs") from error
        raise JobError(f"{what}: {redacted(str(error))}") from error


def _require_dashboard(address: str) -> None:
    """Ray's client would wait for minutes, and take what lacks http:// for something else."""
    if not address.startswith(("http://", "https://")):
        port = "" if ":" in address.rpartition("//")[2] else ":8265"
        host = address.rpartition("//")[2] + port
        raise JobError(
            f"{address} is not the address of a dashboard; give it as http://{host.replace(':6379', ':8265')}"
        )
    try:
        urlopen(f"{address.rstrip('/')}/api/version", timeout=_CONNECT_S).close()
    except HTTPError as error:
        if error.code not in (401, 403):
            raise JobError(f"{address} answers, but is no Ray dashboard: {error}") from error
    except (http.client.HTTPException, ValueError) as error:
        raise JobError(
            f"{address} answers, but is no Ray dashboard, whose port is 8265 by default: {error!r}"
        ) from error
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise JobError(
            f"nothing answers at {address}: {reason}; `ray start --head --dashboard-host=0.0.0.0` prints where the "
            "dashboard is, and from outside its network `ssh -L 8265:localhost:8265 HEAD` brings it to "
            "http://localhost:8265"
        ) from error


@contextmanager
def _without_other_addresses() -> Iterator[None]:
    """To Ray's client these variables mean more than the address that it is given."""
    others = {name: os.environ.pop(name) for name in _WINS_OVER_AN_ADDRESS if name in os.environ}
    try:
        yield
    finally:
        os.environ.update(others)

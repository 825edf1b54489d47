"""Getting at a Ray cluster, or starting one on this machine."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from pose.errors import UserError

# To the nodes of another cluster go places, and no secrets: whoever opens Ray's dashboard or logs can read them.
_PASSED_ON = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_DEFAULT_REGION", "AWS_REGION", "OMP_NUM_THREADS")
# A process without GPUs would otherwise see all of its machine's.
_ALWAYS = {"RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1"}
_PATIENCE_S = 10.0


class ClusterError(UserError, RuntimeError):
    """A cluster that cannot be reached, or that lacks what was asked for; the message says what there is."""


def connect(address: str | None, cpus: int | None = None) -> None:
    """Join the cluster at an address, or that of the Ray job this runs in; without either, start Ray on this machine.

    Nothing happens if this process is connected already.

    Args:
        address: HOST:PORT, or "auto", the cluster that this machine belongs to.
        cpus: of a Ray that is started here; all by default.
    Raises:
        ClusterError: there is no cluster at the address.
    """
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")  # Ray would make a token on a fresh home and then ask for it
    os.environ.update(_ALWAYS)
    address = address or os.environ.get("RAY_ADDRESS")
    _require_reachable(address)
    here = {"num_cpus": cpus, "include_dashboard": False} if address is None else {}
    try:
        ray.init(
            address or "local",
            runtime_env={"env_vars": {} if address is None else _environment()},
            logging_level="error",
            log_to_driver=False,
            **here,
        )
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ClusterError(f"no Ray cluster at {address}: {error}; `ray status` says whether one runs") from error


@contextmanager
def connected(address: str | None, cpus: int | None = None) -> Iterator[None]:
    """The same for a while; a connection that was there before stays."""
    own = not ray.is_initialized()
    connect(address, cpus)
    try:
        yield
    finally:
        if own:
            ray.shutdown()


def require_resources(cpus: float, gpus: float, workers: int = 1) -> int:
    """How many trials, or trainings, of so many workers fit into the cluster at the same time.

    Raises:
        ClusterError: none; Ray itself would wait for ever.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    fitting = sum(_fitting(node, cpus, gpus) for node in nodes)
    if fitting < workers:
        there = "; ".join(f"{node.get('CPU', 0):g} CPUs, {node.get('GPU', 0):g} GPUs" for node in nodes)
        each = f"{cpus:g} CPUs" + (f" and {gpus:g} GPUs" if gpus else "")
        raise ClusterError(
            f"{workers} worker{'s' if workers > 1 else ''} with {each} each do not fit into this cluster, whose nodes "
            f"have: {there}"
        )
    return fitting // workers


def _fitting(node: dict[str, float], cpus: float, gpus: float) -> int:
    """Workers on one node: none can be spread over two."""
    needs = [(node.get("CPU", 0), cpus), (node.get("GPU", 0), gpus)]
    return min(int(there / need + 1e-9) for there, need in needs if need)


def _require_reachable(address: str | None) -> None:
    """Ray itself would wait for minutes."""
    if address is None or address == "auto":
        return
    if address.startswith("ray://"):
        raise ClusterError(
            f"{address}: give HOST:6379 on a machine of the cluster, or `posestream submit` from any other"
        )
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        raise ClusterError(f"{address} is not of the form HOST:PORT; `ray start` prints it, its port is mostly 6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_S).close()
    except OSError as error:
        raise ClusterError(
            f"no Ray cluster answers at {address}: {error}; `ray status` says whether one runs"
        ) from error


def _environment() -> dict[str, str]:
    """What processes of another cluster are told; a job has its own variables already."""
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:
        return dict(_ALWAYS)
    return _ALWAYS | {name: value for name, value in os.environ.items() if name in _PASSED_ON}

"""An S3 server on this machine, buckets in it, and a fault proxy before each."""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from object_store.fault_proxy import FaultProxy

ACCESS_KEY, SECRET_KEY = "test-access-key", "test-secret-key"
_START_S = 60.0
_HEADERS = {
    "Content-Type": "application/octet-stream",  # a form, which is urllib's default, would be parsed
    "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20200101/us-east-1/s3/aws4_request",  # is not checked
}


@dataclass(frozen=True)
class ObjectStore:
    """One bucket of an S3 server, reached directly or through a proxy that does faults.

    proxy: see FaultProxy; set `proxy.script`, read its counts.
    """

    server: tuple[str, int]
    bucket: str
    proxy: FaultProxy

    def uri(self, path: str = "", through_proxy: bool = True, **options: Any) -> str:
        """s3://… of a path in the bucket. The credentials come from the environment; `options` are more URI options."""
        address = self.proxy.address if through_proxy else "{}:{}".format(*self.server)
        query = {"scheme": "http", "endpoint_override": quote(address, safe=""), "region": "us-east-1"} | options
        return f"s3://{self.bucket}/{path}?" + "&".join(f"{name}={value}" for name, value in query.items())

    def environment(self, through_proxy: bool = True) -> dict[str, str]:
        """Variables with which a plain s3://bucket/path leads here, in this process or another."""
        address = self.proxy.address if through_proxy else "{}:{}".format(*self.server)
        return credentials() | {"AWS_ENDPOINT_URL": f"http://{address}"}

    def put(self, path: str, content: bytes) -> None:
        """Store an object, past the proxy."""
        self._ask("PUT", path, content)

    def get(self, path: str) -> bytes:
        """An object's bytes, past the proxy. Raises FileNotFoundError."""
        return self._ask("GET", path)

    def names(self, path: str = "") -> list[str]:
        """Objects whose name begins with `path`, sorted, past the proxy."""
        listing = self._ask("GET", f"?list-type=2&max-keys=1000&prefix={quote(path)}").decode()
        return sorted(part.split("</Key>")[0] for part in listing.split("<Key>")[1:])

    def put_folder(self, local: Path, path: str) -> str:
        """Store all files of a local folder below `path`. Returns the URI of `path`, through the proxy."""
        for file in sorted(local.rglob("*")):
            if file.is_file():
                self.put(f"{path}/{file.relative_to(local).as_posix()}", file.read_bytes())
        return self.uri(path)

    def _ask(self, method: str, path: str, content: bytes | None = None) -> bytes:
        place = path if path.startswith("?") else "/" + quote(path)
        url = "http://{}:{}/{}{}".format(*self.server, self.bucket, place)
        try:
            with _direct.open(urllib.request.Request(url, content, _HEADERS, method=method), timeout=60) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                raise FileNotFoundError(url) from error
            raise


_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def credentials() -> dict[str, str]:
    """Variables that say who asks, and that nobody else is asked for credentials."""
    return {
        "AWS_ACCESS_KEY_ID": ACCESS_KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }


@contextmanager
def running_server(python: Path, log: Path) -> Iterator[tuple[str, int]]:
    """moto's S3 server in a process of its own. Gives host and port."""
    host, port = "127.0.0.1", _free_port()
    environment: Mapping[str, str] = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(python), "-m", "moto.server", "-H", host, "-p", str(port)],
            env={**environment, **credentials()},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_for(process, host, port, log)
            yield host, port
        finally:
            process.kill()
            process.wait()


def _wait_for(process: subprocess.Popen[bytes], host: str, port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with _direct.open(f"http://{host}:{port}/moto-api/", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the S3 server did not start: {log.read_text(errors='replace')[-2000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])

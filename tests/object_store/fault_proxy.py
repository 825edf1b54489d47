"""A local HTTP proxy in front of an object store that does to its traffic what networks do."""

import http.client
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import unquote, urlsplit

from object_store.faults import (
    CutOff,
    Fault,
    Request,
    Reset,
    Script,
    Shorter,
    Stall,
    Status,
    Trickle,
    WrongBytes,
    never,
)

_CHUNK = 64 << 10
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "expect", "content-length"}


class FaultProxy:
    """Passes requests on to a store, and does what `script` says to each.

    Set `script` at any time: a function from a Request to a fault, or None to leave it alone; `object_store.faults` has
    the faults and ready scripts. Counted since the last `reset_counts()`:

    requests: all requests. reads: GETs of object bodies. body_bytes: bytes of object bodies that were sent on.
    faults: how many of each fault were done, by class name. log: every Request, in order of arrival.
    """

    def __init__(self, store: tuple[str, int]) -> None:
        self.store = store
        self.script: Script = never
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.reset_counts()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """host:port"""
        host, port = self._server.server_address[:2]
        return f"{host}:{port}"

    def reset_counts(self) -> None:
        with self._lock:
            self.requests = self.reads = self.body_bytes = 0
            self.faults: Counter[str] = Counter()
            self.log: list[Request] = []
            self._methods: Counter[str] = Counter()
            self._asked: Counter[tuple] = Counter()

    def close(self) -> None:
        """Ends stalls and trickles at once."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def __enter__(self) -> "FaultProxy":
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def wait(self, seconds: float) -> None:
        """Sleep, but not beyond the proxy's end."""
        if self._closing.wait(seconds):
            raise ConnectionError("the proxy is closed")

    def judge(self, method: str, target: str, headers: Message) -> tuple[Request, Fault | None]:
        """Count a request and ask the script about it."""
        url = urlsplit(target)
        key, (start, stop) = unquote(url.path).lstrip("/"), _parse_range(headers.get("Range"))
        user = headers.get("Authorization", "").partition("Credential=")[2].partition("/")[0]
        with self._lock:
            kind = method if method != "GET" or ("/" in key and not url.query) else "GET of a list"
            identity = (method, key, url.query, start, stop)
            request = Request(self._methods[kind], method, key, url.query, start, stop, self._asked[identity], user)
            self._methods[kind] += 1
            self._asked[identity] += 1
            self.requests += 1
            self.reads += request.reads_object
            self.log.append(request)
        fault = self.script(request)
        if fault is not None:
            with self._lock:
                self.faults[type(fault).__name__] += 1
        return request, fault

    def count_body(self, size: int) -> None:
        with self._lock:
            self.body_bytes += size


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    proxy: FaultProxy

    def handle_error(self, request: object, client_address: object) -> None:
        """Broken connections are this proxy's trade."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        pass

    def _pass_on(self) -> None:
        proxy = self.server.proxy
        request, fault = proxy.judge(self.command, self.path, self.headers)
        if isinstance(fault, Status):
            for _ in self._request_body():
                pass
            self._answer(fault.code, [], b"")
            return
        if isinstance(fault, Reset | CutOff) and not request.reads_object:
            self._break_request(fault)
            return
        answer, body = self._ask_store()
        if not request.reads_object:
            if isinstance(fault, Stall):
                proxy.wait(fault.seconds)
            self._answer(answer.status, answer.getheaders(), body)
            return
        self._answer_object(answer, body, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on  # noqa: N815

    def _ask_store(self) -> tuple[http.client.HTTPResponse, bytes]:
        connection = http.client.HTTPConnection(*self.server.proxy.store, timeout=120)
        body = b"".join(self._request_body())
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                connection.putheader(name, value)
        if self.command in ("PUT", "POST"):
            connection.putheader("Content-Length", str(len(body)))
        connection.putheader("Connection", "close")
        connection.endheaders(body or None)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer, content

    def _request_body(self) -> Iterator[bytes]:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            chunk = self.rfile.read(min(left, _CHUNK))
            if not chunk:
                raise ConnectionError("the client went away")
            left -= len(chunk)
            yield chunk

    def _break_request(self, fault: Reset | CutOff) -> None:
        received = 0
        for chunk in self._request_body():
            received += len(chunk)
            if received >= fault.after:
                break
        self._end(abruptly=isinstance(fault, Reset))

    def _answer_object(self, answer: http.client.HTTPResponse, body: bytes, fault: Fault | None) -> None:
        proxy, headers = self.server.proxy, answer.getheaders()
        if answer.status >= 300:
            self._answer(answer.status, headers, body)
            return
        if isinstance(fault, Shorter):
            body = body[: max(0, len(body) - fault.by)]
        if isinstance(fault, WrongBytes):
            wrong = bytearray(body)
            for place in range(fault.at, fault.at + fault.count):
                wrong[place] ^= 0xFF
            body = bytes(wrong)
        if isinstance(fault, Stall) and not fault.after:
            proxy.wait(fault.seconds)
            self._end(abruptly=False)
            return
        self._send_head(answer.status, headers, len(body))
        if isinstance(fault, Reset | CutOff | Stall):
            self._send_body(body[: fault.after])
            if isinstance(fault, Stall):
                proxy.wait(fault.seconds)
            self._end(abruptly=isinstance(fault, Reset))
        elif isinstance(fault, Trickle):
            self._trickle(body, fault.bytes_per_s)
        else:
            self._send_body(body)

    def _trickle(self, body: bytes, bytes_per_s: float) -> None:
        step = max(1, int(bytes_per_s / 20))
        for start in range(0, len(body), step):
            self._send_body(body[start : start + step])
            self.server.proxy.wait(step / bytes_per_s)

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        if self.command == "HEAD":
            length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
            self._send_head(status, headers, length)
            return
        self._send_head(status, headers, len(body))
        self.wfile.write(body)

    def _send_head(self, status: int, headers: list[tuple[str, str]], length: int) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send_body(self, body: bytes) -> None:
        for start in range(0, len(body), _CHUNK):
            chunk = body[start : start + _CHUNK]
            self.server.proxy.count_body(len(chunk))  # before the client can know that it has them
            self.wfile.write(chunk)

    def _end(self, abruptly: bool) -> None:
        """Close the connection, by a reset if `abruptly`."""
        self.close_connection = True
        if abruptly:
            time.sleep(0.005)  # a reset drops what is still under way
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        with suppress(OSError):
            if not abruptly:
                self.connection.shutdown(socket.SHUT_RDWR)
        self.rfile.close()
        self.wfile.close()
        self.connection.close()


def _parse_range(value: str | None) -> tuple[int, int | None]:
    """(start, stop) of a header such as bytes=0-99; (0, None) for all."""
    if value is None:
        return 0, None
    first, last = value.removeprefix("bytes=").split("-")
    return int(first or 0), int(last) + 1 if last else None

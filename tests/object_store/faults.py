"""What a fault proxy can do to a request, and on which requests it does it."""

import random
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """A request that reached the proxy.

    number: requests of this method before it. key: "bucket/folder/name". start, stop: the range that a GET asks for, in
    bytes (0, None for the whole object). earlier: how often exactly this was asked before. access_key: who asks.
    """

    number: int
    method: str
    key: str
    query: str
    start: int = 0
    stop: int | None = None
    earlier: int = 0
    access_key: str = ""

    @property
    def reads_object(self) -> bool:
        """Is it a GET of an object's body, rather than of a list or of a bucket's properties?"""
        return self.method == "GET" and "/" in self.key and not self.query


@dataclass(frozen=True)
class Reset:
    """The connection is reset (RST) after `after` bytes of a body: the answer's to a read, else the request's."""

    after: int = 1000


@dataclass(frozen=True)
class CutOff:
    """The connection is closed in order after `after` bytes of the body, though more were announced."""

    after: int = 1000


@dataclass(frozen=True)
class Shorter:
    """A sound answer whose body and Content-Length are both `by` bytes shorter than asked for."""

    by: int = 1


@dataclass(frozen=True)
class Status:
    """The store is not asked; the answer is this HTTP status."""

    code: int = 503


@dataclass(frozen=True)
class Stall:
    """After `after` bytes of the answer's body (0: before its head) nothing for `seconds`, then the connection ends."""

    seconds: float = 60.0
    after: int = 0


@dataclass(frozen=True)
class Trickle:
    """The answer's body comes at this speed, for ever if need be."""

    bytes_per_s: float = 1000.0


@dataclass(frozen=True)
class WrongBytes:
    """`count` bytes of the answer's body are flipped, from position `at` on (negative: from its end)."""

    at: int = 0
    count: int = 1


Fault = Reset | CutOff | Shorter | Status | Stall | Trickle | WrongBytes
Script = Callable[[Request], Fault | None]


def never(request: Request) -> Fault | None:
    """No faults."""
    return None


def on_first(count: int, fault: Fault, method: str = "GET") -> Script:
    """A fault on the first `count` requests of a method; of GETs only those of object bodies count."""
    return when(lambda request: request.number < count, fault, method)


def on_every(step: int, fault: Fault, method: str = "GET") -> Script:
    """A fault on each `step`-th request of a method, the first included; 1 means always."""
    return when(lambda request: request.number % step == 0, fault, method)


def when(wanted: Callable[[Request], bool], fault: Fault, method: str = "GET") -> Script:
    """A fault on the requests of a method that `wanted` accepts; of GETs only those of object bodies."""

    def script(request: Request) -> Fault | None:
        concerned = request.method == method and (method != "GET" or request.reads_object)
        return fault if concerned and wanted(request) else None

    return script


def at_rate(rate: float, faults: Sequence[Fault], seed: int = 0) -> Script:
    """One of `faults` on this fraction of the GETs of object bodies.

    Which ones is a function of seed, key, range and earlier askings, not of the order in which threads come.
    """

    def script(request: Request) -> Fault | None:
        if not request.reads_object:
            return None
        identity = f"{seed} {request.key.split('/', 1)[1]} {request.start} {request.stop} {request.earlier}"
        chance = random.Random(zlib.crc32(identity.encode()))
        return chance.choice(faults) if chance.random() < rate else None

    return script

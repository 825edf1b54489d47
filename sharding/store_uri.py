"""What a URI of a store means: its file system and path, the names below it, and how to show it without secrets."""

import os
import re
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from pyarrow import fs as arrow_fs

_KINDS = {
    "file": "LocalFileSystem",
    "s3": "S3FileSystem",
    "gs": "GcsFileSystem",
    "gcs": "GcsFileSystem",
    "abfs": "AzureFileSystem",
    "abfss": "AzureFileSystem",
    "hdfs": "HadoopFileSystem",
    "viewfs": "HadoopFileSystem",
    "mock": "_MockFileSystem",
}
_CREDENTIALS = re.compile(r"(?<=://)[^/?#\s:@]*:(?!\d+/)[^?#\s]*@|(?<=://)[^/?#\s:@]*:[^/?#\s]*@")
_SECRET_OPTION = re.compile(r"([?&][^=&\s]*(?:secret|token|password|key|sas|sig)[^=&\s]*=)[^&\s'\"]*", re.IGNORECASE)
_S3_TEXTS = ("region", "scheme", "endpoint_override", "tls_ca_file_path")
_S3_FLAGS = ("allow_bucket_creation", "allow_bucket_deletion", "allow_delayed_open")
_CONNECT_S = 5.0
_SILENCE_S = 10.0  # without a single byte; a slow trickle is not silence, for which RetryPolicy.timeout_s is there


def redacted(text: str) -> str:
    """A URI, or a message that quotes one, without its secrets."""
    return _SECRET_OPTION.sub(r"\1***", _CREDENTIALS.sub("***@", text))


def child(uri: str, name: str) -> str:
    """The URI of `name` below `uri`: before the ?query, not behind it."""
    base, mark, query = uri.partition("?") if "://" in uri else (uri, "", "")
    return f"{base.rstrip('/')}/{name}{mark}{query}"


def kind(uri: str) -> str:
    """The scheme of a URI. Raises ValueError that lists the known ones."""
    scheme = uri.partition("://")[0]
    if not hasattr(arrow_fs, _KINDS.get(scheme, "?")):
        offered = [f"{name}://" for name, system in _KINDS.items() if hasattr(arrow_fs, system) and name != "mock"]
        raise ValueError(f"{scheme}:// is no kind of store; this pyarrow offers {', '.join(offered)} and plain paths")
    return scheme


def open_filesystem(uri: str, timeout_s: float) -> tuple[arrow_fs.FileSystem, str]:
    """The file system and path of a URI; of S3 one that tries nothing twice by itself, as RetryPolicy does.

    Raises ValueError and what pyarrow raises.
    """
    scheme = kind(uri)
    if scheme == "s3":
        return _open_s3(uri, timeout_s, for_uploads=False)
    if scheme in ("gs", "gcs") and "retry_limit_seconds=" not in uri:  # pyarrow's own limit is a quarter of an hour
        uri += f"{'&' if '?' in uri else '?'}retry_limit_seconds={timeout_s:g}"
    return arrow_fs.FileSystem.from_uri(uri)


def open_for_uploads(uri: str, timeout_s: float) -> arrow_fs.FileSystem | None:
    """For S3 a second file system that tries each part of an upload several times; None if there need not be one."""
    return _open_s3(uri, timeout_s, for_uploads=True)[0] if kind(uri) == "s3" else None


def _open_s3(uri: str, timeout_s: float, for_uploads: bool) -> tuple[arrow_fs.FileSystem, str]:
    parts = urlsplit(uri)
    user, _, host = parts.netloc.rpartition("@")
    bucket = host.partition(":")[0]
    options = dict(parse_qsl(parts.query, keep_blank_values=True))
    if not bucket or set(options) - {*_S3_TEXTS, *_S3_FLAGS}:
        return arrow_fs.S3FileSystem.from_uri(uri)  # refuses it, or knows an option that its constructor does not
    settings: dict[str, Any] = _endpoint_of_environment()
    settings |= {name: options[name] for name in _S3_TEXTS if name in options}
    settings |= {name: options[name].lower() in ("true", "1") for name in _S3_FLAGS if name in options}
    access_key, _, secret_key = user.partition(":")
    if secret_key:
        settings |= {"access_key": unquote(access_key), "secret_key": unquote(secret_key)}
    if "region" not in settings:
        settings["region"] = _region(bucket, "endpoint_override" in settings)
    filesystem = _s3(frozenset(settings.items()), timeout_s, for_uploads, _aws_environment(), os.getpid())
    return filesystem, bucket + unquote(parts.path)


@lru_cache(maxsize=64)
def _s3(
    settings: frozenset[tuple[str, Any]],
    timeout_s: float,
    for_uploads: bool,
    environment: tuple[tuple[str, str], ...],
    process: int,
) -> arrow_fs.FileSystem:
    """One per kind of access: making one waits for a moment in which no call to S3 is under way; it may never come."""
    reading = {"retry_strategy": arrow_fs.AwsStandardS3RetryStrategy(max_attempts=1)}
    writing = {
        "retry_strategy": arrow_fs.AwsDefaultS3RetryStrategy(max_attempts=3),  # retries, with short waits
        "allow_delayed_open": True,  # what fits into one part is sent with one request
    }
    return arrow_fs.S3FileSystem(
        **dict(settings) | (writing if for_uploads else reading),
        connect_timeout=min(_CONNECT_S, timeout_s),
        request_timeout=max(1.0, min(_SILENCE_S, timeout_s)),  # whole seconds count; 0 would be for ever
    )


def _aws_environment() -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, value) for name, value in os.environ.items() if name.startswith("AWS_")))


def _endpoint_of_environment() -> dict[str, str]:
    """The standard variables, which pyarrow's constructor leaves unread."""
    url = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    if not url:
        return {}
    scheme, _, address = url.rpartition("://")
    return {"scheme": scheme or "https", "endpoint_override": address.rstrip("/")}


def _region(bucket: str, at_endpoint: bool) -> str:
    """Where nobody says it, Amazon is asked where the bucket is."""
    known = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    return known or ("us-east-1" if at_endpoint else arrow_fs.resolve_s3_region(bucket))

"""What URIs mean, and that no secret is shown."""

import pickle
from typing import Any

import pytest
from pyarrow import fs as arrow_fs

from sharding.storage import Folder, StorageError, open_folder
from sharding.store_uri import child, redacted

QUERY = "scheme=http&endpoint_override=127.0.0.1%3A1&region=eu-west-3"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def settings(folder: Folder) -> dict[str, Any]:
    return folder.filesystem.__reduce__()[1][0]


@pytest.mark.parametrize(
    ("uri", "name", "expected"),
    [
        ("s3://b/a?region=x&scheme=http", "c.tar", "s3://b/a/c.tar?region=x&scheme=http"),
        ("s3://b/a/?region=x", "c.tar", "s3://b/a/c.tar?region=x"),
        ("gs://b/a/", "c.tar", "gs://b/a/c.tar"),
        ("/data/what?/a", "c.tar", "/data/what?/a/c.tar"),
        ("file:///data/a", "c.tar", "file:///data/a/c.tar"),
    ],
)
def test_names_come_before_the_query(uri: str, name: str, expected: str) -> None:
    assert child(uri, name) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("s3://AKIA:hunter2@b/a?region=x", "s3://***@b/a?region=x"),
        ("s3://AKIA:hun%2Fter+2=@b/a", "s3://***@b/a"),
        ("s3://AKIA:hun/ter2@b/a", "s3://***@b/a"),
        ("cannot parse 's3://AKIA:hunter2@b/a' at 3", "cannot parse 's3://***@b/a' at 3"),
        ("abfss://account:hunter2@/container/a", "abfss://***@/container/a"),
        ("abfs://c@account.dfs.core.windows.net/a?sas_token=hunter2", "abfs://c@account.dfs.core.windows.net/a?sas_token=***"),
        ("s3://b/a?secret_key=hunter2&region=x", "s3://b/a?secret_key=***&region=x"),
        ("gs://anonymous@b/a", "gs://anonymous@b/a"),
        ("hdfs://host:9000/a@b/c", "hdfs://host:9000/a@b/c"),
        ("s3://b/a?endpoint_override=localhost:9000", "s3://b/a?endpoint_override=localhost:9000"),
        ("s3://b/one:two@three/x", "s3://b/one:two@three/x"),
    ],
)  # fmt: skip
def test_secrets_are_not_shown(text: str, expected: str) -> None:
    assert redacted(text) == expected


def test_a_folder_shows_no_secret() -> None:
    folder = open_folder(f"s3://AKIA:hunt%2Fer2@bucket/a/b?{QUERY}")
    assert (settings(folder)["access_key"], settings(folder)["secret_key"]) == ("AKIA", "hunt/er2")
    assert settings(folder.subfolder("c"))["secret_key"] == "hunt/er2"
    shown = f"s3://***@bucket/a/b/c/d?{QUERY}"
    assert folder.subfolder("c").location("d") == shown
    assert (folder.path, folder.name, folder.subfolder("c").path) == ("bucket/a/b", "b", "bucket/a/b/c")
    with pytest.raises(StorageError) as caught:
        open_folder("s3://AKIA:hunter2@bucket/a?scheme=http&nonsense=1")
    for text in (repr(folder), str(folder), str(caught.value)):
        assert "hunt" not in text
    assert "s3://***@bucket/a" in str(caught.value)


def test_s3_options_are_those_of_pyarrow() -> None:
    text = f"s3://bucket/a%20b/c/?{QUERY}&allow_bucket_creation=true&tls_ca_file_path=%2Fx.pem"
    folder = open_folder(text)
    by_pyarrow, path = arrow_fs.FileSystem.from_uri(text)
    ours, theirs = settings(folder), by_pyarrow.__reduce__()[1][0]
    different = {name for name in theirs if ours[name] != theirs[name]}
    assert different == {"connect_timeout", "request_timeout"}
    assert folder.path == path == "bucket/a b/c"
    with pytest.raises(StorageError, match="nonsense"):
        open_folder("s3://bucket/a?nonsense=1")
    with pytest.raises(StorageError, match="scheme 'gopher'"):
        open_folder("s3://bucket/a?scheme=gopher&region=x")
    with pytest.raises(StorageError, match="bucket"):
        open_folder("s3:///a")


def test_options_that_only_uris_have_are_passed_on() -> None:
    assert isinstance(open_folder(f"s3://b/a?{QUERY}&tls_verify_certificates=false").filesystem, arrow_fs.S3FileSystem)


@pytest.mark.parametrize(
    ("environment", "query", "expected"),
    [
        ({"AWS_ENDPOINT_URL": "http://minio:9000"}, "", ("http", "minio:9000", "us-east-1")),
        ({"AWS_ENDPOINT_URL": "http://x", "AWS_ENDPOINT_URL_S3": "https://y/"}, "", ("https", "y", "us-east-1")),
        ({"AWS_ENDPOINT_URL": "http://minio:9000", "AWS_REGION": "a"}, "?region=b", ("http", "minio:9000", "b")),
        ({"AWS_ENDPOINT_URL": "http://x:1"}, "?endpoint_override=y:2&scheme=https", ("https", "y:2", "us-east-1")),
        ({"AWS_DEFAULT_REGION": "eu-central-1"}, "", ("https", "", "eu-central-1")),
        ({"AWS_REGION": "eu-north-1", "AWS_DEFAULT_REGION": "eu-central-1"}, "", ("https", "", "eu-north-1")),
    ],
)
def test_the_environment_says_where_s3_is(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], query: str, expected: tuple[str, str, str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    found = settings(open_folder(f"s3://bucket/a{query}"))
    assert (found["scheme"], found["endpoint_override"], found["region"]) == expected


def test_amazon_is_asked_where_a_bucket_is_if_nobody_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrow_fs, "resolve_s3_region", lambda bucket: f"region-of-{bucket}")
    assert settings(open_folder("s3://bucket/a"))["region"] == "region-of-bucket"


def test_other_credentials_and_processes_have_connections_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    first = open_folder(f"s3://bucket/a?{QUERY}").filesystem
    assert open_folder(f"s3://other/b?{QUERY}").filesystem is first
    with monkeypatch.context() as forked:
        forked.setattr("os.getpid", lambda: 1)
        assert open_folder(f"s3://bucket/a?{QUERY}").filesystem is not first
    assert open_folder(f"s3://key:secret@bucket/a?{QUERY}").filesystem is not first
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    assert open_folder(f"s3://bucket/a?{QUERY}").filesystem is not first


def test_a_folder_can_be_sent_to_another_process() -> None:
    folder = open_folder(f"s3://key:secret@bucket/a?{QUERY}")
    received = pickle.loads(pickle.dumps(folder))
    assert (received.uri, received.path, received.retry) == (folder.uri, folder.path, folder.retry)
    assert settings(received) == settings(folder)


@pytest.mark.parametrize("uri", ["foo://bucket/x", "http://host/x", "s3fs://x/y", "://x"])
def test_unknown_kinds_are_told_the_known_ones(uri: str) -> None:
    with pytest.raises(StorageError, match=rf"cannot open {uri}: .*offers file://, s3://, gs://.* and plain paths"):
        open_folder(uri)


def test_kinds_that_this_pyarrow_lacks_are_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(arrow_fs, "GcsFileSystem")
    with pytest.raises(StorageError, match="gs:// is no kind") as caught:
        open_folder("gs://bucket/a")
    assert "gcs://" not in str(caught.value)
    assert "hdfs://" in str(caught.value)

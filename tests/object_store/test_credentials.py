"""Who asks, and where: URI, environment and profile as the standard tools read them."""

from pathlib import Path

import pytest
from object_store.faults import Status
from object_store.store import ACCESS_KEY, ObjectStore

from sharding.retry import RetryPolicy, StorageError
from sharding.storage import open_folder


def asker(store: ObjectStore, uri: str) -> str:
    assert open_folder(uri).read("x.bin") == b"content"
    return store.proxy.log[-1].access_key


@pytest.fixture
def store(object_store: ObjectStore) -> ObjectStore:
    object_store.put("folder/x.bin", b"content")
    return object_store


def test_the_environment_gives_credentials_and_endpoint(store: ObjectStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in store.environment().items():
        monkeypatch.setenv(name, value)
    assert asker(store, f"s3://{store.bucket}/folder") == ACCESS_KEY


def test_a_profile_gives_credentials(store: ObjectStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "credentials").write_text(
        "[default]\naws_access_key_id = one\naws_secret_access_key = x\n"
        "[lab]\naws_access_key_id = two\naws_secret_access_key = y\n"
    )
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    assert asker(store, store.uri("folder")) == "one"
    monkeypatch.setenv("AWS_PROFILE", "lab")
    assert asker(store, store.uri("folder")) == "two"


def test_a_uri_gives_credentials_that_no_message_shows(store: ObjectStore, tmp_path: Path) -> None:
    uri = store.uri("folder").replace("s3://", "s3://three:hunt%2Fer2@")
    assert asker(store, uri) == "three"
    folder = open_folder(uri, RetryPolicy(attempts=2, first_wait_s=0))
    store.proxy.script = lambda request: Status(503)
    calls = (folder.names, folder.create, lambda: folder.read("x.bin"), lambda: folder.ranges("x.bin", 7).read(0, 7))
    for call in calls:
        with pytest.raises(StorageError, match=r"s3://\*\*\*@bucket.*2 attempts") as caught:
            call()
        assert "hunt" not in str(caught.value)
        assert "three" not in str(caught.value)

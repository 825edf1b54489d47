"""What of a checkout is sent with a job."""

import os
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tune import shipping
from tune.shipping import ShippingError, pack

SENT = {"posestream.py", "pyproject.toml", "pose/a.py", "pose/data/table.json", "mine.py"}
KEPT = (
    ".git/HEAD", ".venv/lib/x.py", "runs/a/last.ckpt", "data/x.jpg", "build/lib/x.py", "shards/a.tar",
    "pose/__pycache__/a.pyc", ".mypy_cache/x", "sub/.venv/x.py",
)  # fmt: skip


@pytest.fixture
def checkout(tmp_path: Path) -> Callable[..., Path]:
    """checkout(*names): a folder with these files beside the usual ones."""

    def make(*names: str) -> Path:
        root = tmp_path / "checkout"
        for name in (*SENT, *names):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(name)
        return root

    return make


def names(archive: Path) -> set[str]:
    with zipfile.ZipFile(archive) as opened:
        return set(opened.namelist())


def test_without_git_everything_but_data_and_hidden_files_is_sent(
    checkout: Callable[..., Path], tmp_path: Path
) -> None:
    pack(tmp_path / "a.zip", {}, checkout(*KEPT))
    assert names(tmp_path / "a.zip") == SENT


def test_with_git_what_it_ignores_stays_here_and_what_is_new_is_sent(
    checkout: Callable[..., Path], tmp_path: Path
) -> None:
    root = checkout("weights/large.pth", "results/x.csv", "runs/tracked.txt")
    (root / ".gitignore").write_text("*.pth\n/results/\n")
    environment = os.environ | {"GIT_CONFIG_GLOBAL": "/dev/null"}
    subprocess.run(["git", "init", "-q", str(root)], check=True, env=environment)
    subprocess.run(["git", "-C", str(root), "add", "posestream.py", "runs"], check=True, env=environment)
    pack(tmp_path / "a.zip", {}, root)
    assert names(tmp_path / "a.zip") == SENT


def test_the_same_files_give_the_same_bytes(checkout: Callable[..., Path], tmp_path: Path) -> None:
    """So Ray finds that the cluster has them already."""
    root = checkout()
    pack(tmp_path / "a.zip", {}, root)
    os.utime(root / "mine.py", (0, 0))
    pack(tmp_path / "b.zip", {}, root)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_other_files_lie_beside(checkout: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "best.json").write_text("{}")
    pack(tmp_path / "a.zip", {"submitted/best.json": tmp_path / "best.json"}, checkout())
    assert names(tmp_path / "a.zip") == SENT | {"submitted/best.json"}


@pytest.mark.parametrize(
    ("limit", "said"), [("LARGEST_BYTES", "is zipped 2.0 MiB"), ("_LARGEST_UNPACKED", "is 2.0 MiB")]
)
def test_a_checkout_that_is_too_large_is_refused_with_what_takes_the_room(
    checkout: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, said: str
) -> None:
    root = checkout()
    (root / "weights.pth").write_bytes(os.urandom(2 << 20))
    monkeypatch.setattr(shipping, limit, 1 << 20)
    with pytest.raises(
        ShippingError, match=rf"{said}, a job takes 1.0 MiB; its largest files: weights.pth \(2.0 MiB\)"
    ):
        pack(tmp_path / "a.zip", {}, root)


def test_this_checkout_is_small_enough_and_has_what_a_job_imports(tmp_path: Path) -> None:
    assert pack(tmp_path / "a.zip", {}) < 20 << 20
    assert {"posestream.py", "pose/__init__.py", "engine/train.py", "tune/jobs.py"} <= names(tmp_path / "a.zip")


def test_only_a_checkout_can_be_sent(tmp_path: Path) -> None:
    with pytest.raises(ShippingError, match="not a checkout"):
        pack(tmp_path / "a.zip", {}, tmp_path)

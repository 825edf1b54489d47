"""The checkout as one zip file for a job's working directory: the same files give the same bytes."""

import os
import subprocess
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from pose.errors import UserError

ROOT = Path(__file__).resolve().parents[1]
LARGEST_BYTES = 100 << 20  # of a request to Ray's dashboard
_LARGEST_UNPACKED = 512 << 20
_LEFT_OUT_AT_THE_ROOT = ("runs", "data", "build", "dist", "shards")
_LEFT_OUT = ("__pycache__", "venv", "node_modules")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can hold


class ShippingError(UserError, RuntimeError):
    """A checkout that cannot be sent to a cluster; the message says how large it is and what takes the room."""


def pack(target: Path, beside: Mapping[str, Path], root: Path = ROOT) -> int:
    """Write the checkout to `target`, a zip file, and return its bytes.

    Sent are the files that git tracks or would track (without git: all), but nothing hidden, no caches, and nothing of
    the root's runs, data, shards, build and dist.

    Args:
        beside: more files, by their names in the zip.
    Raises:
        ShippingError: it is too large, or `root` is no checkout.
    """
    if not (root / "posestream.py").is_file() or not (root / "pyproject.toml").is_file():
        raise ShippingError(f"{root} is not a checkout of posestream, which is what a job is sent; run it from one")
    files = {name: root / name for name in _shipped(root)} | dict(beside)
    _require_size("", sum(path.stat().st_size for path in files.values()), _LARGEST_UNPACKED, files)
    with zipfile.ZipFile(target, "w") as archive:
        for name, path in sorted(files.items()):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (0o755 if os.access(path, os.X_OK) else 0o644) << 16
            archive.writestr(entry, path.read_bytes())
    packed = target.stat().st_size
    _require_size("zipped ", packed, LARGEST_BYTES, files)
    return packed


def _shipped(root: Path) -> Iterator[str]:
    for name in _tracked(root) or _found(root):
        if not _left_out(name) and (root / name).is_file():
            yield name


def _left_out(name: str) -> bool:
    parts = name.split("/")
    return parts[0] in _LEFT_OUT_AT_THE_ROOT or any(part in _LEFT_OUT or part.startswith(".") for part in parts)


def _tracked(root: Path) -> list[str]:
    """Files that git knows or would add; empty if it cannot say."""
    command = ["git", "-C", str(root), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        answer = subprocess.run(command, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError, UnicodeDecodeError):  # no git, or not a checkout by git
        return []
    names = sorted(set(filter(None, answer.split("\0"))))
    return names if "posestream.py" in names else []  # a folder that another repository ignores


def _found(root: Path) -> Iterator[str]:
    for folder, folders, files in os.walk(root):
        inside = Path(folder).relative_to(root)
        folders[:] = [name for name in folders if not _left_out((inside / name).as_posix())]
        yield from ((inside / name).as_posix() for name in files)


def _require_size(how: str, size: int, most: int, files: Mapping[str, Path]) -> None:
    if size > most:
        largest = sorted(files, key=lambda name: -files[name].stat().st_size)[:3]
        listed = ", ".join(f"{name} ({_mib(files[name].stat().st_size)})" for name in largest)
        raise ShippingError(
            f"the checkout is {how}{_mib(size)}, a job takes {_mib(most)}; its largest files: {listed}. Move data and "
            "weights out of it, or name them in .gitignore"
        )


def _mib(size: int) -> str:
    return f"{size / (1 << 20):.1f} MiB"

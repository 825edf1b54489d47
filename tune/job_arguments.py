"""The arguments of a command that is submitted: what cannot mean the same on a cluster is refused or sent along."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.config import leaves, override
from pose.errors import UserError
from recipes import load_recipe
from tune.places import PATH_SETTINGS

SUBMITTED = ("train", "tune", "ablate", "convert")

_OUTPUTS = ("out", "run_dir")  # what a job writes into its own folder is gone when it ends
_PATHS = (*_OUTPUTS, "data", "images", "annotations", "checkpoint", "weights", "resume")
_FILES = ("recipe", "space")  # names, or files of one's own
_BESIDE = "submitted"


class JobArgumentError(UserError, ValueError):
    """An argument that would mean something else, or nothing, on the cluster; the message names it."""


@dataclass(frozen=True)
class Arguments:
    """Words after the command's name, and files that are sent beside the checkout, by their names in it."""

    words: tuple[str, ...]
    files: dict[str, Path]


def portable_arguments(command: str, words: Sequence[str], parameters: Mapping[str, Any]) -> Arguments:
    """The words as they are given to the command in the job.

    A recipe or a space that is a file of its own is sent along, as it is now; every other path must be absolute or a
    URI, because the job runs in a folder of its own that is deleted after it.

    Args:
        parameters: the command's parameters by name, as parsed from the words.
    Raises:
        JobArgumentError: a relative path. ConfigError: a recipe or a setting of it that does not exist.
    """
    for name, value in parameters.items():
        if name in _PATHS:
            _require_portable(f"--{name.replace('_', '-')}", value, needed=name in _OUTPUTS)
    for word in parameters.get("settings") or ():
        key, _, value = word.partition("=")
        if key.strip() in PATH_SETTINGS:
            _require_portable(key.strip(), _listed(value))
    if command == "train":
        _require_portable_recipe(parameters["recipe"], parameters.get("settings") or ())
    sent = [_sent(parameters[name]) for name in _FILES if _is_file(parameters.get(name))]
    renamed = {one.word: one.word_there for one in sent}
    return Arguments(tuple(renamed.get(word, word) for word in words), {one.name: one.path for one in sent})


def _require_portable_recipe(name: str, settings: Sequence[str]) -> None:
    """What the recipe itself says counts as much as what the command line does."""
    found = leaves(override(load_recipe(name), list(settings)))
    for key in PATH_SETTINGS:
        _require_portable(key, found.get(key))


def _require_portable(what: str, value: Any, needed: bool = False) -> None:
    if value is None and needed:
        raise JobArgumentError(f"{what} must be given: what a job writes into its own folder is deleted after it")
    for one in value if isinstance(value, list | tuple) else [value]:
        text = "" if one is None else str(one)
        if text and not text.startswith("/") and ":/" not in text:
            raise JobArgumentError(
                f"{what} is {text}, a path in the current folder of this machine; a job needs an absolute path on a "
                "disk that all nodes share, or a URI such as s3://bucket/coco/train2017"
            )


def _listed(value: str) -> Any:
    """A setting's value: several paths are a JSON list."""
    try:
        return json.loads(value)
    except ValueError:
        return None if value.lower() == "none" else value


@dataclass(frozen=True)
class _Sent:
    """A file that a word names, and what both are called in the job."""

    word: str
    word_there: str
    path: Path
    name: str


def _is_file(value: Any) -> bool:
    return isinstance(value, str) and (value.endswith((".py", ".json")) or ".py:" in value)


def _sent(word: str) -> _Sent:
    stem, suffix, chosen = word.partition(".py:")
    path = Path(stem + suffix.removesuffix(":"))
    if not path.is_file():
        raise JobArgumentError(f"there is no file {path} to send with the job")
    name = f"{_BESIDE}/{path.name}"
    return _Sent(word, f"{name}:{chosen}" if suffix else name, path, name)

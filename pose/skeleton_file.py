"""Skeletons as JSON: users' own files, COCO's `categories` entries, and what manifests and checkpoints hold."""

import json
from pathlib import Path
from typing import Any

from pose.skeleton_values import (
    SkeletonError,
    distinct_names,
    flip_indices_of,
    is_name,
    pairs_of,
    places,
    sigmas_of,
)
from pose.skeletons import SKELETONS, Skeleton

__all__ = [
    "SkeletonError", "parse_reference", "parse_skeleton", "read_skeleton", "skeleton_reference", "skeleton_to_dict",
]  # fmt: skip

_KEYS = ("name", "keypoint_names", "limbs", "oks_sigmas", "flip_pairs", "upper_body", "lower_body")
_COCO_KEYS = ("keypoints", "skeleton", "id", "supercategory")


def skeleton_to_dict(skeleton: Skeleton) -> dict[str, Any]:
    """What `parse_skeleton` reads: JSON values, keypoints by their names."""
    names = skeleton.keypoint_names
    return {
        "name": skeleton.name,
        "keypoint_names": list(names),
        "limbs": [[names[start], names[end]] for start, end in skeleton.limbs],
        "oks_sigmas": dict(zip(names, skeleton.oks_sigmas, strict=True)),
        "flip_pairs": [[names[k], names[other]] for k, other in enumerate(skeleton.flip_indices) if k < other],
        "upper_body": [names[k] for k in skeleton.upper_body],
        "lower_body": [names[k] for k in skeleton.lower_body],
    }


def skeleton_reference(skeleton: Skeleton) -> str | dict[str, Any]:
    """The name of a built-in skeleton, the whole definition of any other."""
    return skeleton.name if skeleton == SKELETONS.get(skeleton.name) else skeleton_to_dict(skeleton)


def parse_reference(reference: Any, where: str) -> Skeleton:
    """What `skeleton_reference` gave. Raises SkeletonError."""
    if not isinstance(reference, str):
        return parse_skeleton(reference, where)
    if reference not in SKELETONS:
        raise SkeletonError(f"{where}: unknown skeleton {reference!r}; known: {', '.join(SKELETONS)}")
    return SKELETONS[reference]


def read_skeleton(path: Path | str) -> Skeleton:
    """The skeleton that a JSON file defines. Raises SkeletonError that names the file."""
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"), object_pairs_hook=_without_repetition)
    except OSError as error:
        raise SkeletonError(f"{path}: {error.strerror or error}; give the JSON file of a skeleton") from error
    except (ValueError, RecursionError) as error:
        raise SkeletonError(f"{path} is not the JSON of a skeleton: {error}") from error
    return parse_skeleton(content, str(path))


def parse_skeleton(content: Any, where: str) -> Skeleton:
    """A skeleton in its JSON form: `name`, `keypoint_names`, and by these names `oks_sigmas`, `limbs`, `flip_pairs`,
    `upper_body` and `lower_body`; or an entry of COCO's `categories` with `oks_sigmas` added.

    Without `flip_pairs` left_X and right_X trade places in a mirror. The other lists are empty by default.

    Args:
        where: begins the message of an error, such as the file's name.
    Raises:
        SkeletonError: a key is missing, unknown or wrong; or the name is a built-in skeleton's, and the content is not.
    """
    if not isinstance(content, dict):
        raise SkeletonError(f"{where}: expected a JSON object with {', '.join(_KEYS)}, got {type(content).__name__}")
    content = _own_form(content, where)
    name = content.get("name")
    if not is_name(name):
        raise SkeletonError(f'{where}: name: expected the skeleton\'s name, such as "horse_5", got {name!r}')
    names = distinct_names(content.get("keypoint_names"), f"{where}: keypoint_names")
    if not names:
        raise SkeletonError(f"{where}: keypoint_names is empty; a skeleton has at least one keypoint")
    skeleton = Skeleton(
        name=name,
        keypoint_names=names,
        flip_indices=flip_indices_of(content.get("flip_pairs"), names, where),
        limbs=pairs_of(content.get("limbs", []), names, f"{where}: limbs"),
        oks_sigmas=sigmas_of(content.get("oks_sigmas"), names, f"{where}: oks_sigmas"),
        upper_body=places(content.get("upper_body", []), names, f"{where}: upper_body"),
        lower_body=places(content.get("lower_body", []), names, f"{where}: lower_body"),
    )
    if skeleton != SKELETONS.get(name, skeleton):
        raise SkeletonError(f"{where}: {name} is the name of a built-in skeleton with another definition; rename it")
    return skeleton


def _own_form(content: dict[str, Any], where: str) -> dict[str, Any]:
    """A `categories` entry in our form; what is in our form already as it is."""
    if isinstance(content.get("categories"), list):
        raise SkeletonError(
            f"{where} is a whole annotation file; take one entry of its `categories` and add `oks_sigmas` to it"
        )
    is_coco = "keypoints" in content and "keypoint_names" not in content
    known = (*_KEYS, *_COCO_KEYS) if is_coco else _KEYS
    unknown = [key for key in content if key not in known]
    if unknown:
        raise SkeletonError(f"{where}: unknown key {unknown[0]!r}; known: {', '.join(known)}")
    if not is_coco:
        return content
    names = distinct_names(content["keypoints"], f"{where}: keypoints")
    limbs = {"limbs": _named_limbs(content["skeleton"], names, where)} if "skeleton" in content else {}
    return {key: value for key, value in content.items() if key in _KEYS} | {"keypoint_names": list(names)} | limbs


def _named_limbs(skeleton: Any, names: tuple[str, ...], where: str) -> list[list[str]]:
    def is_place(value: Any) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= len(names)

    pairs = skeleton if isinstance(skeleton, list) else [skeleton]
    for pair in pairs:
        if not (isinstance(pair, list) and len(pair) == 2 and all(map(is_place, pair))):
            raise SkeletonError(
                f"{where}: skeleton: expected pairs of places of keypoints, 1 to {len(names)}, got {pair!r}"
            )
    return [[names[start - 1], names[end - 1]] for start, end in pairs]


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"the key {key!r} comes twice")
        content[key] = value
    return content

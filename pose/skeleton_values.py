"""The values of a skeleton's JSON form, checked: names, pairs of names, mirror images, sigmas."""

import json
from collections.abc import Sequence
from typing import Any

from pose.errors import UserError
from pose.skeletons import mirrored_name

Names = tuple[str, ...]


class SkeletonError(UserError, ValueError):
    """A definition of a skeleton that cannot be used; the message says where it is, the key, and what to write."""


def is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip()) and value.isprintable()


def distinct_names(value: Any, where: str) -> Names:
    if not isinstance(value, list) or not all(map(is_name, value)):
        raise SkeletonError(f"{where}: expected a list of keypoints' names, got {value!r}")
    twice = sorted({name for name in value if value.count(name) > 1})
    if twice:
        raise SkeletonError(f"{where} has {', '.join(map(repr, twice))} more than once; every name comes once")
    return tuple(value)


def _place(name: str, names: Names, where: str) -> int:
    if name not in names:
        raise SkeletonError(f"{where}: unknown keypoint {name!r}; known: {', '.join(names)}")
    return names.index(name)


def places(value: Any, names: Names, where: str) -> tuple[int, ...]:
    return tuple(_place(name, names, where) for name in distinct_names(value, where))


def pairs_of(value: Any, names: Names, where: str) -> tuple[tuple[int, int], ...]:
    """Pairs of two different keypoints, each pair once."""
    if not isinstance(value, list):
        raise SkeletonError(f"{where}: expected a list of pairs of keypoints' names, got {value!r}")
    pairs: list[tuple[int, int]] = []
    for pair in value:
        if not (isinstance(pair, list) and len(pair) == 2):
            raise SkeletonError(f"{where}: expected a pair of keypoints' names, got {pair!r}")
        first, second = places(pair, names, where)
        if (first, second) in pairs or (second, first) in pairs:
            raise SkeletonError(f"{where} has the pair {pair} more than once")
        pairs.append((first, second))
    return tuple(pairs)


def flip_indices_of(value: Any, names: Names, where: str) -> tuple[int, ...]:
    if value is None:
        return _by_left_and_right(names, where)
    mirrored = list(range(len(names)))
    for first, second in pairs_of(value, names, f"{where}: flip_pairs"):
        for k in (first, second):
            if mirrored[k] != k:
                raise SkeletonError(f"{where}: flip_pairs: {names[k]!r} is in two pairs; a keypoint has one partner")
        mirrored[first], mirrored[second] = second, first
    return tuple(mirrored)


def _by_left_and_right(names: Names, where: str) -> tuple[int, ...]:
    for name in names:
        if mirrored_name(name) not in names:
            raise SkeletonError(
                f"{where}: {name!r} has no {mirrored_name(name)!r} to trade places with in a mirror; add "
                f'"flip_pairs": pairs of names, or [] if nothing trades places'
            )
    return tuple(names.index(mirrored_name(name)) for name in names)


def sigmas_of(value: Any, names: Names, where: str) -> tuple[float, ...]:
    if value is None:
        raise SkeletonError(
            f"{where} is missing; add a number for every keypoint, such as {{{json.dumps(names[0])}: 0.05, …}}: how "
            "far annotators differ, relative to the square root of the area (COCO: 0.025 for an eye to 0.107 for a hip)"
        )
    if isinstance(value, dict):
        for name in value:
            _place(name, names, where)
        missing = [name for name in names if name not in value]
        if missing:
            raise SkeletonError(f"{where} has no number for {', '.join(map(repr, missing))}")
        value = [value[name] for name in names]
    if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != len(names):
        raise SkeletonError(f"{where}: expected {len(names)} numbers, one for each keypoint, got {value!r}")
    for name, sigma in zip(names, value, strict=True):
        if not isinstance(sigma, int | float) or isinstance(sigma, bool) or not 0 < sigma <= 1:
            raise SkeletonError(f"{where}: expected a number above 0 and up to 1 for {name!r}, got {sigma!r}")
    return tuple(map(float, value))

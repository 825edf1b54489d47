"""What a user asks of an ablation."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from engine.config import ConfigError
from tune.budget import Budget


@dataclass(frozen=True)
class AblationOptions:
    """What the user asks for.

    Attributes:
        train, val: URIs of the splits; several training splits are mixed.
        seeds: how many times everything is trained, with the seeds 0, 1, …
        detections: files of detected boxes by detector, or under "" for all rows that compare none.
        weights: files to start from, by the end of the network's name, e.g. resnet50 or hrnet_w32.
        settings: of every recipe, as dotted `key=value`.
    """

    train: tuple[str, ...]
    val: str
    seeds: int = 1
    budget: Budget = "full"
    detections: Mapping[str, str] = field(default_factory=dict)
    weights: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[str, ...] = ()


def named_files(given: Sequence[str], name_needed: bool = False) -> dict[str, str]:
    """NAME=FILE as on the command line → files by name; a FILE alone has the name "".

    Raises:
        ConfigError: a name is given twice, or is missing where one is needed.
    """
    found: dict[str, str] = {}
    for text in given:
        match = re.fullmatch(r"([\w-]+)=(.+)", text)
        name, file = (match[1], match[2]) if match else ("", text)
        if name in found:
            raise ConfigError(f"{text!r}: {name or 'a file without a name'} was given before")
        if not name and name_needed:
            raise ConfigError(f"{text!r} is not of the form NAME=FILE, e.g. resnet50=resnet50.pth")
        found[name] = file
    return found

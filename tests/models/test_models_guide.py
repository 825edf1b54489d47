"""docs/models.md names the networks, plug-ins, options and recipes that there are, and no others."""

import inspect
import re
from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest

from models import OutputMap, list_models, list_plugins
from models.create import _NETWORKS, _PLUGINS
from recipes import list_recipes

GUIDE = (Path(__file__).parents[2] / "docs" / "models.md").read_text()
SECTIONS = dict(section.split("\n", 1) for section in GUIDE.split("\n## ")[1:])
GIVEN = {"num_keypoints", "feature_channels", "output"}


def options_of(builder: object) -> set[str]:
    bound = set(builder.keywords) if isinstance(builder, partial) else set()
    parameters = inspect.signature(builder.func if isinstance(builder, partial) else builder).parameters  # type: ignore[arg-type]
    return set(parameters) - (bound - {"width"}) - GIVEN


def rows(section: str) -> list[list[str]]:
    return [line.split("|")[1:-1] for line in SECTIONS[section].splitlines() if line.startswith("| ")]


def words(cell: str) -> set[str]:
    return set(re.findall(r"`([^`]+)`", cell))


@pytest.mark.parametrize("name", list_models())
def test_the_options_of_every_network_are_listed(name: str) -> None:
    family = name.split("_")[0].rstrip("12")
    (row,) = (row for row in rows("What there is") if len(row) == 4 and re.search(rf"`{family}[12]?[_`]", row[1]))
    assert words(row[2]) == options_of(_NETWORKS[name])


@pytest.mark.parametrize("name", list_plugins())
def test_the_options_of_every_plugin_are_listed(name: str) -> None:
    (row,) = (row for row in rows("What there is") if len(row) == 3 and f"`{name}`" in row[0])
    assert words(row[2]) == options_of(_PLUGINS[name])


def test_public_checkpoints_belong_to_recipes_that_exist() -> None:
    named = [recipe for row in rows("Public checkpoints")[1:] for recipe in words(row[1])]
    assert len(named) == 15
    assert set(named) <= set(list_recipes())


def test_every_field_of_an_output_is_explained() -> None:
    explained = {field for row in rows("What an output says of itself")[1:] for field in words(row[0])}
    assert explained == {field.name for field in fields(OutputMap)} - {"name"}

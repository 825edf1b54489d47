"""What the reference pages are made of: nothing that can be set, typed or read is left out."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import posestream
from engine.bottomup_config import BottomUpConfig
from engine.config import leaves
from recipes import list_recipes, load_recipe
from sharding.schema import sidecar_schema

EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"


@pytest.fixture(autouse=True)
def extensions(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(EXTENSIONS))
    yield
    for name, module in list(sys.modules.items()):
        if str(EXTENSIONS) in str(getattr(module, "__file__", "")):
            del sys.modules[name]


def test_every_leaf_of_every_recipe_is_in_the_reference() -> None:
    from configuration_reference import configuration_reference

    text = configuration_reference()
    own = ("model.options.", "model.plugin_options.")
    known = {leaf for name in list_recipes() for leaf in leaves(load_recipe(name)) if not leaf.startswith(own)}
    assert "bottomup.grouping.pool" in known
    assert [leaf for leaf in known - {"bottomup"} if f"| `{leaf}` |" not in text] == []


def test_values_bounds_and_defaults_come_from_the_types() -> None:
    from configuration_reference import groups

    found = {leaf.path: leaf for group in groups() for leaf in group.leaves}
    assert found["data.shuffle"].values == "`image` · `instance` · `none`"
    assert found["storage.connections"].values == "whole number ≥\N{NO-BREAK SPACE}1 ≤\N{NO-BREAK SPACE}25"
    assert found["evaluate.nms_threshold"].values == "number >\N{NO-BREAK SPACE}0 ≤\N{NO-BREAK SPACE}1"
    assert found["evaluate.soft_nms_sigma"].values == "number >\N{NO-BREAK SPACE}0 · none"
    assert found["data.crop_size"].default == "`256,192`"
    assert found["model.name"].default == "**required**"
    assert "degrees" in found["augmentation.rotation_factor"].meaning
    assert found["bottomup.grouping.max_persons"].default == f"`{BottomUpConfig().grouping.max_persons}`"


def test_every_command_and_option_is_in_the_reference() -> None:
    from command_reference import command_reference
    from typer.main import get_command

    text = command_reference()
    commands = get_command(posestream.app).commands  # type: ignore[attr-defined]
    assert "`posestream tune report`" in text
    for name, command in commands.items():
        assert f"`posestream {name}" in text
        for parameter in command.params:
            if parameter.param_type_name == "option":
                assert f"`{parameter.opts[0]}`" in text


def test_every_column_is_in_the_reference() -> None:
    from format_reference import manifest_reference, sidecar_reference

    instances = sidecar_schema(17, {}).field("instances").type.value_type
    assert isinstance(instances, pa.StructType)
    assert [field.name for field in instances if f"`instances[].{field.name}`" not in sidecar_reference()] == []
    assert "17 x 3 x double" in sidecar_reference()
    assert "`tar_sha256`" in manifest_reference()


def test_what_cannot_be_generated_says_what_can() -> None:
    from generated_reference import MADE

    assert {"commands", "configuration"} <= set(MADE)
    assert all(made().startswith(("##", "Schema", "The file")) for made in MADE.values())

"""What a row's network costs, in the paper's units and in ours. Nothing is built in memory, nothing is computed."""

from dataclasses import dataclass
from functools import cache

from engine.config import ModelConfig, Recipe, override
from models.cost import Cost, model_cost, plugin_cost
from models.paper_costs import UNITS
from recipes import load_recipe
from tune.table import Row, Table


@dataclass(frozen=True)
class RowCost:
    """A row's whole system, and what of it the paper's columns print: None for a row without the plug-in."""

    system: Cost
    printed: Cost | None


def row_recipe(row: Row) -> Recipe:
    """The recipe that the row trains, as published. The row has one."""
    assert row.recipe is not None
    return override(load_recipe(row.recipe), row.changes)


def row_cost(table: Table, row: Row) -> RowCost:
    """For crops of the published size. The row has a recipe."""
    recipe = row_recipe(row)
    model, size = recipe.model, recipe.data.crop_size
    base = _network_cost(model.model_copy(update={"plugin": None, "plugin_options": {}}), table.num_keypoints, size)
    if model.plugin is None:
        return RowCost(base, None if table.plugin_alone else base)
    plugin = plugin_cost(
        model.name, table.num_keypoints, size, model.plugin, model.plugin_options, **dict(model.options)
    )
    return RowCost(base + plugin, plugin if table.plugin_alone else base + plugin)


def in_paper_units(cost: Cost, table: Table) -> dict[str, float]:
    """By kind of column: millions of parameters, and MACs in the table's unit, where transposed convolutions count
    densely as in the papers."""
    return {"params": cost.params / 1e6, "macs": cost.macs_dense / UNITS[table.unit]}


def _network_cost(model: ModelConfig, num_keypoints: int, size: tuple[int, int]) -> Cost:
    return _counted(model.model_dump_json(), num_keypoints, size)


@cache
def _counted(model: str, num_keypoints: int, size: tuple[int, int]) -> Cost:
    config = ModelConfig.model_validate_json(model)
    return model_cost(config.name, num_keypoints, size, **config.options)

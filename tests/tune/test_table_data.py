"""The papers' tables: the numbers are the papers', and every row that names a recipe is a network that can be built."""

import json
from pathlib import Path
from typing import Any

import pytest

from engine.config import ConfigError, override
from models.cost import Cost
from recipes import load_recipe
from tune.budget import smallest_crop, smoke_recipe
from tune.table import Row, Table
from tune.table_cost import in_paper_units, row_cost, row_recipe
from tune.table_text import digits_of
from tune.tables import find_table, list_tables

TABLES = [find_table(name) for name in list_tables()]
ASKED_FOR = {
    "enhancenet": ["1", "3", "4", "5a", "5b", "5c", "5d"],
    "poserenet": ["I", "III"],
    "bottomup": ["2", "4", "5"],
    "mrnet": ["I", "III"],
    "efafnet": ["VI", "VII", "VIII", "IX", "X", "XI", "XII"],
}
# Figures that the papers round otherwise, or that no reading of them explains: models/paper_costs.py says why.
OTHERWISE = {
    ("poserenet-i", "SimpleBaseline-R50+Dark, 128x96", "macs"),
    ("poserenet-i", "HRNet-W48+Dark, 128x96", "macs"),
    ("poserenet-i", "HRNet-W48+Dark, PoseReNet, 128x96", "macs"),
    ("poserenet-i", "HRNet-W32+Dark, PoseReNet, 256x192", "macs"),
    ("efafnet-viii", "SBN", "macs"),
    ("efafnet-viii", "SBN+FASM-C", "params"),
    ("efafnet-viii", "SBN+FASM-C", "macs"),
    ("efafnet-viii", "SBN+FASM(Ours)", "params"),
    ("efafnet-viii", "SBN+FASM(Ours)", "macs"),
}

every_table = pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)


@pytest.fixture(scope="session")
def printed() -> dict[str, dict[str, Any]]:
    """The transcribed tables by name. Skips where they are absent."""
    path = Path(__file__).resolve().parents[3] / "shared" / "papers" / "tables.json"
    if not path.is_file():
        pytest.skip("no transcribed tables beside the checkout")
    return {f"{table['paper']}-{table['table']}".lower(): table for table in json.loads(path.read_text())}


def runnable(table: Table) -> list[Row]:
    return [row for row in table.rows if row.recipe is not None]


def test_every_table_that_can_be_run_is_there() -> None:
    assert {(table.paper, table.number) for table in TABLES} == {
        (paper, number) for paper, numbers in ASKED_FOR.items() for number in numbers
    }


@every_table
def test_the_numbers_are_the_papers(table: Table, printed: dict[str, dict[str, Any]]) -> None:
    paper = printed[table.name]
    assert [list(row.cells) for row in table.rows] == paper["rows"]
    assert [column.name for column in table.columns] == paper["columns"]
    assert (table.title, table.dataset) == (paper["title"], paper["dataset"])


@every_table
def test_every_row_is_a_network_that_takes_its_crops(table: Table) -> None:
    assert runnable(table)
    for row in runnable(table):
        cost = row_cost(table, row).system
        assert cost.params > 1e6, row
        assert cost.macs > 1e8, row


@every_table
def test_rows_differ_in_what_they_train_or_test(table: Table) -> None:
    keys = [(row.recipe, row.changes, row.test, row.detector) for row in runnable(table)]
    assert len(set(keys)) == len(keys)


@every_table
def test_settings_of_tests_are_settings_of_the_recipe(table: Table) -> None:
    for row in runnable(table):
        for _, column in table.columns_of("score"):
            tested = override(row_recipe(row), (*row.test, *column.test))
            assert tested.model == row_recipe(row).model


@every_table
def test_a_row_without_a_recipe_says_why(table: Table) -> None:
    assert all((row.why_not is None) == (row.recipe is not None) for row in table.rows)


@pytest.mark.parametrize("table", [table for table in TABLES if table.columns_of("params")], ids=lambda one: one.name)
def test_sizes_are_the_printed_ones(table: Table) -> None:
    different = set()
    for row in runnable(table):
        cost = row_cost(table, row).printed
        for place, column in table.columns_of("params", "macs"):
            expected = row.cells[place]
            if cost is None:
                assert expected is None
                continue
            counted = in_paper_units(cost, table)[column.kind]
            assert counted == pytest.approx(expected, rel=0.15)
            if abs(counted - float(str(expected))) > 0.5 * 10 ** -digits_of(table, place):
                different.add((table.name, table.label(row), column.kind))
    assert different == {key for key in OTHERWISE if key[0] == table.name}


def test_of_a_plugin_table_the_printed_sizes_are_those_of_the_plugin() -> None:
    table = find_table("enhancenet-5b")
    cost = row_cost(table, table.rows[0])
    assert cost.printed is not None
    assert cost.printed.params == 211_408  # specs 1.6
    assert cost.system == cost.printed + Cost(33_999_697, 5_426_380_800, 9_654_239_232)


def test_names_are_found_in_any_case_and_unknown_ones_name_the_nearest() -> None:
    assert find_table("PoseReNet-III").name == "poserenet-iii"
    with pytest.raises(ConfigError, match="enhancenet-5"):
        find_table("enhancenet-5e")


def test_labels_tell_rows_apart() -> None:
    table = find_table("bottomup-4")
    assert [table.label(row) for row in table.rows[:2]] == ["baseline", "Heatmap guidance"]
    assert table.label(table.rows[-1]) == "Heatmap guidance, Tradeoff loss, ART, Scoring"
    assert find_table("efafnet-x").label(find_table("efafnet-x").rows[0]) == "R 7"


def test_hourglasses_need_larger_crops_than_resnets() -> None:
    names = (
        "hourglass_8_coco_256x192",
        "simplebaseline_resnet50_coco_256x192",
        "efafnet_resnet50_coco_384x288",
        "guided_hrnet_w48_coco_640",
    )
    sizes = [smallest_crop(load_recipe(name), 17) for name in names]
    assert sizes == [(256, 192), (128, 96), (128, 96), (128, 128)]


def test_the_smoke_budget_keeps_the_published_network_and_trains_it_for_an_epoch() -> None:
    published = load_recipe("cpn_resnet50_coco_256x192")
    smoke = smoke_recipe(published, 17)
    assert smoke.model == published.model
    assert (smoke.train.epochs, smoke.train.batch_size, smoke.data.weights) == (1, 2, None)
    assert smoke.augmentation == published.augmentation

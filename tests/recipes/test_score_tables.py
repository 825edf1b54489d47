"""The head of every published recipe's file says what score to expect, and where that number stands."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import recipes
from recipes import list_recipes

FILES = sorted(Path(recipes.__file__).parent.glob("[!_]*.py"))
UNPUBLISHED = {"demo_synthetic", "lsp_resnet18_128", "memorise"}
ROW = re.compile(r"^ {4}(\w+) {2,}(\d+\.\d+|not reported)(?:  (\S.*))?$", re.M)
SOURCE = re.compile(r"(?:published with the \w+|(EnhanceNet|PoseReNet|MRNet|EFAFNet) (\w+))")
DATASETS = {"coco": "coco-val2017", "mpii": "mpii-val", "crowdpose": "crowdpose-test"}


def rows(file: Path) -> list[tuple[str, str, str]]:
    """(recipe, score, source) of each line of the table in a file's docstring."""
    return ROW.findall(file.read_text().split('"""')[1])


@pytest.mark.parametrize("file", [file for file in FILES if file.stem not in UNPUBLISHED], ids=lambda file: file.stem)
def test_every_recipe_of_a_file_has_one_row_in_its_table(file: Path, own_recipes: dict[str, list[str]]) -> None:
    assert [name for name, _, _ in rows(file)] == own_recipes[file.stem]
    text = file.read_text()
    assert "Time: not measured" in text
    assert ("PCKh@0.5" if "mpii" in file.stem else "Expected AP") in text
    for name, score, source in rows(file):
        assert score == "not reported" or SOURCE.match(source), name


def test_every_published_recipe_is_in_a_table() -> None:
    assert {name for file in FILES for name, _, _ in rows(file)} == set(list_recipes()) - UNPUBLISHED


def test_the_scores_stand_in_the_papers(real_data: Path) -> None:
    """Where the transcribed tables are at hand: the table is of the recipe's benchmark and has that number in a row of
    its network, with the plug-in if there is one."""
    path = real_data.parent / "papers" / "tables.json"
    if not path.exists():
        pytest.skip("no transcribed tables beside the pictures")
    tables = {(table["paper"], table["table"]): table for table in json.loads(path.read_text())}
    checked = 0
    for file in FILES:
        for name, score, source in rows(file):
            cited = SOURCE.match(source)
            if cited is None or cited[1] is None:
                continue
            table = tables[cited[1].lower(), cited[2]]
            dataset = next(title for word, title in DATASETS.items() if f"_{word}_" in name)
            if "test-dev" in source or "on the test set" in source:
                dataset = dataset.replace("val2017", "test-dev2017").replace("mpii-val", "mpii-test")
            assert table["dataset"] == dataset, name
            assert any(float(score) in row and is_about(name, row) for row in table["rows"]), name
            checked += 1
    assert checked > 60


def is_about(name: str, row: list[Any]) -> bool:
    """Whether a table's row fits a recipe's system, depth, size and plug-in, as far as the row says them."""
    text = " ".join(cell for cell in row if isinstance(cell, str)).lower().replace("-", "")
    system = name.partition("_")[0]
    depth = re.search(r"(?:resnet|hrnet_w|hourglass_)(\d+)", name)
    depths = re.findall(r"\b(?:resnet|hrnetw|r)(\d+)\b", text) + re.findall(r"(\d) ?stage", text)
    sizes = re.findall(r"\d+x\d+", text)
    plugged = "_enhancenet_" in name or "_poserenet_" in name
    return (
        (system in text or {"simplebaseline": "sbn", "efafnet": "ours"}.get(system, system) in text)
        and (depth is None or not depths or depth[1] in depths)
        and (not sizes or name.endswith(tuple(sizes)))
        and plugged == (row[1] is True or (plugged and "ours" in text))
    )

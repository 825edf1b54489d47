"""The head of every published recipe's file says what score to expect, and where that number stands."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

import recipes
from commands.expected_scores import expected_scores, rows_of
from engine.config import leaves
from recipes import list_recipes, load_recipe

FILES = sorted(Path(recipes.__file__).parent.glob("[!_]*.py"))
UNPUBLISHED = {"demo_synthetic", "lsp_resnet18_128", "memorise", "memorise_bottomup"}
SOURCE = re.compile(r"(?:published with the \w+|(EnhanceNet|PoseReNet|MRNet|EFAFNet|bottom-up) (\w+))")
SCALES = "'bottomup.test.scales=[0.5,1,2]'"  # what gives a table's second score
DATASETS = {"coco": "coco-val2017", "mpii": "mpii-val", "crowdpose": "crowdpose-test"}


def rows(file: Path) -> list[tuple[str, tuple[float, ...], str]]:
    """(recipe, scores, source) of each line of the tables in a file's docstring; no scores if none are reported."""
    return [(row.recipe, row.scores, row.source) for row in rows_of(file)]


@pytest.mark.parametrize("file", [file for file in FILES if file.stem not in UNPUBLISHED], ids=lambda file: file.stem)
def test_every_recipe_of_a_file_has_one_row_in_its_table(file: Path, own_recipes: dict[str, list[str]]) -> None:
    """A recipe that an ablation compares has rows in that table too, each of them for another way to test it."""
    first_rows = {name: source for name, _, source in reversed(rows(file))}
    assert [name for name, _, source in rows(file) if first_rows[name] == source] == own_recipes[file.stem]
    text = file.read_text()
    assert "Time: not measured" in text
    assert ("PCKh@0.5" if "mpii" in file.stem else "Expected AP") in text
    for name, scores, source in rows(file):
        assert not scores or SOURCE.match(source), name
        assert first_rows[name] == source or is_ablation(source), name
        assert len(scores) <= 1 or load_recipe(name).bottomup is not None, name
        assert len(scores) <= 1 or ("bottomup.grouping.quality=" if is_ablation(source) else SCALES) in text, name


def is_ablation(source: str) -> bool:
    """The bottom-up paper's table 4 has three scores: of the regression, the heatmaps, and the final poses."""
    return source.startswith("bottom-up 4")


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
        for name, scores, source in rows(file):
            cited = SOURCE.match(source)
            if cited is None or cited[1] is None:
                continue
            table = tables[cited[1].lower().replace("-", ""), cited[2]]
            dataset = next(title for word, title in DATASETS.items() if f"_{word}_" in name)
            if "test-dev" in source or "on the test set" in source:
                dataset = dataset.replace("val2017", "test-dev2017").replace("mpii-val", "mpii-test")
            assert table["dataset"] == dataset, name
            if cited[1] != "bottom-up":
                assert any(scores[0] in row and is_about(name, row) for row in table["rows"]), name
            elif is_ablation(source):
                assert [*knobs(name), "learned" in source, *scores] in table["rows"], name
            else:
                for score, testing in zip(scores, ("single-scale", "multi-scale"), strict=True):
                    assert [testing, int(name.rpartition("_")[2]), score] in bottomup_scores(name, table), name
            checked += 1
    assert checked > 75


def is_about(name: str, row: list[Any]) -> bool:
    """Whether a table's row fits a recipe's system, depth, size and plug-in, as far as the row says them."""
    text = " ".join(cell for cell in row if isinstance(cell, str)).lower().replace("-", "")
    system = {"ae": "associative embedding"}.get(name.partition("_")[0], name.partition("_")[0])
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


def knobs(name: str) -> list[bool]:
    """Guidance, tradeoff and adaptive convolutions of a recipe, as the bottom-up paper's table 4 lists them."""
    settings = leaves(load_recipe(name))
    without = [settings.get(f"model.options.{option}") is False for option in ("guidance", "adaptive")]
    return [not without[0], settings["bottomup.targets.background"] < 1, not without[1]]


def bottomup_scores(name: str, table: dict[str, Any]) -> list[list[Any]]:
    """(scales, input size, AP) in those rows of the bottom-up paper's tables that are about a recipe's network."""
    system, width = re.match(r"(\w+?)_w(\d+)_", name).groups()  # type: ignore[union-attr]
    method = {"higherhrnet": "HrHRNet-W{} + AE", "guided_hrnet": "Ours (HRNet-W{})"}.get(system, "Ours (HrHRNet-W{})")
    size, ap = (table["columns"].index(column) for column in ("Input size", "AP"))
    return [
        [re.search(r"\w+-scale", row[0])[0], row[size], row[ap]]  # type: ignore[index]
        for row in table["rows"]
        if row[1] == method.format(width)
    ]


def test_recipes_find_the_rows_of_their_own_file() -> None:
    (row,) = expected_scores()["hrnet_w32_coco_256x192"]
    assert (row.metric, row.scores, row.source.partition(";")[0]) == ("AP", (74.4,), "published with the model")
    assert "demo_synthetic" not in expected_scores()

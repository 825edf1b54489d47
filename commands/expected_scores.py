"""The scores to expect of recipes, as the heads of their files say them: the one place where they are written."""

import ast
import re
from functools import cache
from pathlib import Path

import recipes
from evaluation.report_expected import ExpectedScore

_FOLDER = Path(recipes.__file__).parent
_ROW = re.compile(r"^ {4}(\w+) {2,}(\d+\.\d+(?: {2}\d+\.\d+)*|not reported)(?:  (\S.*))?$")
_HEADING = re.compile(r"Expected (AP|PCKh@0\.5)")


@cache
def expected_scores() -> dict[str, tuple[ExpectedScore, ...]]:
    """By recipe, in the order of the tables; recipes without a table are not in it."""
    found: dict[str, tuple[ExpectedScore, ...]] = {}
    for path in sorted(_FOLDER.glob("[!_]*.py")):
        for row in rows_of(path):
            found[row.recipe] = (*found.get(row.recipe, ()), row)
    return found


def rows_of(path: Path) -> list[ExpectedScore]:
    """The rows of the tables in a recipe file's docstring. No code of the file runs."""
    return parse_tables(ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")), clean=False) or "")


def parse_tables(text: str) -> list[ExpectedScore]:
    """Paragraphs that begin with "Expected AP" or "Expected PCKh@0.5" head the rows that follow them."""
    rows, heading, metric = [], "", ""
    for paragraph in re.split(r"\n\s*\n", text):
        if begins := _HEADING.match(paragraph.strip()):
            heading, metric = " ".join(paragraph.split()).rstrip(":"), begins[1]
        for line in paragraph.splitlines():
            if heading and (cells := _ROW.match(line)):
                scores = () if cells[2] == "not reported" else tuple(map(float, cells[2].split()))
                rows.append(ExpectedScore(cells[1], metric, scores, heading.removeprefix("Expected "), cells[3] or ""))
    return rows

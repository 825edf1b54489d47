"""Tables of scores: cell by cell, on the screen and as Markdown."""

import math

import pytest
from rich.console import Console

from evaluation.pckh import PCKH_ROWS
from evaluation.score import Score
from evaluation.table import score_rows, score_table


def coco_score(ap):
    return Score({"AP": ap, "AP50": 0.9, "APM": -1.0}, "AP", [], [])


def mpii_score(mean):
    metrics = {}
    for threshold in ("0.5", "0.1"):
        metrics[f"PCKh@{threshold}"] = mean
        metrics |= {f"PCKh@{threshold}/{row}": mean for row in PCKH_ROWS}
    return Score(metrics | {"PCKh@0.1/Head": math.nan}, "PCKh@0.5", [], [])


def test_coco_rows_are_percent_with_one_decimal():
    header, rows = score_rows({"trained": coco_score(0.7446), "untrained": coco_score(0.0)})
    assert header == ["", "AP", "AP50", "APM"]
    assert rows == [["trained", "74.5", "90.0", "–"], ["untrained", "0.0", "90.0", "–"]]


def test_mpii_has_a_row_per_name_and_threshold():
    header, rows = score_rows({"a": mpii_score(90.27), "b": mpii_score(10.0)})
    assert header == ["", "threshold", *PCKH_ROWS]
    assert [row[:3] for row in rows] == [
        ["a", "PCKh@0.5", "90.3"], ["a", "PCKh@0.1", "–"], ["b", "PCKh@0.5", "10.0"], ["b", "PCKh@0.1", "–"],
    ]  # fmt: skip
    assert rows[0][2:] == ["90.3"] * len(PCKH_ROWS)


def test_rich_table_shows_the_same_cells_and_takes_names_literally():
    console = Console(width=120)
    with console.capture() as capture:
        console.print(score_table({"[bold]run": coco_score(0.7446)}, title="COCO [val]"))
    shown = capture.get()
    for cell in ("COCO [val]", "[bold]run", "AP50", "74.5", "90.0", "–"):
        assert cell in shown


def test_nothing_and_a_mixture_are_refused():
    with pytest.raises(ValueError, match="at least one named score"):
        score_rows({})
    with pytest.raises(ValueError, match="one benchmark"):
        score_rows({"coco": coco_score(0.5), "mpii": mpii_score(50.0)})

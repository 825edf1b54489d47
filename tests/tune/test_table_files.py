"""Stored results become the table: means and deviations, rows that failed, rows that are only cited."""

import csv
import io
from pathlib import Path

import cv2
import numpy as np
import pytest

from sharding.storage import Folder, open_folder
from tune.table import Row, Table, coco_scores, labels
from tune.table_files import write_table
from tune.table_options import AblationOptions
from tune.table_plan import Plan, plan_table
from tune.table_results import ResultError, TrainingScores, read_scores, row_results, write_scores
from tune.table_text import escaped

_SBN = "simplebaseline_resnet50_coco_256x192"
TABLE = Table(
    paper="made",
    number="Up",
    title="Rows of | every kind",
    dataset="coco-val2017",
    columns=(*labels("Method", "Trick"), *coco_scores("AP", "AR")),
    rows=(
        Row(("=done|", False, 70.4, 76.1), _SBN),
        Row(("broken", True, 71.0, None), _SBN, ("optim.lr=1",)),
        Row(("cited", None, 69.0, 75.0), why_not="of others"),
        Row(("waits", False, 70.0, 75.0), _SBN, ("optim.lr=2",)),
        Row(("begun", False, 70.0, 75.0), _SBN, ("optim.lr=3",)),
    ),
    notes="A <b>note</b>.",
)
OPTIONS = AblationOptions(("/train",), "s3://key:secret@bucket/val", seeds=3)


@pytest.fixture
def plan() -> Plan:
    return plan_table(TABLE, OPTIONS)


@pytest.fixture
def folder(plan: Plan, tmp_path: Path) -> Folder:
    """Results of which AP's mean is 70, its deviation 1: 69, 70 and 71."""
    folder = open_folder(tmp_path)
    done, broken, _, _, begun = plan.rows
    for seed, ap in enumerate((0.69, 0.70, 0.71)):
        write_scores(folder, done.trainings[seed], TrainingScores({(): {"AP": ap, "AR": -1.0}}, ("a note",)))
    write_scores(folder, broken.trainings[0], TrainingScores({(): {"AP": 0.5, "AR": 0.6}}))
    write_scores(folder, broken.trainings[1], TrainingScores(failed="the loss became nan\n| lower optim.lr"))
    write_scores(folder, begun.trainings[0], TrainingScores({(): {"AP": 0.4, "AR": float("nan")}}))
    return folder


def test_means_and_deviations(plan: Plan, folder: Folder) -> None:
    done, broken, cited, waits, begun = row_results(plan, folder)
    assert (done.status, done.cells[2].mean, done.cells[2].std, done.cells[2].count) == (
        "done", pytest.approx(70), pytest.approx(1), 3,
    )  # fmt: skip
    assert 3 not in done.cells  # COCO's -1 is no score
    assert (broken.status, broken.cells[2].count) == ("failed", 1)
    assert "seed 1: the loss became nan" in broken.remark
    assert (cited.status, cited.remark) == ("cited", "of others")
    assert (waits.status, waits.cells) == ("waiting", {})
    assert (begun.status, begun.remark) == ("partial", "1 of 3 seeds are done")


def test_the_page_has_both_numbers_side_by_side(plan: Plan, folder: Folder) -> None:
    write_table(plan, OPTIONS, folder)
    page = (folder.local / "made-up.md").read_text() if folder.local else ""
    lines = page.splitlines()
    assert lines[0] == "# made-up: Rows of \\| every kind"
    assert lines[2].startswith("| Method | Trick | AP paper | AP ours | AR paper | AR ours |")
    assert lines[4] == "| =done\\| |  | 70.4 | 70.0 ± 1.0 | 76.1 |  | 34.00 | 5.43 |  |"
    assert lines[5].startswith("| broken | ✓ | 71.0 | 50.0 |  | 60.0 | 34.00 | 5.43 | failed: seed 1: the loss became")
    assert lines[6] == "| cited |  | 69.0 |  | 75.0 |  |  |  | cited: of others |"
    assert "\\| lower optim.lr" in lines[5]
    assert "secret" not in page
    assert "- A \\<b\\>note\\</b\\>." in lines
    assert "- a note" in lines


def test_the_csv_reads_back(plan: Plan, folder: Folder) -> None:
    write_table(plan, OPTIONS, folder)
    rows = list(csv.DictReader(io.StringIO(folder.read("made-up.csv").decode())))
    assert rows[0]["Method"] == "'=done|"  # no formula
    assert float(rows[0]["AP mean"]) == pytest.approx(70)
    assert float(rows[0]["AP std"]) == pytest.approx(1)
    assert (rows[0]["AP paper"], rows[0]["AP seeds"], rows[0]["AR mean"]) == ("70.4", "3", "")
    assert (rows[1]["AP std"], rows[1]["AR paper"], rows[1]["status"]) == ("", "", "failed")
    assert (rows[2]["params"], rows[2]["status"]) == ("", "cited")
    assert rows[0]["params"] == "33999697"


def test_the_plot_shows_the_rows_that_are_compared(plan: Plan, folder: Folder) -> None:
    files = write_table(plan, OPTIONS, folder)
    assert [Path(file).suffix for file in files] == [".md", ".csv", ".png", ".svg"]
    picture = cv2.imdecode(np.frombuffer(folder.read("made-up.png"), np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.std() > 5
    drawing = folder.read("made-up.svg").decode()
    for text in ("=done|", "broken, Trick  (failed)", "begun  (partial)"):
        assert f"<!-- {text} -->" in drawing
    assert "cited" not in drawing


def test_every_table_renders_before_anything_was_run(tmp_path: Path) -> None:
    plan = plan_table(TABLE, OPTIONS)
    write_table(plan, OPTIONS, open_folder(tmp_path))
    assert {file.suffix for file in tmp_path.iterdir()} == {".md", ".csv", ".png", ".svg"}


def test_scores_that_are_no_numbers_survive_the_file(plan: Plan, folder: Folder) -> None:
    scores = read_scores(folder, plan.rows[4].trainings[0])
    assert scores is not None
    assert np.isnan(scores.tests[()]["AR"])


def test_a_damaged_result_names_its_file(plan: Plan, folder: Folder, tmp_path: Path) -> None:
    name = plan.rows[0].trainings[0]
    (tmp_path / "results" / f"{name}.json").write_text("{")
    with pytest.raises(ResultError, match=f"{name}.json"):
        row_results(plan, folder)


def test_nothing_in_a_cell_is_markdown() -> None:
    assert escaped("a|b\n`c` <i>*d*_[e](f)") == "a\\|b \\`c\\` \\<i\\>\\*d\\*\\_\\[e\\](f)"

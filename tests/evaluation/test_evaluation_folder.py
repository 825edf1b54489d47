"""What a report reads, and what it says of folders that it cannot read."""

import json
from pathlib import Path

import pytest
from made_evaluation import write_evaluation_folder, write_mpii_folder

from evaluation.evaluation_folder import find_evaluation, read_evaluations
from evaluation.stored_json import EvaluationFolderError


def test_a_whole_folder_is_read(tmp_path: Path) -> None:
    (run,) = read_evaluations([write_evaluation_folder(tmp_path / "w32", notes=["n"])])
    assert (run.name, run.metrics.primary, run.metrics.notes, run.metrics.factor) == ("w32", "AP", ["n"], 100)
    assert run.metrics.facts["split"] == "/data/coco/val2017"
    assert {"primary", "metrics", "notes"}.isdisjoint(run.metrics.facts)
    assert run.recipe is not None
    assert run.recipe["optim"]["lr"] == 1e-3
    assert run.diagnosis is not None
    assert run.diagnosis.counts["persons"] == 6
    assert run.training is not None
    assert len(run.training.curves["val/AP"]) == 20
    assert run.cases is not None
    assert len(run.cases.cases) == 3
    assert run.curves is None


def test_all_but_the_metrics_may_be_absent(tmp_path: Path) -> None:
    (run,) = read_evaluations([write_mpii_folder(tmp_path / "mpii")])
    assert (run.recipe, run.diagnosis, run.training, run.cases, run.metrics.factor) == (None, None, None, None, 1)


def test_a_run_folder_stands_for_its_evaluation(tmp_path: Path) -> None:
    folder = write_mpii_folder(tmp_path / "run" / "evaluation")
    assert find_evaluation(tmp_path / "run") == folder
    (run,) = read_evaluations([tmp_path / "run", folder])
    assert run.name == "run"
    other = write_mpii_folder(tmp_path / "other" / "evaluation-hrnet")
    assert find_evaluation(tmp_path / "other") == other
    write_mpii_folder(tmp_path / "other" / "evaluation-resnet")
    with pytest.raises(EvaluationFolderError, match=r"several evaluations.*evaluation-hrnet, .*evaluation-resnet"):
        find_evaluation(tmp_path / "other")


def test_runs_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [write_mpii_folder(tmp_path / month / "w32" / "evaluation") for month in ("may", "june")]
    assert [run.name for run in read_evaluations(folders)] == ["may/w32", "june/w32"]


def test_what_is_no_evaluation_is_said(tmp_path: Path) -> None:
    with pytest.raises(EvaluationFolderError, match=r"gone is no folder.*posestream evaluate"):
        read_evaluations([tmp_path / "gone"])
    with pytest.raises(EvaluationFolderError, match=r"holds no evaluation: expected metrics\.json"):
        read_evaluations([tmp_path])


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("metrics.json", {"primary": "AP"}, r"metrics\.json at metrics: Field required"),
        ("metrics.json", {"primary": "AP", "metrics": {"AP": "high"}}, r"at metrics\.AP"),
        ("metrics.json", [], r"metrics\.json: "),
        (
            "curves.json",
            {"kind": "PCKh", "thresholds": [0, 1], "groups": {"Head": [1]}},
            "at groups: expected 2 values",
        ),
        ("training.json", {"curves": {"val/AP": [[1]]}}, r"training\.json at curves\.val/AP\.0"),
        ("recipe.json", [], r"recipe\.json"),
        ("diagnosis.json", {"kind": "coco"}, r"diagnosis\.json at .*such places.*remove the file"),
    ],
)
def test_a_damaged_file_is_named_with_its_key(tmp_path: Path, file: str, content: object, said: str) -> None:
    folder = write_mpii_folder(tmp_path / "run")
    (folder / file).write_text(json.dumps(content))
    with pytest.raises(EvaluationFolderError, match=said):
        read_evaluations([folder])


def test_what_is_no_json_is_refused(tmp_path: Path) -> None:
    folder = write_mpii_folder(tmp_path / "run")
    (folder / "training.json").write_text('{"curves": {"a": [[1, NaN')
    with pytest.raises(EvaluationFolderError, match=r"training\.json: Invalid JSON"):
        read_evaluations([folder])
